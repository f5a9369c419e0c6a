"""An experiment as a whole: its single runs, what is already there left alone, then its figures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from moo_mtl import single_run, storage
from moo_mtl.config import AnyRun, Experiment, TrainRun
from moo_mtl.errors import InputError, MooMtlError
from moo_mtl.progress import Reporter
from moo_mtl.runs import Run
from moo_mtl.sweeps.backends import Backend
from moo_mtl.sweeps.backends.here import here
from moo_mtl.sweeps.execute import execute
from moo_mtl.sweeps.survey import Survey, survey

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Record:
    """A finished single run, as tables and figures see it."""

    label: str
    config: AnyRun
    run: Run

    @property
    def alone(self) -> bool:
        """Whether the run is of one task by itself, for the others to be compared with."""
        return isinstance(self.config, TrainRun) and self.config.tasks is not None and len(self.config.tasks) == 1

    @property
    def metrics(self) -> dict[str, Any]:
        return self.run.metrics

    def load(self) -> Any:
        """The arrays of the result: a ``Trace``, a ``History``."""
        return single_run.kind(self.config).result(self.run)


def prepare(experiment: Experiment, root: Path, *, retry: bool = True) -> Survey:
    """Look at what there is, and hold every run that is still to be computed, and every figure script, against what they name.

    Args:
        experiment: as read from its file.
        root: the runs folder.
        retry: compute those again that failed.

    Raises:
        MooMtlError: the first thing that is wrong.
    """
    found = survey(experiment, root, retry=retry)
    found.check()
    for script in experiment.figures:
        if not script.is_file():
            raise InputError(f"figures: there is no script {script}; paths are relative to the experiment file")
    return found


@dataclass(frozen=True)
class Outcome:
    """What came of an experiment: records of its finished runs, and a sentence for each run that failed."""

    records: list[Record]
    failures: list[str]


def compute(
    experiment: Experiment, found: Survey, reporter: Reporter, *, backend: Backend = here, together: bool = False
) -> Outcome:
    """Every single run, computed unless it is there already; one that fails does not stop the others.

    Raises:
        RunError: a folder cannot be written, which the other runs would meet as well, or the workers cannot be reached.
    """
    ends = execute(found, reporter, backend=backend, together=together)
    finished = [end.item for end in ends if end.state == "finished"]
    return Outcome(
        [Record(experiment.label(item.single), item.single, item.run) for item in finished],
        [f"{end.item.title}: {end.error}" for end in ends if end.state == "failed"],
    )


def draw(experiment: Experiment, records: Sequence[Record], root: Path) -> list[Path]:
    """The experiment's figures, each as PDF and PNG.

    Raises:
        InputError: a script raises, has no function ``draw``, or this returns no figure.
        RunError: a figure cannot be written.
    """
    folder = root / experiment.name / "figures"
    if experiment.figures:
        import matplotlib as mpl

        mpl.use("agg")
        storage.prepare(folder)
    files = []
    for script in experiment.figures:
        figure = _figure(script, records)
        for suffix in ("pdf", "png"):
            files.append(folder / f"{script.stem}.{suffix}")
            storage.write(files[-1], partial(figure.savefig, format=suffix))
        _close(figure)
    return files


def _figure(script: Path, records: Sequence[Record]) -> Figure:
    from matplotlib.figure import Figure

    try:
        figure = _draw(script)(records)
        if not isinstance(figure, Figure):
            raise InputError(f"figures: draw in {script} returned {type(figure).__name__}, expected a matplotlib Figure")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once; each format would do it again
    except MooMtlError:
        raise
    except Exception as error:
        lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == str(script.absolute())]
        where, first_line = f" in line {lines[-1]}" if lines else "", str(error).partition("\n")[0]
        raise InputError(
            f"figures: {script} raised {type(error).__name__}{where}: {first_line}; the runs are kept, and the same command "
            "draws again"
        ) from error
    return figure


def _draw(script: Path) -> Any:
    """The script's function ``draw``; its neighbours can be imported, as under ``python script.py``."""
    spec = spec_from_file_location(script.stem, script)
    if spec is None or spec.loader is None:
        raise InputError(f"figures: {script} is not a Python file; its name must end in .py")
    module = module_from_spec(spec)
    sys.path.insert(0, str(script.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(script.parent))
    if not hasattr(module, "draw"):
        raise InputError(f"figures: {script} has no function draw(records); it receives the finished runs and returns a figure")
    return module.draw


def _close(figure: Figure) -> None:
    import matplotlib.pyplot as plt

    plt.close(figure)
