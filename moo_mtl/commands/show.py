"""``moo-mtl show``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from moo_mtl.commands.tables import print_table


def show(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, runs/<experiment>/<hash>.")],
) -> None:
    """Show one run: its configuration, how far it has come, its numbers and its files."""
    from moo_mtl import runs

    one = runs.read(folder)
    print_table("configuration", ("key", "value"), ((key, str(value)) for key, value in one.config.items()))
    print_table("status", ("key", "value"), ((key, str(value)) for key, value in one.status.items() if key != "files"))
    if one.state == "finished":
        print_table("metrics", ("name", "value"), _flat(one.metrics))
    print_table("files", ("name", "bytes"), ((file.name, f"{file.stat().st_size:,}") for file in sorted(folder.iterdir())))


def _flat(metrics: dict[str, object], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in metrics.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}, ")
        else:
            yield f"{prefix}{key}", str(value)
