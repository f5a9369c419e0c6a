"""Fronts kept by ``benchmarks.front_suite --points DIR``, side by side: ``python paper_figs/front_suite.py DIR``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from moo_mtl.errors import InputError, MooMtlError
from moo_mtl.plotting import style

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from paper_figs.style import plt, write

ROWS = {"reference": "best known", "NSGA": "NSGA-II / III", "filled": "hybrid"}


def draw(folder: Path, out: Path) -> None:
    """A column for each problem, and below each other the reference, evolution alone and the hybrid, on the same axes.

    Args:
        folder: of the kept points.
        out: the figure, without a suffix.

    Raises:
        InputError: the folder holds no points of two or three losses, or a way was not run.
        RunError: the figure cannot be written.
    """
    files = sorted(folder.glob("*.npz"))
    kept = {file.stem: dict(np.load(file)) for file in files}
    kept = {name: ways for name, ways in kept.items() if ways["reference"].shape[1] <= 3}
    if not kept:
        raise InputError(f"{folder} holds no fronts; run python -m benchmarks.front_suite --points {folder} first")
    with plt.rc_context(style.rc()):
        figure = plt.figure(figsize=(2.5 * len(kept), 2.3 * len(ROWS)))
        for column, (name, ways) in enumerate(kept.items()):
            for row, (way, title) in enumerate(ROWS.items()):
                if way not in ways:
                    raise InputError(f"{folder}/{name}.npz has no {way!r}; run the suite with --ways all")
                _panel(figure, len(kept) * row + column + 1, len(kept), ways[way], ways["reference"], f"{name}, {title}")
        write(figure, out)
        plt.close(figure)


def _panel(figure: Any, place: int, columns: int, points: np.ndarray, reference: np.ndarray, title: str) -> None:
    """Points in units of the reference; what lies far outside is left out and counted in the title."""
    low, span = reference.min(axis=0), np.ptp(reference, axis=0)
    unit = (points - low) / span
    inside = (unit <= 1.3).all(axis=1)
    if not inside.all():
        title += f" ({(~inside).sum()} beyond)"
    three = points.shape[1] == 3
    ax = figure.add_subplot(len(ROWS), columns, place, **({"projection": "3d"} if three else {}))
    ax.scatter(*unit[inside].T, s=3, linewidths=0, color=style.COLOURS[0])
    ax.set(xlim=(-0.05, 1.3), ylim=(-0.05, 1.3))
    if three:
        ax.set(zlim=(-0.05, 1.3))
        ax.view_init(elev=25, azim=40)
    ax.set_title(title, fontsize=8)
    ax.tick_params(labelsize=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("fronts"))
    arguments = parser.parse_args()
    try:
        draw(arguments.folder, arguments.out)
    except MooMtlError as error:
        sys.exit(f"front_suite: {error}")


if __name__ == "__main__":
    main()
