"""Inner products of gradients: float64 sums at nearly the price of float32 ones."""

import torch
from torch import Tensor

BLOCK = 65_536  # columns multiplied in the rows' own precision before their products are added in float64


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
    if left.dtype == torch.float64 or left.shape[-1] <= BLOCK:
        return left.double() @ right.double().mT
    blocks = zip(left.split(BLOCK, dim=-1), right.split(BLOCK, dim=-1), strict=True)
    return torch.stack([a.double() @ b.double().mT for a, b in blocks]).sum(dim=0)
