"""``moo-mtl run``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moo_mtl.commands.tables import print_table
from moo_mtl.errors import InputError

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
    """
    if data_root is not None:
        os.environ["MOO_MTL_DATA"] = str(data_root)
    from moo_mtl import config, experiment, progress, runs

    overrides = [f"{key}={json.dumps(value)}" for key, value in (("device", device), ("dtype", dtype)) if value is not None]
    overrides += ["deterministic=true"] * deterministic
    experiments = [config.read(file, [*(settings or []), *overrides]) for file in files]
    names = [one.name for one in experiments]
    for file, name in zip(files, names, strict=True):
        if names.count(name) > 1:
            raise InputError(f"{file}: two of the files are called {name}, which names the folder of their runs; rename one")
        runs.prepare(out / name)
    for one in experiments:
        experiment.check(one, out)

    try:
        with progress.reporting(sum(len(one.singles) for one in experiments)) as reporter:
            outcomes = [(one, experiment.compute(one, out, reporter)) for one in experiments]
    except KeyboardInterrupt:
        print(
            f"Stopped. What is finished is kept in {out}; the same command goes on from the last checkpoint.", file=sys.stderr
        )
        raise typer.Exit(130) from None
    for one, outcome in outcomes:
        if outcome.records:
            _print_summary(one, outcome.records)
            for figure in experiment.draw(one, outcome.records, out):
                print(figure)
    failures = [failure for _, outcome in outcomes for failure in outcome.failures]
    for failure in failures:
        print(f"moo-mtl: {failure}", file=sys.stderr)
    if failures:
        raise typer.Exit(2)


def _print_summary(experiment: Experiment, records: list[Record]) -> None:
    from moo_mtl import summary

    rows = summary.rows(records)
    columns = list(dict.fromkeys(key for row in rows for key in row.cells))
    lines = ((row.label, str(row.seeds), *(str(row.cells.get(key, "-")) for key in columns)) for row in rows)
    print_table(experiment.title or experiment.name, ("rule", "seeds", *columns), lines)
