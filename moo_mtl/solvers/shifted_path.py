r"""The path of min-norm points that CAGrad and ConicGrad share: hulls of gradients shifted by multiples of their mean.

For a shift :math:`\tau \ge 0`, w minimises :math:`\lVert J^\top w + \tau g_0 \rVert` over the simplex. On a fixed support w is
affine in the shift, so that an equation for the shift is solved exactly once the support is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl.solvers.min_norm import simplex_weights
from moo_mtl.solvers.normal_form import NormalForm, normal_form, times

SHIFTS = 40  # tried on CPU at most; three are typical
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


class Piece(NamedTuple):
    r"""The path on one support: :math:`w = w_0 + \tau \beta`, :math:`|g_w|^2 = h + \tau^2 B`, :math:`g_w' g_0 = e - \tau B`."""

    start: Tensor  # w_0, [..., K]
    slope: Tensor  # beta, [..., K], of sum 0
    nearest: Tensor  # h
    bend: Tensor  # B
    along: Tensor  # e

    @classmethod
    def of(cls, form: NormalForm, mean: Mean, w: Tensor) -> Piece:
        # As in min_norm, G + m^2 11' = N (C + t t') N keeps the relative accuracy of every length; m is the shortest.
        free = (w > 0).to(w.dtype)
        shortest = form.norms.masked_fill(form.norms == 0, torch.inf).amin(dim=-1, keepdim=True).clamp(max=1.0)
        t = free * shortest / torch.where(form.norms > 0, form.norms, shortest)
        M = form.cosines * (free.unsqueeze(-1) * free.unsqueeze(-2)) + t.unsqueeze(-1) * t.unsqueeze(-2)
        M.diagonal(dim1=-2, dim2=-1).add_(torch.where(free > 0, 2 * w.shape[-1] * form.noise, 1.0))
        right = torch.stack([t, t * mean.products], dim=-1)
        p, q = (t.unsqueeze(-1) * torch.cholesky_solve(right, torch.linalg.cholesky_ex(M).L)).unbind(dim=-1)
        q = q / shortest.square()
        total = p.sum(dim=-1, keepdim=True)
        start = p / torch.where(total > 0, total, 1.0)
        slope = start * q.sum(dim=-1, keepdim=True) - q
        return cls(start, slope, square_length(form, start), square_length(form, slope), (start * mean.products).sum(dim=-1))


Touching = Callable[[Piece, Mean], Tensor]  # the shift at which the constraint touches this piece, infinite if nowhere
Outside = Callable[[Tensor, Tensor, NormalForm, Mean], Tensor]  # whether (weights, shift) violates the constraint


def search(
    form: NormalForm, mean: Mean, nearest: Tensor, touching: Touching, outside: Outside, moving: Tensor
) -> tuple[Tensor, Tensor]:
    """Weights and shift of the point of the path where the constraint touches, or of its start where it never binds."""
    cpu = form.gramian.device.type == "cpu"
    batch = form.unit.shape
    flat = form.map(lambda field: field.reshape(-1, *field.shape[len(batch) :]))
    mean = Mean(*(field.reshape(-1, *field.shape[len(batch) :]) for field in mean))
    w = nearest.reshape(flat.norms.shape)
    piece = Piece.of(flat, mean, w)
    zero = torch.zeros_like(flat.unit)
    low, high = zero, torch.full_like(zero, torch.inf)
    bound = outside(w, zero, flat, mean) & moving.reshape(-1)
    tau = torch.where(bound, touching(piece, mean), zero)
    answer, shift = w.clone(), zero.clone()
    where = torch.arange(len(zero), device=zero.device)
    for _ in range(SHIFTS if cpu else SHIFTS_MASKED):
        reach = square_length(flat, w).sqrt() / mean.square.clamp(min=1e-300).sqrt()
        grown = torch.maximum(4 * low, reach).clamp(min=1e-2)
        middle = torch.where(high.isinf(), grown, torch.where(low > 0, (low * high).sqrt(), high / 16))
        tau = torch.where((tau > low) & (tau < high) & tau.isfinite(), tau, torch.where(bound, middle, 0.0))
        w = _point(flat, mean, tau)
        piece = Piece.of(flat, mean, w)
        affine = piece.start + tau.unsqueeze(-1) * piece.slope
        holds = bound & (affine.amin(dim=-1) >= -1e-9)  # else the support is degenerate, and its system singular
        exact = torch.where(holds.unsqueeze(-1), affine.clamp(min=0), w)
        exact = exact / exact.sum(dim=-1, keepdim=True).clamp(min=1e-300)
        root = touching(piece, mean)
        done = ~bound | ((root - tau).abs() <= 1e-9 * tau)  # the gap is of second order in the shift
        answer[where], shift[where] = exact, torch.where(bound, tau, 0.0)
        beyond = outside(w, tau, flat, mean)
        low, high = torch.where(beyond, tau, low), torch.where(beyond, high, tau)
        tau = root
        if cpu:
            left = (~done & (high - low > 1e-14 * low)).nonzero().squeeze(-1)
            if not left.numel():
                break
            if left.numel() < len(done):
                flat, mean = flat.select(left), Mean(*(field[left] for field in mean))
                low, high, tau, w, bound, where = (t[left] for t in (low, high, tau, w, bound, where))
    return answer.reshape(form.norms.shape), shift.reshape(batch)


def _point(form: NormalForm, mean: Mean, tau: Tensor) -> Tensor:
    """Min-norm weights of the gradients shifted by ``tau g_0``."""
    pull = tau.unsqueeze(-1) * mean.products
    shifted = form.gramian + pull.unsqueeze(-1) + pull.unsqueeze(-2) + (tau.square() * mean.square)[..., None, None]
    return simplex_weights(normal_form(shifted, form.present)._replace(noise=form.noise))


def square_length(form: NormalForm, w: Tensor) -> Tensor:
    """``w'Gw``, ``[...]``, never negative."""
    return (times(form.gramian, w) * w).sum(dim=-1).clamp(min=0)
