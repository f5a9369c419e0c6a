"""The fronts that ``moo-mtl front`` wrote, at a venue's width: ``python paper_figs/front.py DIR --problem zdt1``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from moo_mtl import problems
from moo_mtl.errors import InputError, MooMtlError
from moo_mtl.fronts import Front
from moo_mtl.fronts.reference import known
from moo_mtl.plotting import front_panels
from moo_mtl.plotting.style import VENUES

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from paper_figs.style import write


def draw(folder: Path, problem: str | None, venue: str) -> Path:
    """Write ``front-VENUE.pdf`` and ``.png`` beside the saved fronts.

    Args:
        folder: of ``moo-mtl front``.
        problem: its name, to draw the best known front behind the points.
        venue: one of ``style.VENUES``.

    Raises:
        InputError: there is no saved front in the folder, or a name is unknown.
        DataError: a stored reference front is damaged.
        RunError: the folder cannot be written.
    """
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise InputError(f"{folder} holds no saved front (*.npz); run moo-mtl front PROBLEM --out {folder} first")
    reference = None if problem is None else known(problems.get(problem))
    points = {file.stem: Front.load(file).points for file in files}
    figure = front_panels(points, known=None if reference is None else reference.points, venue=venue)
    path = folder / f"front-{venue}"
    write(figure, path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--problem")
    parser.add_argument("--venue", choices=VENUES, default="neurips")
    arguments = parser.parse_args()
    try:
        print(draw(arguments.folder, arguments.problem, arguments.venue))
    except MooMtlError as error:
        sys.exit(f"front: {error}")


if __name__ == "__main__":
    main()
