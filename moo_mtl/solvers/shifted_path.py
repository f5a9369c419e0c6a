r"""The path of min-norm points of gradients shifted by the mean gradient, :math:`g_k + \tau g_0`, searched for a shift.

The shifted Gramian is never formed: beside :math:`\tau g_0`, gradients that are a million times shorter would drown. With
lengths n, shortest m, :math:`t = m / n`, unit rows and :math:`a_k = g_k^\top g_0 / n_k`, the point of the path is
:math:`w \propto t\,y`, where y at least 0 minimises

.. math:: \tfrac12 y^\top (C + t t^\top) y - (t - \sigma a)^\top y \quad\text{or}\quad
          \tfrac12 y^\top C y + (t + \sigma a)^\top y,

the first while :math:`d = \sum_k y_k g_k / n_k + \sigma g_0` still improves every task, the second beyond: the multiplier of
:math:`1^\top w = 1` is scaled to 1 or -1. One matrix serves every shift, and on a support y is affine in :math:`\sigma`, so
that an equation for the shift is solved exactly once the support is right. Between the two, at :math:`\sigma = \infty`, d is
the projection of the mean gradient onto the dual cone.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl.solvers.nonnegative_qp import nonnegative_qp
from moo_mtl.solvers.normal_form import NormalForm, times
from moo_mtl.solvers.regions import Piece, Quadratic, Region

SHIFTS = 40  # tried on CPU at most; three are typical
TOUCHING = 1e-6  # relative excess at which a point of the path counts as one where the constraint touches
SHIFTS_MASKED = 10  # tried on an accelerator, always


class Mean(NamedTuple):
    """The mean gradient g_0, as the Gramian sees it."""

    weights: Tensor  # 1 / K on the present tasks, [..., K]
    products: Tensor  # g_k'g_0, [..., K]
    square: Tensor  # |g_0|^2, [...]

    @classmethod
    def of(cls, form: NormalForm) -> Mean:
        weights = form.present.double() / form.present.sum(dim=-1, keepdim=True).clamp(min=1)
        products = times(form.gramian, weights)
        return cls(weights, products, (weights * products).sum(dim=-1).clamp(min=0))


class Path(NamedTuple):
    """The quadratic programs of a flat batch: only the multiple of ``a`` differs from shift to shift."""

    cosines: Tensor  # C, [B, K, K]
    t: Tensor  # [B, K]
    a: Tensor
    square: Tensor  # |g_0|^2, [B]
    acting: Tensor  # present, with a gradient, [B, K] bool
    norms: Tensor  # 1 where not acting
    noise: float

    @classmethod
    def of(cls, form: NormalForm, mean: Mean) -> Path:
        K = form.norms.shape[-1]
        acting = (form.present & (form.norms > 0)).reshape(-1, K)
        norms = torch.where(acting, form.norms.reshape(-1, K), 1.0)
        t = torch.where(acting, norms.amin(dim=-1, keepdim=True) / norms, 0.0)
        a = times(form.cosines, form.norms * mean.weights).reshape(-1, K)
        return cls(form.cosines.reshape(-1, K, K), t, a, mean.square.reshape(-1), acting, norms, form.noise)

    def select(self, index: Tensor) -> Path:
        cosines, t, a, square, acting, norms = (field[index] for field in self[:-1])
        return Path(cosines, t, a, square, acting, norms, self.noise)

    def projection(self) -> Tensor:
        """The end at infinity: y with which g_0 is projected onto the dual cone, ``[B, K]``."""
        return nonnegative_qp(self.cosines, -self.a, self.acting, self.noise, start=self.a < 0)

    def violates(self, region: Region, y: Tensor, shift: Tensor) -> Tensor:
        """Whether the direction of ``y`` and ``shift`` is outside the region, ``[B]``."""
        length = (times(self.cosines, y) * y).sum(dim=-1).clamp(min=0)
        return region.outside(length, (self.a * y).sum(dim=-1), self.square, shift)

    def touches(self, region: Region, y: Tensor, shift: Tensor) -> Tensor:
        """Whether the constraint holds with equality at ``y`` and ``shift``; on a dependent support a root may be rounding."""
        length, nothing = (times(self.cosines, y) * y).sum(dim=-1), torch.zeros_like(shift)
        c0, c1, c2 = region.excess(Piece(length, nothing, nothing, (self.a * y).sum(dim=-1), nothing, self.square))
        terms = torch.stack([c0, 2 * c1 * shift, c2 * shift.square()])
        return terms.sum(dim=0).abs() <= TOUCHING * terms.abs().sum(dim=0)


def search(path: Path, region: Region, moving: Tensor, beyond: Tensor, projection: Tensor) -> tuple[Tensor, Tensor]:
    """The point y ``[B, K]`` and shift of the path where the region is touched, or its start where that is inside.

    Newton's method between a lower and an upper bound of the shift: the next shift is the root on the last one's support.
    Members that are not ``moving`` stay at the start; those ``beyond`` are searched on the part of the path after infinity,
    where the constraint turns from held to violated, from their ``projection``.
    """
    cpu = path.t.device.type == "cpu"
    sign = torch.where(beyond, -1.0, 1.0).to(path.t.dtype)
    ahead = path.t * (~beyond).unsqueeze(-1)
    H = path.cosines + ahead.unsqueeze(-1) * ahead.unsqueeze(-2)
    low, high = torch.zeros_like(path.square), torch.full_like(path.square, torch.inf)
    y = nonnegative_qp(H, ahead, path.acting, path.noise)
    answer, found = y, low.clone()
    bound = moving & (beyond | path.violates(region, y, low))
    y = torch.where(beyond.unsqueeze(-1), projection, y)
    shift = _piece(path, H, sign, y, low, region)[0]
    where = torch.arange(len(low), device=low.device)
    for _ in range(SHIFTS if cpu else SHIFTS_MASKED):
        if cpu:
            left = (bound & (high - low > 1e-14 * low)).nonzero().squeeze(-1)
            if not left.numel():
                break
            if left.numel() < len(bound):
                path = path.select(left)
                fields = (H, sign, y, low, high, shift, bound, where)
                H, sign, y, low, high, shift, bound, where = (field[left] for field in fields)
        within = (shift > low) & (shift < high) & shift.isfinite()
        shift = torch.where(bound, torch.where(within, shift, _between(low, high)), 1.0)
        b = sign.unsqueeze(-1) * path.t - shift.unsqueeze(-1) * path.a
        y = nonnegative_qp(H, b, path.acting, path.noise, start=y > 0)
        root, exact = _piece(path, H, sign, y, shift, region)
        early = path.violates(region, y, shift) == (sign > 0)
        low, high = torch.where(early, shift, low), torch.where(early, high, shift)
        answer[where] = torch.where(bound.unsqueeze(-1), exact, answer[where])
        found[where] = torch.where(bound, shift, found[where])
        settled = (root - shift).abs() <= 1e-9 * shift  # the gap is of second order in the shift
        bound = bound & ~(settled & path.touches(region, y, shift))
        shift = root
    return answer, found


def _piece(path: Path, H: Tensor, sign: Tensor, y: Tensor, shift: Tensor, region: Region) -> tuple[Tensor, Tensor]:
    """The shift at which the constraint touches on the support of ``y``, and the point at ``shift`` there, else ``y``."""
    free = (y > 0).to(y.dtype)
    M = H * (free.unsqueeze(-1) * free.unsqueeze(-2))
    M.diagonal(dim1=-2, dim2=-1).add_(torch.where(free > 0, 2 * y.shape[-1] * path.noise, 1.0))
    right = torch.stack([sign.unsqueeze(-1) * path.t * free, -path.a * free], dim=-1)
    both = torch.cholesky_solve(right, torch.linalg.cholesky_ex(M).L)
    p, q = both.unbind(dim=-1)
    Cp, Cq = (path.cosines @ both).unbind(dim=-1)
    pp, pq, qq = (p * Cp).sum(dim=-1), (p * Cq).sum(dim=-1), (q * Cq).sum(dim=-1)
    c0, c1, c2 = region.excess(Piece(pp, pq, qq, (path.a * p).sum(dim=-1), (path.a * q).sum(dim=-1), path.square))
    at = p + shift.unsqueeze(-1) * q
    valid = at.amin(dim=-1) >= -1e-9 * at.abs().amax(dim=-1)  # else the support is degenerate, and its system singular
    return _root((sign * c0, sign * c1, sign * c2)), torch.where(valid.unsqueeze(-1), at.clamp(min=0), y)


def _root(quadratic: Quadratic[Tensor]) -> Tensor:
    """Where the excess turns from positive to negative; infinite if it stays positive."""
    c0, c1, c2 = quadratic
    inside = c1 * c1 - c0 * c2
    root = inside.clamp(min=0).sqrt()
    falls = torch.where(c1 >= 0, c2 < 0, inside >= 0)
    ahead = torch.where(c1 >= 0, (c1 + root) / torch.where(c2 < 0, -c2, 1.0), c0 / (root - c1))  # no digits cancel in either
    return torch.where(falls, ahead, torch.inf)


def _between(low: Tensor, high: Tensor) -> Tensor:
    """A shift between the bounds where Newton's method gives none."""
    return torch.where(high.isinf(), (4 * low).clamp(min=1.0), torch.where(low > 0, (low * high).sqrt(), high / 16))


def square_length(form: NormalForm, w: Tensor) -> Tensor:
    """``w'Gw``, ``[...]``, never negative."""
    return (times(form.gramian, w) * w).sum(dim=-1).clamp(min=0)
