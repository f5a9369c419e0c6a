"""Settings shared by the figures of a paper: one venue, one way to write a figure to disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from moo_mtl.errors import RunError
from moo_mtl.plotting import style


@contextmanager
def figure(path: Path, *, venue: str = "neurips", columns: int = 1, aspect: float = 0.62, **subplots: Any) -> Iterator[Any]:
    """A figure of a venue's width, written as PDF and PNG when the block ends without an error.

    Args:
        path: where to, without a suffix; its folder is created.
        venue: one of ``style.VENUES``.
        columns: width in columns, 1 or 2.
        aspect: height over width.
        subplots: further arguments of ``matplotlib.pyplot.subplots``.

    Yields:
        The axes, as ``matplotlib.pyplot.subplots`` returns them.

    Raises:
        InputError: the venue is unknown.
        RunError: the folder cannot be created or written.
    """
    with plt.rc_context(style.rc(venue)):
        drawn, axes = plt.subplots(figsize=style.size(venue, columns=columns, aspect=aspect), **subplots)
        try:
            yield axes
            write(drawn, path)
        finally:
            plt.close(drawn)


def write(drawn: Any, path: Path) -> None:
    """Write a figure as ``path.pdf`` and ``path.png``, the same bytes for the same figure: no dates inside.

    Raises:
        RunError: the folder cannot be created or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.savefig(path.with_name(f"{path.name}.pdf"), metadata={"CreationDate": None})
        drawn.savefig(path.with_name(f"{path.name}.png"), metadata={"Software": None})
    except OSError as error:
        raise RunError(f"figure {path} cannot be written: {error.strerror}; choose a folder you may write to") from error
