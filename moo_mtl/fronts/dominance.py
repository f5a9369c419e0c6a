"""Which points are dominated, for any batch of sets at once."""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl.tensors import require_points

_BLOCK = 8_000_000  # comparisons held in memory at a time


def non_dominated(losses: Tensor) -> Tensor:
    r"""Mask of the points that no other point of their set dominates.

    A point a dominates b if :math:`a \le b` in every loss and :math:`a < b` in one; equal points do not dominate each
    other, so copies of a non-dominated point all stay. A point with a NaN is out. Two losses are sorted, in
    O(N log N); more are compared pairwise in blocks, O(N^2 K).

    >>> non_dominated(torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))
    tensor([ True,  True, False])

    Args:
        losses: ``[..., N, K]``; each ``[N, K]`` is one set.

    Returns:
        ``[..., N]`` bool.

    Raises:
        InputError: these are no points ``[..., N, K]`` of floating-point numbers.
    """
    require_points("non_dominated", "losses", losses)
    bad = losses.isnan().any(dim=-1)
    clean = losses.masked_fill(bad.unsqueeze(-1), torch.inf)
    mask = _by_sorting(clean) if losses.shape[-1] == 2 else _by_pairs(clean)
    return mask & ~bad


def _by_sorting(losses: Tensor) -> Tensor:
    if losses.shape[-2] == 0:
        return losses.new_zeros(losses.shape[:-1], dtype=torch.bool)
    second, order = losses[..., 1].sort(dim=-1)
    first, again = losses[..., 0].gather(-1, order).sort(dim=-1, stable=True)  # lexicographic: by loss 1, then by loss 2
    order, second = order.gather(-1, again), second.gather(-1, again)
    start = torch.searchsorted(first.contiguous(), first.contiguous())  # of the run of points with the same loss 1
    lowest = torch.cat([torch.full_like(second[..., :1], torch.inf), second.cummin(dim=-1).values], dim=-1)
    before = lowest.gather(-1, start)  # lowest loss 2 among points with a smaller loss 1
    # At +inf a point whose loss 2 is infinite too is dominated by any point before it, and by none if it is the first.
    dominated = ((before <= second) & (start > 0)) | (second.gather(-1, start) < second)
    return torch.empty_like(dominated).scatter_(-1, order, ~dominated)


def _by_pairs(losses: Tensor) -> Tensor:
    n = losses.shape[-2]
    dominated = losses.new_zeros(losses.shape[:-1], dtype=torch.bool)
    rows = max(1, _BLOCK // max(1, losses.numel()))
    for start in range(0, n, rows):
        block = losses[..., start : start + rows, None, :]
        others = losses[..., None, :, :]
        dominated |= ((block <= others).all(dim=-1) & (block < others).any(dim=-1)).any(dim=-2)
    return ~dominated
