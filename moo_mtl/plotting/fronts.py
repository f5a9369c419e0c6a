"""Fronts: two and three losses as points, any number as lines over the losses or as points pulled towards them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from moo_mtl.plotting.style import FRONT_COLOUR, look, numbered
from moo_mtl.plotting.values import Values, array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def front(points: Values, ax: Axes, *, name: str = "", label: str | None = None, **scatter: Any) -> Axes:
    """Points of a front, ``[N, 2]``, or ``[N, 3]`` on an axis with ``projection="3d"``.

    Args:
        points: the losses.
        ax: the axis drawn on.
        name: of the rule that found them; without one they are drawn as what is known, in small dark points.
        label: in the legend; by default the name.
        scatter: further settings of the points.
    """
    losses = array(points)
    drawn = look(name)
    known = {"color": FRONT_COLOUR, "marker": ".", "s": 4, "linewidths": 0, "zorder": 1}
    found = {"color": drawn.colour, "marker": drawn.marker, "s": 26, "edgecolors": "white", "linewidths": 0.5, "zorder": 2}
    ax.scatter(*losses.T, label=label or name or "front", **{**(found if name else known), **scatter})
    ax.set(xlabel="loss 1", ylabel="loss 2")
    if losses.shape[-1] == 3:
        ax.set(zlabel="loss 3")
        ax.set_box_aspect(None, zoom=0.85)  # type: ignore[call-arg]  # of Axes3D: room for the third label
    return ax


def parallel_coordinates(points: Values, ax: Axes, *, name: str = "", label: str | None = None, **line: Any) -> Axes:
    """One line per point of a front over its K losses, ``[N, K]``, each loss from its best (0) to its worst (1) in the set."""
    losses = array(points)
    low, high = losses.min(axis=0), losses.max(axis=0)
    heights = (losses - low) / np.where(high > low, high - low, 1)
    tasks = np.arange(1, losses.shape[-1] + 1)
    drawn = look(name)
    settings = {"color": drawn.colour, "linewidth": 0.8, "alpha": max(0.15, min(1.0, 12 / len(losses))), **line}
    lines = ax.plot(tasks, heights.T, **settings)
    lines[0].set_label(label or name or "front")
    ax.set(xticks=tasks, xlabel="loss", ylabel="share of its range", ylim=(-0.03, 1.03), xlim=(1, tasks[-1]))
    ax.vlines(tasks, 0, 1, colors="#BBBBBB", linewidth=0.8, zorder=0)
    return ax


def radviz(points: Values, ax: Axes, *, name: str = "", label: str | None = None, **scatter: Any) -> Axes:
    """Each point of a front, ``[N, K]``, pulled towards K anchors on a circle by its shares of the losses' ranges."""
    losses = array(points)
    low, high = losses.min(axis=0), losses.max(axis=0)
    pull = (losses - low) / np.where(high > low, high - low, 1)
    turns = 2 * np.pi * np.arange(losses.shape[-1]) / losses.shape[-1]
    anchors = np.stack([np.cos(turns), np.sin(turns)], axis=-1)
    drawn = look(name)
    ax.plot(*np.concatenate([anchors, anchors[:1]]).T, color="#BBBBBB", linewidth=0.8, zorder=0)
    for k, (across, up) in enumerate(anchors):
        ax.annotate(f"loss {k + 1}", (1.12 * across, 1.12 * up), ha="center", va="center")
    places = pull @ anchors / np.maximum(pull.sum(axis=-1, keepdims=True), np.finfo(float).tiny)
    settings = {"color": drawn.colour, "marker": drawn.marker, "s": 26, "edgecolors": "white", "linewidths": 0.5, **scatter}
    ax.scatter(*places.T, label=label or name or "front", **settings)
    ax.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal")
    ax.set_axis_off()
    return ax


def petal(point: Values, ax: Axes, *, low: Values, high: Values) -> Axes:
    """One solution, ``[K]``, as K petals on an axis with ``projection="polar"``: a longer petal is a worse loss."""
    losses, best, worst = array(point), array(low), array(high)
    width = 2 * np.pi / len(losses)
    length = (losses - best) / np.where(worst > best, worst - best, 1)
    colours = [numbered(k).colour for k in range(len(losses))]
    ax.bar(width * np.arange(len(losses)), length, width=0.96 * width, color=colours, edgecolor="white", alpha=0.85)
    ax.set(ylim=(0, 1), yticks=[], xticks=width * np.arange(len(losses)))
    ax.set_xticklabels([f"loss {k + 1}" for k in range(len(losses))])
    return ax
