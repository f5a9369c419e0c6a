"""What is known of many rules at once: marks in a grid, angles in a map, where each one lands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from moo_mtl.plotting.style import look
from moo_mtl.plotting.values import Values, array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEVELS = {"holds": 3, "under a condition": 2, "fails": 1, "undecided": 0, "not asked": 0}
_SIGNS = {"holds": "\u25cf", "under a condition": "\u25d0", "fails": "", "undecided": "?", "not asked": ""}
_SHADES = ("#FFFFFF", "#F3E3D3", "#BFD9EA", "#0072B2")


def verdict_grid(marks: Sequence[Sequence[str]], rules: Sequence[str], properties: Sequence[str], ax: Axes) -> Axes:
    """A rule a row, a property a column: dark holds, light holds under a condition, sand fails, white does not apply.

    Args:
        marks: words, ``[rules][properties]``: holds, under a condition, fails, undecided, not asked.
        rules: names.
        properties: names.
        ax: the axis drawn on.
    """
    from matplotlib.colors import ListedColormap

    levels = np.array([[_LEVELS[mark] for mark in row] for row in marks])
    ax.imshow(levels, cmap=ListedColormap(_SHADES), vmin=0, vmax=3, aspect="auto", interpolation="none")
    for y, row in enumerate(marks):
        for x, mark in enumerate(row):
            ax.text(x, y, _SIGNS[mark], ha="center", va="center", fontsize=6, color="white" if mark == "holds" else "#222222")
    ax.set_xticks(range(len(properties)), properties, rotation=60, ha="left", rotation_mode="anchor", fontsize=8)
    ax.set_yticks(range(len(rules)), rules, fontsize=8)
    ax.xaxis.tick_top()
    ax.set_xticks(np.arange(len(properties)) + 0.5, minor=True)
    ax.set_yticks(np.arange(len(rules)) + 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=1.0)
    ax.tick_params(which="both", length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    return ax


def angle_map(angles: Values, rules: Sequence[str], ax: Axes) -> Axes:
    """Mean angle between the directions of any two rules, in degrees, ``[R, R]``, in the order given."""
    image = ax.imshow(array(angles), cmap="viridis_r", vmin=0, vmax=90, interpolation="none")
    ax.set_xticks(range(len(rules)), rules, rotation=90, fontsize=7)
    ax.set_yticks(range(len(rules)), rules, fontsize=7)
    ax.tick_params(length=0)
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.5, pad=0.01)
    bar.set_label("mean angle between directions (degrees)")
    return ax


def family_tree(linkage: Values, rules: Sequence[str], ax: Axes) -> list[int]:
    """Dendrogram of a SciPy linkage, leaves to the right; the answer is the order of its leaves from top to bottom."""
    from scipy.cluster.hierarchy import dendrogram

    drawn = dendrogram(
        array(linkage), ax=ax, orientation="left", labels=list(rules), color_threshold=0, above_threshold_color="#444444"
    )
    ax.invert_yaxis()
    ax.tick_params(axis="y", labelsize=7)
    ax.set_xlabel("mean angle (degrees)")
    return list(drawn["leaves"])


def landing(parameter: Values, places: Mapping[str, Values], ax: Axes, *, log: bool = True) -> Axes:
    """Place on the front, 0 to 1, against a parameter of the problem, a curve a rule; a gap is where none was reached.

    Args:
        parameter: ``[N]``.
        places: of each rule, ``[N]``, NaN where the rule did not arrive.
        ax: the axis drawn on.
        log: whether the parameter's axis is logarithmic.
    """
    at = array(parameter)
    for name, found in places.items():
        drawn = look(name)
        style = {"color": drawn.colour, "linestyle": drawn.line, "marker": drawn.marker, "markersize": 3.5}
        ax.plot(at, array(found), label=name, markevery=max(1, len(at) // 7), linewidth=1.2, **style)
    if log:
        ax.set_xscale("log")
    if log and at.max() < 100 * at.min():  # less than two decades: plain numbers, where the curves have them
        ax.set_xticks(at, [f"{value:g}" for value in at])
        ax.minorticks_off()
    ax.set_ylim(-0.04, 1.04)
    return ax


def rate_region(rates: Values, rules: Sequence[str], share: Values, ax: Axes) -> Axes:
    """For each rule the learning rates that arrive: dark all starts, white none; ``share`` is ``[rules, rates]``."""
    edges = np.log10(array(rates))
    ax.imshow(
        array(share),
        cmap="Blues",
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="none",
        extent=(edges[0], edges[-1], len(rules) - 0.5, -0.5),
    )
    ax.set_yticks(range(len(rules)), rules, fontsize=8)
    ax.set_xlabel("learning rate (powers of ten)")
    ax.tick_params(length=0)
    return ax
