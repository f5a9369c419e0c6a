"""``moo-mtl show``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from moo_mtl.commands.tables import print_table

LONG = 80  # characters of a list that is still written out


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
            yield f"{prefix}{key}", _short(value)


def _short(value: object) -> str:
    """A value as it is; a long list by its size and range, because ``metrics.json`` has every number.

    >>> _short([0.5, 1.0])
    '[0.5, 1.0]'
    >>> _short([[0.5, 1.25, 1.5, 2.0]] * 20)
    '20 x 4 numbers, 0.5 to 2'
    >>> _short([True, False] * 20)
    '40, of which 20 true'
    """
    if not isinstance(value, list) or len(str(value)) <= LONG:
        return str(value)
    import numpy as np

    try:
        numbers = np.asarray(value)
    except ValueError:  # lists of different lengths
        return f"{len(value)} entries"
    size = " x ".join(map(str, numbers.shape))
    if numbers.dtype == bool:
        return f"{size}, of which {numbers.sum()} true"
    if numbers.dtype.kind in "if":
        return f"{size} numbers, {numbers.min():.4g} to {numbers.max():.4g}"
    return f"{size} entries"
