"""The fronts that several rules found on one problem: a panel for each, the known front behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from moo_mtl.plotting.fronts import front, parallel_coordinates
from moo_mtl.plotting.style import rc, size
from moo_mtl.plotting.values import Values, array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3


def front_panels(found: Mapping[str, Values], *, known: Values | None = None, venue: str = "screen") -> Figure:
    """A figure of points per rule: the plane for two losses, space for three, parallel coordinates for more.

    Args:
        found: losses of each rule, ``[N, K]``.
        known: the best known front, ``[R, K]``; drawn for two and three losses.
        venue: one of ``style.VENUES``.

    Raises:
        InputError: the venue is unknown.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    n_tasks = array(next(iter(found.values()))).shape[-1]
    columns = min(COLUMNS, len(found))
    lines = -(-len(found) // columns)
    width, _ = size(venue, columns=2)
    with mpl.rc_context(rc(venue)):
        figure = Figure(figsize=(width * columns / COLUMNS if columns > 1 else width / 2, width * 0.32 * lines))
        flat = n_tasks != 3
        space = {} if flat else {"projection": "3d"}
        panels = figure.subplots(lines, columns, squeeze=False, sharex=flat, sharey=flat, subplot_kw=space).flat
        for place, ((name, points), panel) in enumerate(zip(found.items(), panels, strict=False)):
            if n_tasks > 3:
                parallel_coordinates(points, panel, name=name)
            else:
                if known is not None:
                    front(known, panel)
                front(points, panel, name=name)
            panel.set_title(name)
            if flat:
                label_outer(panel, lowest=place + columns >= len(found))
        for panel in list(figure.axes)[len(found) :]:
            panel.set_visible(False)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once; each format would do it again
        return figure


def label_outer(panel: Axes, *, lowest: bool) -> None:
    """Name the axes at the edge of a grid alone; ``lowest``: nothing stands below, also where the last line is not full."""
    across = panel.get_xlabel()
    panel.label_outer()
    if lowest:
        panel.tick_params(labelbottom=True)
        panel.set_xlabel(across)
