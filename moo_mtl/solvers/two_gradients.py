r"""UPGrad and DualProj of two gradients, in closed form on the three numbers of a Gramian, for large batches.

The part of one gradient that conflicts with the other is lifted away by :math:`r_1 = (-c)_+ / a` of the first for each second,
and :math:`r_2 = (-c)_+ / b` of the second for each first, where a, b are the squared lengths and c the inner product.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl.solvers.normal_form import TOLERANCE, check_gramian
from moo_mtl.solvers.solution import Solution


def applies(gramian: Tensor, present: Tensor | None, backend: str, extra: object) -> bool:
    """Whether this is a batch of two gradients, both there, for the exact kernels."""
    return present is None and backend == "exact" and extra is None and gramian.shape[-2:] == (2, 2)


def upgrad(gramian: Tensor) -> Solution:
    """``dual_cone.upgrad`` with equal preferences, ``[..., 2, 2]``: each gradient's half, and what lifts the other's."""
    pair = _Pair.of(gramian)
    half, none = torch.full_like(pair.a, 0.5), torch.zeros_like(pair.a)
    r, s = pair.first / 2, pair.second / 2
    gap, converged = pair.certified(half, s, none, s, before=pair.lengths[0] / 2)
    others, too = pair.certified(r, half, r, none, before=pair.lengths[1] / 2)
    v, w = half + r, half + s
    return Solution(torch.stack([v, w], dim=-1), pair.square(v, w), gap + others, converged & too)


def dualproj(gramian: Tensor) -> Solution:
    """``dual_cone.dualproj`` with equal preferences, ``[..., 2, 2]``: one gradient at most is longer than its half."""
    pair = _Pair.of(gramian)
    v, w = pair.first.clamp(min=1) / 2, pair.second.clamp(min=1) / 2
    before = (pair.a + pair.b + 2 * pair.c).clamp(min=0).sqrt() / 2
    gap, converged = pair.certified(v, w, v - 0.5, w - 0.5, before)
    return Solution(torch.stack([v, w], dim=-1), pair.square(v, w) / 2, gap, converged)


class _Pair(NamedTuple):
    """Entries of Gramians, ``[...]`` each: a, b, c; lengths and their inverses; what lifts the other gradient, r_1 and r_2."""

    a: Tensor
    b: Tensor
    c: Tensor
    lengths: tuple[Tensor, Tensor]
    inverse: tuple[Tensor, Tensor]
    first: Tensor
    second: Tensor
    noise: float

    @classmethod
    def of(cls, gramian: Tensor) -> _Pair:
        check_gramian(gramian)
        G = gramian.detach().double()
        a, b, c = G[..., 0, 0].clamp(min=0), G[..., 1, 1].clamp(min=0), G[..., 0, 1]
        unknown = (a + b + c) * 0  # NaN where an entry is not finite
        long, wide = a.sqrt(), b.sqrt()
        one, other = (torch.where(length > 0, 1 / length, 0.0) for length in (long, wide))
        against = (-c * one * other).clamp(0, 1) + unknown
        noise = torch.finfo(gramian.dtype).eps
        return cls(a, b, c, (long, wide), (one, other), against * wide * one, against * long * other, noise)

    def square(self, v: Tensor, w: Tensor) -> Tensor:
        """Squared length of a combination."""
        return (v * (self.a * v + self.c * w) + w * (self.c * v + self.b * w)).clamp(min=0)

    def certified(self, v: Tensor, w: Tensor, more: Tensor, too: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Gap of one projection, as ``dual_cone`` states it, and whether it is within the tolerance.

        Args:
            v: weight of the first gradient, ``[...]``.
            w: weight of the second.
            more: what v exceeds its bound by.
            too: what w exceeds its bound by.
            before: length of what was projected.
        """
        slope, other = self.a * v + self.c * w, self.c * v + self.b * w
        conflict = torch.maximum(-slope * self.inverse[0], -other * self.inverse[1]).clamp(min=0)
        gap = more * slope.abs() + too * other.abs() + conflict * before
        whole = self.lengths[0] * v + self.lengths[1] * w
        size = torch.maximum(max(TOLERANCE, 16 * self.noise) * before.square(), 8 * self.noise * whole.square())
        return gap, gap <= 2 * size
