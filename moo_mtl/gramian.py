"""Inner products of gradients: float64 sums at nearly the price of float32 ones."""

import torch
from torch import Tensor

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
    product = cross_gramian(rows, rows)
    return (product + product.mT) / 2


def cross_gramian(left: Tensor, right: Tensor) -> Tensor:
    r"""Products :math:`J_a J_b^\top` of the gradients of two batches, ``[..., K, D]`` twice to ``[..., K, K]`` in float64."""
    width = BLOCK if left.device.type != "cpu" else max(_CACHED // max(left.shape[-2], 1), 1024)
    if left.dtype == torch.float64 or left.shape[-1] <= width:
        return left.double() @ right.double().mT
    total = torch.zeros((), dtype=torch.float64, device=left.device)
    for start in range(0, left.shape[-1], width):
        part = left[..., start : start + width].double()
        other = part if left is right else right[..., start : start + width].double()
        total = total + part @ other.mT
    return total
