"""The best of all that was evaluated: mutually non-dominated points, and where they were found."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl.fronts.dominance import non_dominated
from moo_mtl.problems.problem import Problem

GRID = 200  # cells of each loss's range


class Archive(NamedTuple):
    """Mutually non-dominated, finite, and different from each other.

    Attributes:
        x: ``[N, D]``.
        points: their losses, ``[N, K]``.
    """

    x: Tensor
    points: Tensor

    @classmethod
    def of(cls, problem: Problem, x: Tensor) -> Archive:
        """What is worth keeping of ``x``, ``[M, D]``."""
        with torch.no_grad():
            return _kept(x, problem.evaluate(x))

    def joined(self, other: Archive) -> Archive:
        """What is worth keeping of two archives."""
        return _kept(torch.cat([self.x, other.x]), torch.cat([self.points, other.points]))

    def spread(self, n: int) -> Archive:
        """At most ``n`` of them, far from each other: see ``far_apart``."""
        if len(self.points) <= n:
            return self
        low, span = self.units()
        chosen = far_apart((self.points - low) / span, n)
        return Archive(self.x[chosen], self.points[chosen])

    def units(self) -> tuple[Tensor, Tensor]:
        """The best of each loss, and the range of each, ``[K]``; 1 where there is none.

        The range is that of the points which stay non-dominated on a grid of ``GRID`` cells across it: one that is better than
        another by next to nothing in one loss, and worse by far in the rest, as evolution leaves them on DTLZ3, does not count.
        """
        low, counted = self.points.amin(dim=0), self.points
        while True:
            span = counted.amax(dim=0) - low
            span = torch.where(span > 0, span, 1.0)
            kept = counted[non_dominated(((counted - low) / span * GRID).floor())]
            if bool((kept.amax(dim=0) == counted.amax(dim=0)).all()):
                return low, span
            counted = kept


def far_apart(points: Tensor, n: int) -> Tensor:
    """Indices of at most ``n`` points ``[N, K]``: the best in each loss, then always the one farthest from those chosen.

    The largest hole that is left has at most twice the radius of the best possible choice's.

    Source: Gonzalez, Clustering to Minimize the Maximum Intercluster Distance, Theoretical Computer Science 38, 1985.
    """
    if len(points) <= n:
        return torch.arange(len(points), device=points.device)
    chosen = points.argmin(dim=0).unique().tolist()[:n]
    distance = torch.cdist(points, points[chosen]).amin(dim=-1)
    while len(chosen) < n:
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (points - points[chosen[-1]]).norm(dim=-1))
    return torch.tensor(chosen, device=points.device)


def _kept(x: Tensor, points: Tensor) -> Archive:
    kept = non_dominated(points) & points.isfinite().all(dim=-1)
    x, points = x[kept], points[kept]
    _, which = points.unique(dim=0, return_inverse=True)
    first = torch.full((int(which.max()) + 1 if len(which) else 0,), len(points), device=points.device)
    first = first.scatter_reduce(0, which, torch.arange(len(points), device=points.device), "amin")
    return Archive(x[first], points[first])
