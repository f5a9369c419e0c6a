"""What one run left behind, as arrays that figures are made of: where it went, and what changed on the way."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch

from moo_mtl.gramian import gramian
from moo_mtl.plotting.values import Array
from moo_mtl.problems import Problem
from moo_mtl.report.thinning import Budget, Thinned, evenly
from moo_mtl.tracing import Trace
from moo_mtl.training import History

DISTANCE = "distance to Pareto-stationarity, upper bound"
COSINES = "cosines between gradients"


@dataclass(frozen=True)
class Series:
    """A quantity over the steps or epochs.

    Attributes:
        parts: names of what is counted apart: tasks, pairs of tasks, metrics.
        at: steps or epochs, ``[S]``.
        values: ``[S, N, P]`` for N trajectories.
    """

    parts: tuple[str, ...]
    at: Array
    values: Array


@dataclass(frozen=True)
class Curves:
    """One run: M of its trajectories as lines, N of them by their ends and in medians.

    Attributes:
        axis: what ``at`` counts, ``"step"`` or ``"epoch"``.
        tasks: K names.
        at: steps or epochs of the lines' points, ``[T]``.
        track: losses on the way, ``[T, M, K]``.
        bounds: the certificate's upper bound there, or the last one before, ``[T, M]``; NaN where there is none.
        number: which trajectories the lines are, ``[M]``.
        ends: losses at the end, ``[N, K]``; of a network, of the epoch kept.
        members: which trajectories the ends are, ``[N]``.
        lower: lower bound on the distance to Pareto-stationarity at the ends, ``[N]``.
        upper: upper bound on it, ``[N]``.
        moving: whether the trajectory still moved when the run ended, ``[N]`` bool.
        positions: of the lines in the space of x, ``[T, M, D]``, where D is 2 or 3; otherwise ``None``.
        series: by name.
        thinned: what was left out.
    """

    axis: str
    tasks: tuple[str, ...]
    at: Array
    track: Array
    bounds: Array
    number: Array
    ends: Array
    members: Array
    lower: Array
    upper: Array
    moving: Array
    positions: Array | None
    series: dict[str, Series]
    thinned: Thinned


def of_trace(path: Trace, problem: Problem | None, budget: Budget) -> Curves:
    """Curves of trajectories; the gradients' cosines are computed again, where the problem is at hand."""
    losses, weights, x = (_flat(tensor) for tensor in (path.losses, path.weights, path.x))
    lower, upper = (bound.flatten(1).numpy() for bound in (path.lower, path.upper))
    steps, certified = path.steps.numpy(), path.certified.numpy()
    records, members = evenly(len(steps), budget.records), evenly(losses.shape[1], budget.members)
    bounded = evenly(len(certified), budget.records)
    drawn, tracks = budget.line(len(steps), losses.shape[1])
    tasks = tuple(f"loss {k + 1}" for k in range(losses.shape[-1]))

    series = {
        "losses": Series(tasks, steps[records], losses[records][:, members]),
        "weights": Series(tasks, steps[records], weights[records][:, members]),
        DISTANCE: Series(("all",), certified[bounded], upper[bounded][:, members, None]),
    }
    if problem is not None and len(tasks) > 1:
        series[COSINES] = _cosines(problem, x[records][:, members], steps[records], tasks)
    before = np.searchsorted(certified, steps[drawn], side="right") - 1
    return Curves(
        axis="step",
        tasks=tasks,
        at=steps[drawn],
        track=losses[drawn][:, tracks],
        bounds=np.where(before[:, None] >= 0, upper[before][:, tracks], np.nan),
        number=tracks,
        ends=losses[-1][members],
        members=members,
        lower=lower[-1][members],
        upper=upper[-1][members],
        moving=path.moving().flatten().numpy()[members],
        positions=x[drawn][:, tracks] if x.shape[-1] in (2, 3) else None,
        series=series,
        thinned=Thinned((len(drawn), len(steps)), (len(tracks), len(members), losses.shape[1])),
    )


def of_history(history: History, budget: Budget) -> Curves:
    """Curves of a network's training: one trajectory, over the validation losses where there are any."""
    validated = len(history.validation_losses) > 0
    losses = (history.validation_losses if validated else history.losses).numpy()
    epochs = np.arange(1, history.epochs + 1)
    records, (drawn, _) = evenly(len(epochs), budget.records), budget.line(len(epochs), 1)
    part = "validation" if "validation" in history.certificates else "train"
    lower, upper = history.certificates[part].numpy() if part in history.certificates else (np.nan, np.nan)

    def over_epochs(parts: tuple[str, ...], values: Array) -> Series:
        return Series(parts, epochs[records], values[records][:, None])

    series = {
        "training losses": over_epochs(history.tasks, history.losses.numpy()),
        "weights": over_epochs(history.tasks, history.weights.numpy()),
    }
    if validated:
        series["validation losses"] = over_epochs(history.tasks, losses)
    if history.metrics:
        measured = np.stack([values.numpy() for values in history.metrics.values()], axis=-1)
        series["validation metrics"] = over_epochs(tuple(history.metrics), measured)
    if len(history.estimates):
        steps, values = history.estimates.numpy()[evenly(len(history.estimates), budget.records)].T
        at = steps * history.epochs / max(history.steps, 1)
        series["length of the weighted gradient, signed half-batch estimate"] = Series(("all",), at, values[:, None, None])
    return Curves(
        axis="epoch",
        tasks=history.tasks,
        at=epochs[drawn],
        track=losses[drawn][:, None],
        bounds=np.full((len(drawn), 1), np.nan),
        number=np.zeros(1, dtype=int),
        ends=losses[max(history.best_epoch, 1) - 1][None],
        members=np.zeros(1, dtype=int),
        lower=np.full(1, float(lower)),
        upper=np.full(1, float(upper)),
        moving=np.zeros(1, dtype=bool),
        positions=None,
        series=series,
        thinned=Thinned((len(drawn), len(epochs)), (1, 1, 1)),
    )


def _cosines(problem: Problem, x: Array, steps: Array, tasks: tuple[str, ...]) -> Series:
    """Between the raw gradients of each pair of tasks; of more than six pairs, the smallest and the mean."""
    products = gramian(problem.jacobian(torch.from_numpy(np.ascontiguousarray(x))).detach())
    norms = products.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    cosine = (products / (norms[..., :, None] * norms[..., None, :])).numpy()
    pairs = list(combinations(range(len(tasks)), 2))
    values = np.stack([cosine[..., a, b] for a, b in pairs], axis=-1)
    if len(pairs) > 6:
        return Series(("smallest", "mean"), steps, np.stack([values.min(axis=-1), values.mean(axis=-1)], axis=-1))
    return Series(tuple(f"{tasks[a]}, {tasks[b]}" for a, b in pairs), steps, values)


def _flat(tensor: Any) -> Array:
    """``[T, ..., K]`` as ``[T, N, K]``."""
    flat: Array = tensor.reshape(len(tensor), -1, tensor.shape[-1]).numpy()
    return flat
