"""Where trajectories go: over the landscape of a two-dimensional problem, and in the space of two losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from moo_mtl.errors import InputError
from moo_mtl.plotting.style import FRONT_COLOUR, LANDSCAPE, look
from moo_mtl.plotting.values import Values, array, tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from moo_mtl.problems import Problem


def landscape(
    problem: Problem,
    ax: Axes,
    *,
    extent: tuple[tuple[float, float], tuple[float, float]] | None = None,
    weights: Sequence[float] | None = None,
    levels: int = 18,
    resolution: int = 240,
) -> Axes:
    """Filled contours of a weighted sum of the losses of a two-dimensional problem.

    Args:
        problem: D = 2.
        ax: the axis drawn on.
        extent: ends of each coordinate; by default the bounds, or a frame around the starts and the Pareto set.
        weights: of the losses in the sum, K numbers; by default each loss counts in units of its own spread.
        levels: number of contours, each enclosing the same share of the frame: dense where the landscape is flat.
        resolution: points along each coordinate.
    """
    from matplotlib.colors import LinearSegmentedColormap

    if problem.n_dim != 2:
        raise InputError(f"{problem.name}: a landscape needs a two-dimensional problem, found D = {problem.n_dim}")
    (left, right), (low, high) = extent or _frame(problem)
    a, b = np.linspace(left, right, resolution), np.linspace(low, high, resolution)
    losses = array(problem.evaluate(tensor(np.stack(np.meshgrid(a, b), axis=-1))))
    factors = 1 / np.maximum(losses.std(axis=(0, 1)), np.finfo(float).tiny) if weights is None else np.asarray(weights)
    height = losses @ factors
    steps = np.unique(np.quantile(height, np.linspace(0, 1, levels + 1)))
    if len(steps) < 2:
        raise InputError(f"{problem.name}: the landscape is flat in this frame; choose another extent or other weights")
    # One colour per contour, whatever its height: log valleys and bowls of any depth stay visible.
    rank = np.interp(height, steps, np.arange(len(steps)))
    greys = LinearSegmentedColormap.from_list("landscape", LANDSCAPE)
    ax.contourf(a, b, rank, levels=np.arange(len(steps)), cmap=greys, zorder=0)
    ax.contour(a, b, rank, levels=np.arange(len(steps)), colors="#8A8A8A", linewidths=0.2, zorder=0)
    ax.set(xlim=(left, right), ylim=(low, high), xlabel="$x_1$", ylabel="$x_2$")
    return ax


def trajectories(x: Values, ax: Axes, *, name: str = "", moving: Values | None = None, **line: Any) -> Axes:
    """Tracks in a plane, from a ring at the start to the rule's marker at the end.

    Args:
        x: positions, ``[T, S, 2]``: T records of S trajectories.
        ax: the axis drawn on.
        name: of the rule: it decides colour and marker.
        moving: ``[S]`` bool, which trajectories had not come to rest: their end is hollow.
        line: further settings of the lines.
    """
    tracks = array(x)
    drawn = look(name)
    still = np.zeros(tracks.shape[1], dtype=bool) if moving is None else array(moving).astype(bool)
    ax.plot(tracks[..., 0], tracks[..., 1], **{"color": drawn.colour, "linewidth": 1.4, "zorder": 2, **line})
    ring: dict[str, Any] = {
        "marker": "o",
        "linestyle": "none",
        "markerfacecolor": "white",
        "markeredgecolor": "black",
        "markersize": 4,
    }
    ax.plot(*tracks[0].T, **ring, zorder=3)
    end: dict[str, Any] = {"marker": drawn.marker, "linestyle": "none", "markersize": 7, "zorder": 4}
    ax.plot(*tracks[-1, ~still].T, **end, color=drawn.colour, markeredgecolor="white", markeredgewidth=0.8)
    ax.plot(*tracks[-1, still].T, **end, markerfacecolor="white", markeredgecolor=drawn.colour, markeredgewidth=1.6)
    return ax


def loss_space(losses: Values, ax: Axes, *, name: str = "", moving: Values | None = None, **line: Any) -> Axes:
    """Trajectories of two losses, ``[T, S, 2]``; otherwise as ``trajectories``."""
    trajectories(losses, ax, name=name, moving=moving, **line)
    ax.set(xlabel="loss 1", ylabel="loss 2")
    return ax


def pareto_set(points: Values, ax: Axes, *, label: str = "Pareto set") -> Axes:
    """A curve of optimal points in the plane, ``[N, 2]`` in order along it."""
    ax.plot(*array(points).T, color=FRONT_COLOUR, linewidth=2.6, alpha=0.85, solid_capstyle="round", zorder=1, label=label)
    return ax


def _frame(problem: Problem) -> tuple[tuple[float, float], tuple[float, float]]:
    if problem.bounds is not None:
        (left, low), (right, high) = (array(end) for end in problem.bounds)
        return (left, right), (low, high)
    known = [array(problem.starts)] if problem.starts is not None else []
    if problem.exact_set is not None:
        known.append(array(problem.pareto_set(50)))
    cloud = np.concatenate(known) if known else np.array([[-1.0, -1.0], [1.0, 1.0]])
    lowest, highest = cloud.min(axis=0), cloud.max(axis=0)
    margin = 0.12 * (highest - lowest).max()
    (left, low), (right, high) = lowest - margin, highest + margin
    return (left, right), (low, high)
