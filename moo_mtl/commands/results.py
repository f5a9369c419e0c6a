"""``moo-mtl results``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from moo_mtl.commands.tables import print_table
from moo_mtl.errors import InputError


def results(
    folder: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder of the runs.")] = Path("runs"),
    where: Annotated[str, typer.Option(metavar="CONDITION", help="In SQL, on the keys of an experiment file.")] = "",
    metric: Annotated[list[str] | None, typer.Option(help="A column for this number; may be given several times.")] = None,
    form: Annotated[Literal["table", "csv", "parquet", "tex"], typer.Option("--format")] = "table",
    out: Annotated[Path | None, typer.Option(help="File to write to instead of the terminal.")] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make the database anew from the run folders first.")] = False,
) -> None:
    """Ask what all runs came to.

    The answer has a row for each run, and the columns in which the runs differ; CSV and Parquet have all columns.

    [bold]Examples[/bold]

    moo-mtl results --where "rule = 'db-mtl' AND lr < 0.01" --metric hypervolume

    moo-mtl results runs --where "state = 'failed'" --format csv --out failed.csv

    moo-mtl results --where "config ->> '$.rule.beta' = 0.5" --metric "test left/accuracy" --format tex
    """
    from moo_mtl import storage
    from moo_mtl.results import Database, ask, export

    if rebuild:
        print(f"{Database(folder).rebuild()} runs", file=sys.stderr)
    if form == "parquet" and out is None:
        raise InputError("--format parquet is not for a terminal; name a file with --out")
    answer = ask(folder, where, metric or (), every_column=form in ("csv", "parquet"))
    if form == "parquet" and out is not None:
        export.write_parquet(answer, out)
    elif form == "table" and out is None:
        print_table(f"{len(answer.rows)} runs", answer.columns, (tuple(map(export.shown, row)) for row in answer.rows))
    else:
        text = export.as_tex(answer) if form == "tex" else export.as_csv(answer)
        if out is None:
            print(text, end="")
        else:
            storage.save(out, lambda part: part.write_text(text, encoding="utf-8"))
