"""The minimum-norm point of the convex hull of K gradients (MGDA)."""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl.solvers import reference, single
from moo_mtl.solvers.backend import ACCURACY, Backend, Constraints, as_judged, wants_cvxpy
from moo_mtl.solvers.nonnegative_qp import nonnegative_qp
from moo_mtl.solvers.normal_form import NormalForm, in_their_units, normal_form, times
from moo_mtl.solvers.solution import Solution


def min_norm(
    gramian: Tensor,
    *,
    present: Tensor | None = None,
    backend: Backend = "exact",
    extra_constraints: Constraints | None = None,
) -> Solution:
    r"""Minimum-norm point of the convex hull of K gradients, for any batch of Gramians.

    .. math:: \min_{w \ge 0,\; 1^\top w = 1} w^\top G w

    Args:
        gramian: symmetric positive semi-definite, ``[..., K, K]``, any scale.
        present: ``[..., K]`` bool; an absent task has weight 0 and is left out.
        backend: ``"exact"``, or ``"cvxpy"`` for the program as stated, solved one by one by Clarabel.
        extra_constraints: receives the CVXPY variable w, ``[K]``, and returns further constraints; needs ``"cvxpy"``.

    Returns:
        Weights ``[..., K]`` on the simplex, the value ``w'Gw``, and the duality gap ``w'Gw - min_k (Gw)_k``, which
        bounds the squared distance of :math:`J^\top w` to the exact point. Zero gradients share the weight; of equal
        ones any split is exact. A member with a NaN or infinite entry has weights NaN, and is not converged.

    Raises:
        InputError: a shape or dtype is not as stated, or constraints come without ``backend="cvxpy"``.
        SolverError: the CVXPY program has no solution.

    Source: Desideri (2012), Theorem 2.2; Sener and Koltun (2018), equation 4.
    """
    if single.applies(gramian, present, backend, extra_constraints) and (alone := single.min_norm(gramian)):
        return alone
    form = normal_form(gramian, present)
    if wants_cvxpy(backend, extra_constraints):
        w = reference.min_norm(form, extra_constraints)
        return as_judged(certified(form._replace(noise=ACCURACY), w), extra_constraints)
    return certified(form, simplex_weights(form))


def simplex_weights(form: NormalForm) -> Tensor:
    """The exact weights ``[..., K]``, without their proof."""
    K = form.norms.shape[-1]
    return _two(form) if K == 2 else _many(form)


def certified(form: NormalForm, weights: Tensor) -> Solution:
    """Value, gap and verdict of simplex weights ``[..., K]``."""
    q = times(form.gramian, weights)
    value = (q * weights).sum(dim=-1)
    least = q.masked_fill(~form.present, torch.inf).amin(dim=-1)
    gap = torch.where(form.present.any(dim=-1), value - least, 0.0).clamp(min=0)
    return in_their_units(form, weights, value.clamp(min=0), gap, gap <= form.tolerance * form.mean_square)


def _two(form: NormalForm) -> Tensor:
    """The foot of the perpendicular on a segment, or its nearer end. No digits cancel: both legs are non-negative."""
    G, present = form.gramian, form.present
    legs = torch.stack([G[..., 1, 1] - G[..., 0, 1], G[..., 0, 0] - G[..., 0, 1]], dim=-1).clamp(min=0)
    legs = torch.where(present.flip(-1), legs, 1.0) * present
    total = legs.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, legs / total, 0.5 * present)


def _many(form: NormalForm) -> Tensor:
    r"""Through the kernel. With lengths n, shortest m, and t = m/n: minimise
    :math:`\tfrac12 x^\top (C + t t^\top) x - t^\top x` over :math:`x \ge 0`, then :math:`w \propto t x`.

    The optimality conditions are those of the min-norm point up to a factor, without an equality constraint, and every
    entry keeps its own relative accuracy however far the lengths are apart.
    """
    K = form.norms.shape[-1]
    zero = form.present & (form.norms == 0)
    some = zero.any(dim=-1, keepdim=True)
    allowed = form.present & ~zero
    shortest = form.norms.masked_fill(~allowed, torch.inf).amin(dim=-1, keepdim=True)
    t = torch.where(allowed, shortest / form.norms, 0.0)
    H = form.cosines + t.unsqueeze(-1) * t.unsqueeze(-2)
    x = nonnegative_qp(H.reshape(-1, K, K), t.reshape(-1, K), (allowed & ~some).reshape(-1, K), form.noise)
    w = x.reshape(t.shape) * t
    w = torch.where(some, zero.to(w.dtype), w)
    return w / w.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(w.dtype).tiny)
