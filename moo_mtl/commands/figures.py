"""``moo-mtl figures``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moo_mtl.commands.experiments import interruptible, say_failures

if TYPE_CHECKING:
    from moo_mtl.collection import Collection
    from moo_mtl.config import Experiment
    from moo_mtl.experiment import Record
    from moo_mtl.sweeps.backends import Backend


def figures(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]", help="Figures by name; by default all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Short runs: orders of magnitude, not results.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("figures"),
    runs: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("runs"),
    replace: Annotated[
        list[str] | None, typer.Option(metavar="RULE=YOURS", help="Your rule in the place of one: pcgrad=my_module:my_rule.")
    ] = None,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Compute nothing: draw the runs that are finished, also those of older sources.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    experiments: Annotated[Path, typer.Option(help="Folder of the experiment files.")] = Path("experiments/paper"),
    data_root: Annotated[Path | None, typer.Option(help="Folder of the data files; default: $MOO_MTL_DATA.")] = None,
) -> None:
    """Compute the runs of the paper's figures that are missing, then draw: PDF, PNG and LaTeX in one folder.

    Every figure is an experiment file and a script that reads its finished runs. Quick runs are another set of runs, and their
    figures are called NAME-quick.

    [bold]Examples[/bold]

    moo-mtl figures --quick

    moo-mtl figures toy-nash db-mtl --out paper/figures

    moo-mtl figures toy-nash --replace pcgrad=my_module:my_rule
    """
    if data_root is not None:
        os.environ["MOO_MTL_DATA"] = str(data_root)
    from moo_mtl import collection, experiment, progress, storage

    files = _files(experiments, names or [])
    storage.prepare(out)
    suffix = "-quick" if quick else ""
    collections = [collection.read(file) for file in files if collection.kind(file) == collection.KIND]
    computed = _read([file for file in files if collection.kind(file) != collection.KIND], quick, replace or [])
    if as_is:
        for one in computed:
            _draw(one.name, one.figures, collection.as_is(one, runs), out, suffix)
        _collect(collections, runs, out, named=bool(names))
        return
    surveys = [experiment.prepare(one, runs) for one in computed]
    failures: list[str] = []
    with interruptible(runs), progress.reporting(sum(len(one.items) for one in surveys), each=False) as reporter:
        backend = _backend(jobs)
        for one, found in zip(computed, surveys, strict=True):
            outcome = experiment.compute(one, found, reporter, backend=backend)
            failures += outcome.failures
            if outcome.records:
                _draw(one.name, one.figures, outcome.records, out, suffix)
    _collect(collections, runs, out, named=bool(names))
    say_failures(failures)


def _files(folder: Path, names: Sequence[str]) -> list[Path]:
    from moo_mtl.errors import InputError, unknown

    known = {file.stem: file for file in sorted(folder.glob("*.toml"))}
    if not known:
        raise InputError(f"there are no experiment files in {folder}; run this in the repository, or give --experiments")
    for name in names:
        if name not in known:
            raise unknown("figure", name, known)
    return [known[name] for name in dict.fromkeys(names or known)]


def _read(files: Sequence[Path], quick: bool, replacements: Sequence[str]) -> list[Experiment]:
    """The experiments of the files, with a user's rules in the place of others."""
    from moo_mtl import config
    from moo_mtl.errors import InputError, unknown

    experiments = [config.read(file, quick=quick) for file in files]
    for text in replacements:
        old, equals, new = text.partition("=")
        if not equals or not old or not new:
            raise InputError(f"--replace {text!r} is not of the form RULE=YOURS, such as pcgrad=my_module:my_rule")
        known = {single.rule.name for one in experiments for single in one.singles}
        if old not in known:
            raise unknown("rule of these figures", old, known)
        experiments = [config.with_rule(one, old, new) for one in experiments]
    return experiments


def _draw(name: str, scripts: Sequence[Path], records: Sequence[Record], out: Path, suffix: str) -> None:
    from moo_mtl import drawing

    for script in scripts:
        stem = name if len(scripts) == 1 else f"{name}-{script.stem}"
        for file in drawing.draw(script, records, out / f"{stem}{suffix}"):
            print(file)


def _collect(collections: Sequence[Collection], runs: Path, out: Path, *, named: bool) -> None:
    """Draw what runs there are, and say which are not; a figure that nobody asked for by name may have none."""
    from moo_mtl import collection

    for shown in collections:
        absent = collection.absent(shown, runs)
        none = len(absent) == len(shown.experiments)
        if absent and not (none and named):
            what = "not drawn, since nothing is there of" if none else "drawn without"
            end = f"moo-mtl sweep computes their runs into {runs}"
            print(f"{shown.name}: {what} {', '.join(absent)}; {end}", file=sys.stderr)
        if named or not none:
            _draw(shown.name, shown.figures, collection.records(shown, runs), out, "")


def _backend(jobs: int) -> Backend:
    from moo_mtl.sweeps.backends.here import here

    if jobs == 1:
        return here
    from moo_mtl.sweeps.backends.processes import Processes

    return Processes(jobs)
