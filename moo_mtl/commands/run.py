"""``moo-mtl run``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moo_mtl import launch
from moo_mtl.commands.experiments import interruptible, read, say_failures, undisturbed
from moo_mtl.commands.tables import print_table

if TYPE_CHECKING:
    from moo_mtl.config import Experiment
    from moo_mtl.experiment import Record


def run(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Experiment files (TOML).")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as problem.scale=1.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("runs"),
    device: Annotated[str | None, typer.Option(help='As in torch: "cpu", "cuda", "cuda:1".')] = None,
    dtype: Annotated[str | None, typer.Option(help='"float32", "float64"; "bfloat16" for training.')] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Only operations that repeat to the last bit.")
    ] = False,
    data_root: Annotated[Path | None, typer.Option(help="Folder of the data files; default: $MOO_MTL_DATA.")] = None,
) -> None:
    """Run experiments, or find what has been run already, and draw their figures.

    All files are checked before the first starts. A run that was interrupted, however rudely, goes on from its last checkpoint.

    [bold]Examples[/bold]

    moo-mtl run experiments/toy-demo.toml experiments/multi-digits.toml

    moo-mtl run experiments/toy.toml --set rule='["mgda", "my_module:my_rule"]' --set steps=1000

    torchrun --nproc-per-node 2 -m moo_mtl run experiments/multi-digits.toml
    """
    if data_root is not None:
        os.environ["MOO_MTL_DATA"] = str(data_root)
    with launch.joined():
        if not launch.first():
            from moo_mtl.kinds import train_run

            launch.follow(train_run.take_part)
            return
        _compute(read(files, settings or [], out, device, dtype, deterministic), out)


def _compute(experiments: list[Experiment], out: Path) -> None:
    with interruptible(out), undisturbed():
        from moo_mtl import experiment, progress
    surveys = [experiment.prepare(one, out) for one in experiments]
    with interruptible(out), progress.reporting(sum(len(one.singles) for one in experiments)) as reporter:
        outcomes = [(one, experiment.compute(one, found, reporter)) for one, found in zip(experiments, surveys, strict=True)]
    for one, outcome in outcomes:
        if outcome.records:
            _print_summary(one, outcome.records)
            figures = experiment.draw(one, outcome.records, out)
            for figure in figures:
                print(figure)
            if not figures:
                print(f"figures of these runs: moo-mtl report {out / one.name}")
    say_failures([failure for _, outcome in outcomes for failure in outcome.failures])


def _print_summary(experiment: Experiment, records: list[Record]) -> None:
    from moo_mtl import summary

    rows = summary.rows(records)
    columns = list(dict.fromkeys(key for row in rows for key in row.cells))
    lines = ((row.label, str(row.seeds), *(str(row.cells.get(key, "-")) for key in columns)) for row in rows)
    print_table(experiment.title or experiment.name, ("rule", "seeds", *columns), lines)
