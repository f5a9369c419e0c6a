r"""Whether a matrix can be a Gramian: inner products are symmetric, and none is above the product of the two lengths.

The short methods see in passing that something is amiss, and give no answer. The general path then looks closely, here, and
what rounding does not explain is refused: as a rule somebody has passed the gradients themselves, as many as they have entries.
That a matrix with all this is positive semi-definite as well is presumed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl.errors import InputError

SLACK = 1e-3  # of the product of two lengths: more than any rounding of float32, and less than any mistake
WITHIN = (1 + SLACK) ** 2  # the same for squares
SHORT = 1e-3  # of the longest: what a length counts for at least, so that the rounding of short ones is not judged
FEW = 5  # tasks of a batch that are compared entry by entry
LEAST = 1e-146  # the same for the longest: squares near the end of float64 have few digits


def require_inner_products(gramian: Tensor) -> None:
    """Refuse what is no Gramian.

    Args:
        gramian: ``[..., K, K]``; members with an entry that is not finite are passed over.

    Raises:
        InputError: an entry differs from its mirror image, is above the product of two lengths, or is a negative square, by
            more than ``SLACK`` or rounding of the dtype. Looking would stall an accelerator, so there nothing is checked.
    """
    if gramian.device.type != "cpu" or not gramian.numel():
        return
    G = gramian.detach().double()
    G = G.masked_fill(~G.isfinite().all(dim=-1).all(dim=-1)[..., None, None], 0.0)
    lengths = G.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    lengths = torch.maximum(lengths, (SHORT * lengths.amax(dim=-1, keepdim=True)).clamp(min=LEAST))
    cosines = G / lengths.unsqueeze(-1) / lengths.unsqueeze(-2)
    slack = max(SLACK, 8 * torch.finfo(gramian.dtype).eps)
    skew, above = (cosines - cosines.mT).abs() > slack, cosines.abs() > 1 + slack
    if bool((skew | above).any()):
        raise InputError(f"gramian: {_amiss(G, skew, above)}; pass J @ J.mT, the inner products of the gradients")


def symmetric(G: Tensor) -> bool:
    """Whether every entry is its mirror image's equal; read from the device."""
    K = G.shape[-1]
    if G.ndim == 2 or K > FEW:
        return torch.equal(G, G.mT)
    return all(torch.equal(G[..., i, j], G[..., j, i]) for i in range(K) for j in range(i))


def two_inner_products(a: Tensor, b: Tensor, c: Tensor, mirrored: Tensor) -> bool:
    """Whether squared lengths a, b and the products c, ``[...]`` each, leave no doubt, or are not to be looked at."""
    if a.device.type != "cpu" or not a.numel():
        return True
    return torch.equal(c, mirrored) and float(torch.addcmul(a * b, c, c, value=-1 / WITHIN).amin()) >= 0


def _amiss(G: Tensor, skew: Tensor, above: Tensor) -> str:
    """The first entry that no Gramian has."""
    *member, i, j = (skew if bool(skew.any()) else above).nonzero()[0].tolist()
    found = G[tuple(member)]
    if bool(skew.any()):
        return f"entry [{i}, {j}] is {found[i, j]:g} and entry [{j}, {i}] is {found[j, i]:g}, expected a symmetric matrix"
    if i == j:
        return f"entry [{i}, {i}] is {found[i, i]:g}, expected a squared length"
    squares = f"{found[i, i]:g} and {found[j, j]:g}"
    return f"entry [{i}, {j}] is {found[i, j]:g}, above the product of two lengths, whose squares are {squares}"
