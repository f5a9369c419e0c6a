"""Points on a curve, spaced evenly along it: how two-task fronts are sampled."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

DENSITY = 20_001  # points that measure the length of the curve


def evenly(curve: Callable[[Tensor], Tensor], n: int, start: float = 0.0, end: float = 1.0) -> Tensor:
    """``n`` parameters between ``start`` and ``end`` whose images are evenly spaced along the curve, both ends among them.

    Args:
        curve: ``[N] -> [N, K]``; each coordinate is measured in units of its own range.
        n: at least 1; one point is the middle of the curve.

    Returns:
        Increasing parameters ``[n]``, float64: the points are ``curve(evenly(curve, n))``, exact whatever the spacing.
    """
    grid = torch.linspace(start, end, DENSITY, dtype=torch.float64)
    points = curve(grid)
    span = (points.amax(dim=0) - points.amin(dim=0)).clamp(min=torch.finfo(torch.float64).tiny)
    lengths = (points.diff(dim=0) / span).norm(dim=-1)
    travelled = torch.cat([lengths.new_zeros(1), lengths.cumsum(dim=0)])
    wanted = travelled[-1] * (
        torch.linspace(0, 1, n, dtype=torch.float64) if n > 1 else torch.full((1,), 0.5, dtype=torch.float64)
    )
    right = torch.searchsorted(travelled, wanted).clamp(1, DENSITY - 1)
    part = (wanted - travelled[right - 1]) / lengths[right - 1].clamp(min=torch.finfo(torch.float64).tiny)
    return torch.lerp(grid[right - 1], grid[right], part.clamp(0, 1))
