"""Points spread over fronts: evenly along curves, over simplices and spheres, over the records of a function."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

DENSITY = 20_001  # points that measure the length of a curve


def evenly(curve: Callable[[Tensor], Tensor], n: int, start: float = 0.0, end: float = 1.0) -> Tensor:
    """``n`` parameters from ``start`` to ``end`` whose images are evenly spaced along the curve, both ends among them.

    Args:
        curve: ``[N] -> [N, K]``; each coordinate is measured in units of its own range.
        n: at least 1; one point is the middle of the curve.
        start: parameter of the first point.
        end: parameter of the last point.

    Returns:
        Parameters ``[n]``, float64: the points are ``curve(evenly(curve, n))``, exact whatever the spacing.
    """
    grid = torch.linspace(start, end, DENSITY, dtype=torch.float64)
    points = curve(grid)
    tiny = torch.finfo(torch.float64).tiny
    span = (points.amax(dim=0) - points.amin(dim=0)).clamp(min=tiny)
    lengths = (points.diff(dim=0) / span).norm(dim=-1)
    travelled = torch.cat([lengths.new_zeros(1), lengths.cumsum(dim=0)])
    wanted = travelled[-1] * shares(n)
    right = torch.searchsorted(travelled, wanted).clamp(1, DENSITY - 1)
    part = (wanted - travelled[right - 1]) / (travelled[right] - travelled[right - 1]).clamp(min=tiny)
    return torch.lerp(grid[right - 1], grid[right], part.clamp(0, 1))


def shares(n: int) -> Tensor:
    """``n`` evenly spaced numbers from 0 to 1; a single one is the middle."""
    return torch.linspace(0, 1, n, dtype=torch.float64) if n > 1 else torch.full((n,), 0.5, dtype=torch.float64)


def cube(n: int, n_dim: int) -> Tensor:
    """``n`` points spread over the unit cube, ``[n, n_dim]``: evenly in one dimension, a Sobol sequence in more."""
    if n_dim == 1:
        return shares(n).unsqueeze(-1)
    sequence = torch.quasirandom.SobolEngine(n_dim).fast_forward(1)  # the first is a corner
    drawn: Tensor = sequence.draw(n, dtype=torch.float64)
    return drawn


def simplex(n: int, n_tasks: int) -> Tensor:
    """``n`` points spread over the simplex, ``[n, K]``, its corners first where there is room for them.

    Two tasks: evenly spaced. More: sticks broken at powers of Sobol numbers, uniform over the simplex.
    """
    if n_tasks == 1:
        return torch.ones(n, 1, dtype=torch.float64)
    if n_tasks == 2:
        first = shares(n)
        return torch.stack([first, 1 - first], dim=-1)
    corners = torch.eye(n_tasks, dtype=torch.float64)[:n]
    left = cube(n - len(corners), n_tasks - 1).pow(1 / torch.arange(n_tasks - 1, 0, -1, dtype=torch.float64))
    one = torch.ones(len(left), 1, dtype=torch.float64)
    broken = torch.cat([1 - left, one], dim=-1) * torch.cat([one, left.cumprod(dim=-1)], dim=-1)
    return torch.cat([corners, broken])


def records(f: Callable[[Tensor], Tensor], start: float, end: float) -> Tensor:
    """Intervals of [start, end] on which a smooth ``f`` exceeds all its values further left, ``[I, 2]``.

    They make disconnected fronts: where a trade-off is a record, and only there, is it optimal. Ends are bisected to
    float64 accuracy; ``f`` is taken to rise from ``start``.
    """
    grid = torch.linspace(start, end, DENSITY, dtype=torch.float64)
    values = f(grid)
    best = values.cummax(dim=0).values
    rising = torch.cat([values[1:] > best[:-1], torch.tensor([False])])  # the cell to the right holds a record
    edges = rising.long().diff(prepend=torch.zeros(1, dtype=torch.long))
    intervals: list[tuple[float, float]] = []
    height = -torch.inf
    for first, last in zip(
        torch.nonzero(edges == 1).flatten().tolist(), torch.nonzero(edges == -1).flatten().tolist(), strict=True
    ):
        low = start if not intervals else _crossing(f, height, float(grid[first]), float(grid[first + 1]))
        high = end if last == DENSITY - 1 else _summit(f, float(grid[last - 1]), float(grid[last + 1]))
        intervals.append((low, high))
        height = float(f(torch.tensor(high, dtype=torch.float64)))
    return torch.tensor(intervals, dtype=torch.float64)


def along(intervals: Tensor, share: Tensor) -> Tensor:
    """Numbers in [0, 1] laid over a union of intervals in proportion to their lengths, of any shape."""
    lengths = intervals[:, 1] - intervals[:, 0]
    before = torch.cat([lengths.new_zeros(1), lengths.cumsum(dim=0)])
    travelled = share * before[-1]
    which = (torch.searchsorted(before, travelled, right=True) - 1).clamp(0, len(intervals) - 1)
    return torch.minimum(intervals[which, 0] + travelled - before[which], intervals[which, 1])


def beyond(ideal: Tensor, nadir: Tensor) -> Tensor:
    """The reference point where the literature has no other: a tenth of the front's range beyond the nadir."""
    return nadir + 0.1 * (nadir - ideal)


def _crossing(f: Callable[[Tensor], Tensor], height: float, low: float, high: float) -> float:
    for _ in range(80):
        middle = (low + high) / 2
        above = float(f(torch.tensor(middle, dtype=torch.float64))) > height
        low, high = (low, middle) if above else (middle, high)
    return high


def _summit(f: Callable[[Tensor], Tensor], low: float, high: float) -> float:
    for _ in range(80):
        leaf = torch.tensor((low + high) / 2, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(f(leaf), leaf)
        middle = float(leaf.detach())
        low, high = (middle, high) if slope > 0 else (low, middle)
    return low
