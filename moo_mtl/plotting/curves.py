"""What changes over steps: certificates, metrics over seeds, weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from moo_mtl.plotting.style import look, numbered
from moo_mtl.plotting.values import Array, Values, array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NOTHING = np.finfo(float).tiny  # stands for zero on a logarithmic axis
_ROUNDING = 1e-9  # of the largest bound: below it, a certificate reads rounding


def certificate(steps: Values, lower: Values, upper: Values, ax: Axes, *, name: str = "", label: str | None = None) -> Axes:
    """The band that holds the distance to Pareto-stationarity, on a logarithmic axis.

    Args:
        steps: ``[T]``.
        lower: lower bounds, ``[T]`` or ``[T, S]`` for S trajectories; a bound of zero reaches the foot of the axis.
        upper: upper bounds, likewise.
        ax: the axis drawn on.
        name: of the rule: it decides the colour and the line.
        label: in the legend; by default the name.
    """
    at, low, high = array(steps), _columns(lower), _columns(upper)
    drawn = look(name)
    low, high = (np.maximum(bound, _NOTHING) for bound in (low, high))
    for bottom, top in zip(low.T, high.T, strict=True):
        ax.fill_between(at, bottom, top, color=drawn.colour, alpha=0.12, linewidth=0)
    lines = ax.plot(at, high, color=drawn.colour, linestyle=drawn.line, linewidth=1.1)
    lines[0].set_label(label or name or None)
    ax.set_yscale("log")
    _reach(ax)
    ax.set(xlabel="step", ylabel="distance to stationarity")
    return ax


def learning_curves(steps: Values, values: Values, ax: Axes, *, name: str = "", label: str | None = None) -> Axes:
    """Mean over seeds and one standard deviation around it; ``values`` is ``[T]`` or ``[T, seeds]``."""
    at, runs = array(steps), _columns(values)
    drawn = look(name)
    mean = runs.mean(axis=1)
    every = max(1, len(at) // 8)
    line = {"color": drawn.colour, "linestyle": drawn.line, "marker": drawn.marker, "markevery": every}
    ax.plot(at, mean, **line, markeredgecolor="white", markeredgewidth=0.5, label=label or name or None)
    if runs.shape[1] > 1:
        spread = runs.std(axis=1, ddof=1)
        ax.fill_between(at, mean - spread, mean + spread, color=drawn.colour, alpha=0.15, linewidth=0)
    ax.set(xlabel="step")
    return ax


def task_weights(steps: Values, weights: Values, ax: Axes, *, tasks: Sequence[str] = ()) -> Axes:
    """Weight of each task over time: ``[T, K]``, or ``[T, seeds, K]`` with the mean and the range over seeds."""
    at, given = array(steps), array(weights)
    runs = given[:, None] if given.ndim == 2 else given
    names = tasks or [f"task {k + 1}" for k in range(runs.shape[-1])]
    for k, task in enumerate(names):
        drawn = numbered(k)
        ax.plot(at, runs[..., k].mean(axis=1), color=drawn.colour, linestyle=drawn.line, label=task)
        if runs.shape[1] > 1:
            lowest, highest = runs[..., k].min(axis=1), runs[..., k].max(axis=1)
            ax.fill_between(at, lowest, highest, color=drawn.colour, alpha=0.15, linewidth=0)
    ax.set(xlabel="step", ylabel="weight")
    return ax


def _reach(ax: Axes) -> None:
    """The axis, and those that share it, from all bounds drawn; what is zero or rounding leaves through its foot."""
    shared = ax.get_shared_y_axes().get_siblings(ax)
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for axis in shared for line in axis.lines])
    seen = drawn[np.isfinite(drawn) & (drawn > _NOTHING)]
    if seen.size:
        ax.set_ylim(max(seen.min() / 3, _ROUNDING * seen.max()), 3 * seen.max())


def _columns(values: Values) -> Array:
    given = array(values)
    return given[:, None] if given.ndim == 1 else given
