"""An experiment as a whole: its single runs, what is already there left alone, then its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moo_mtl import drawing
from moo_mtl.config import AnyRun, Experiment, TrainRun
from moo_mtl.errors import InputError
from moo_mtl.kinds import single_run
from moo_mtl.progress import Reporter
from moo_mtl.runs import Run
from moo_mtl.sweeps.backends import Backend
from moo_mtl.sweeps.backends.here import here
from moo_mtl.sweeps.execute import execute
from moo_mtl.sweeps.survey import Survey, survey


@dataclass(frozen=True)
class Record:
    """A finished single run, as tables and figures see it."""

    label: str
    config: AnyRun
    run: Run

    @property
    def alone(self) -> bool:
        """Whether the run is of one task by itself, for the others to be compared with."""
        return isinstance(self.config, TrainRun) and self.config.alone is not None

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
    """The experiment's figures in its folder below the runs folder, each as PDF and PNG, and its tables as LaTeX.

    Raises:
        InputError: a script raises, has no function ``draw`` or ``table``, or one returns something else than it should.
        RunError: a file cannot be written.
    """
    folder = root / experiment.name / "figures"
    return [file for script in experiment.figures for file in drawing.draw(script, records, folder / script.stem)]
