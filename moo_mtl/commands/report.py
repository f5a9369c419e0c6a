"""``moo-mtl report``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN_OR_SWEEP", help="Folder of a run, of an experiment, or of many.")],
    out: Annotated[Path | None, typer.Option(help="The file; default: report.html in that folder.")] = None,
) -> None:
    """Write one HTML file to look at runs: fronts, trajectories, weights, losses, cosines, certificates, tables.

    It needs no network and no server. Hover for numbers, click on a rule to hide it, on a column to sort by it.

    [bold]Examples[/bold]

    moo-mtl report runs/toy-demo

    moo-mtl report runs/toy-demo/0123456789abcdef --out toy.html
    """
    from rich.console import Console

    from moo_mtl import report as reports

    with Console(stderr=True).status("reading runs") as status:
        written = reports.write(folder, out or folder / "report.html", lambda name: status.update(f"reading {name}"))
    for note in written.notes:
        print(note, file=sys.stderr)
    print(f"{written.file} ({written.bytes / 1e6:.1f} MB, {written.runs} runs)")
