"""Inner products of gradients: float64 sums at nearly the price of float32 ones."""

import torch
from torch import Tensor

FEW, SHORT, MANY = 3, 32, 64  # tasks and dimensions at most, members at least, that are multiplied entry by entry
BLOCK = 65_536  # columns whose products are formed in float32 before they are added in float64
_CACHED = 65_536  # numbers converted to float64 at a time: on a CPU they should stay in its cache


def gramian(rows: Tensor) -> Tensor:
    r"""Gramian :math:`G = J J^\top` of K gradients, exactly symmetric.

    Args:
        rows: ``[..., K, D]``, any floating dtype.

    Returns:
        ``[..., K, K]`` in float64. Float64 rows are multiplied as they are; narrower ones in float64 blocks, so that
        the Gramian of float32 gradients is exact to float64 rounding of the float32 numbers.
    """
    if _by_entries(rows):
        tasks = rows.double().unbind(dim=-2)
        pairs = [[(left * right).sum(dim=-1) for right in tasks[: k + 1]] for k, left in enumerate(tasks)]
        entries = [pairs[max(i, j)][min(i, j)] for i in range(len(tasks)) for j in range(len(tasks))]
        return torch.stack(entries).unflatten(0, (len(tasks), len(tasks))).movedim((0, 1), (-2, -1))
    product = cross_gramian(rows, rows)
    return (product + product.mT) / 2


def combined(weights: Tensor, rows: Tensor) -> Tensor:
    r"""The direction :math:`J^\top w`: ``[..., K]`` and ``[..., K, D]`` to ``[..., D]``, in the dtype of the rows."""
    weights = weights.to(rows.dtype)
    if not _by_entries(rows):
        return (weights.unsqueeze(-2) @ rows).squeeze(-2)
    first, *others = zip(weights.unsqueeze(-1).unbind(dim=-2), rows.unbind(dim=-2), strict=True)
    direction = first[0] * first[1]
    for weight, row in others:
        direction = torch.addcmul(direction, weight, row)
    return direction


def cross_gramian(left: Tensor, right: Tensor) -> Tensor:
    r"""Products :math:`J_a J_b^\top` of the gradients of two batches, ``[..., K, D]`` twice to ``[..., K, K]`` in float64."""
    width = BLOCK if left.device.type != "cpu" else max(_CACHED // max(left.shape[-2], 1), 1024)
    if left.dtype == torch.float64 or left.shape[-1] <= width:
        whole = left.double()
        return whole @ (whole if left is right else right.double()).mT
    total = torch.zeros((), dtype=torch.float64, device=left.device)
    for start in range(0, left.shape[-1], width):
        part = left[..., start : start + width].double()
        other = part if left is right else right[..., start : start + width].double()
        total = total + part @ other.mT
    return total


def by_entries(n_tasks: int, n_dim: int, members: int) -> bool:
    """Whether passes over all members at once are faster than a small matrix product for each.

    They are fastest where members lie side by side in memory; see ``side_by_side``.
    """
    return n_tasks <= FEW and n_dim <= SHORT and members >= MANY


def side_by_side(x: Tensor) -> Tensor:
    """Lay ``[..., D]`` out coordinate by coordinate, so that an operation on all members runs along the memory."""
    return x.movedim(-1, 0).contiguous().movedim(0, -1)


def _by_entries(rows: Tensor) -> bool:
    return by_entries(rows.shape[-2], rows.shape[-1], rows.shape[:-2].numel())
