"""The minimum-norm point of the convex hull of K gradients (MGDA)."""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl.solvers import chunks, fast, reference, single, two_gradients
from moo_mtl.solvers.backend import ACCURACY, Backend, Constraints, as_judged, wants_cvxpy
from moo_mtl.solvers.inner_products import require_inner_products, two_inner_products
from moo_mtl.solvers.nonnegative_qp import nonnegative_qp
from moo_mtl.solvers.normal_form import TOLERANCE, NormalForm, in_their_units, normal_form, times
from moo_mtl.solvers.solution import Solution
from moo_mtl.tensors import require_tensor


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
        InputError: a shape, dtype or (on CPU) entry is not as stated, or constraints come without ``backend="cvxpy"``.
        SolverError: the CVXPY program has no solution.

    Source: Desideri (2012), Theorem 2.2; Sener and Koltun (2018), equation 4.
    """
    require_tensor("min_norm", "gramian", gramian)
    if gramian.shape[-1:] != (2,) and fast.applies(gramian, present, backend, extra_constraints):
        return fast.solve("min_norm", gramian, lambda left: _exact(normal_form(left)))
    if single.applies(gramian, present, backend, extra_constraints) and (alone := single.min_norm(gramian)):
        return alone
    if two_gradients.applies(gramian, present, backend, extra_constraints) and gramian.is_floating_point():
        return _pairs(gramian)
    if chunks.apart(gramian, present, backend, extra_constraints):
        return chunks.one_by_one(min_norm, gramian)
    if chunks.many(gramian, present, backend, extra_constraints):
        return chunks.in_chunks(min_norm, gramian)
    form = normal_form(gramian, present)
    if wants_cvxpy(backend, extra_constraints):
        w = reference.min_norm(form, extra_constraints)
        return as_judged(certified(form._replace(noise=ACCURACY), w), extra_constraints)
    return _exact(form)


def _exact(form: NormalForm) -> Solution:
    return certified(form, simplex_weights(form))


def simplex_weights(form: NormalForm) -> Tensor:
    """The exact weights ``[..., K]``, without their proof."""
    K = form.norms.shape[-1]
    if K == 2:
        return _two(form)
    if K == 3 and form.norms.device.type == "cpu" and bool((form.present & (form.norms > 0)).all()):
        return _three(form)
    return _many(form)


def certified(form: NormalForm, weights: Tensor) -> Solution:
    """Value, gap and verdict of simplex weights ``[..., K]``."""
    q = times(form.gramian, weights)
    value = (q * weights).sum(dim=-1)
    least = q.masked_fill(~form.present, torch.inf).amin(dim=-1)
    gap = torch.where(form.present.any(dim=-1), value - least, 0.0).clamp(min=0)
    return in_their_units(form, weights, value.clamp(min=0), gap, gap <= form.tolerance * form.mean_square)


def _pairs(gramian: Tensor) -> Solution:
    """Two tasks, both present: the closed form of ``_two`` with its proof, entry by entry."""
    G = gramian.detach().double()
    a, b, c = (G[..., i, j].contiguous() for i, j in ((0, 0), (0, 1), (1, 1)))
    if not two_inner_products(a, c, b, G[..., 1, 0]):
        require_inner_products(gramian)
    left, right = (c - b).clamp_(min=0), (a - b).clamp_(min=0)
    total = left + right
    first, second = torch.where(total > 0, left / total, 0.5), torch.where(total > 0, right / total, 0.5)
    q, r = a * first + b * second, b * first + c * second
    value = first * q + second * r
    gap = (value - torch.minimum(q, r)).clamp_(min=0)
    finite = (a + b.abs() + c).isfinite()
    tolerance = max(TOLERANCE, 16 * torch.finfo(gramian.dtype).eps)
    converged = finite & (gap <= tolerance * 0.5 * (a + c))
    value.clamp_(min=0)
    weights = torch.stack([first, second], dim=-1)
    if G.device.type != "cpu" or not bool(finite.all()):
        weights = torch.where(finite.unsqueeze(-1), weights, torch.nan)
        value, gap = torch.where(finite, value, torch.nan), torch.where(finite, gap, torch.nan)
    return Solution(weights, value, gap, converged)


def _two(form: NormalForm) -> Tensor:
    """The foot of the perpendicular on a segment, or its nearer end. No digits cancel: both legs are non-negative."""
    G, present = form.gramian, form.present
    legs = torch.stack([G[..., 1, 1] - G[..., 0, 1], G[..., 0, 0] - G[..., 0, 1]], dim=-1).clamp(min=0)
    legs = torch.where(present.flip(-1), legs, 1.0) * present
    total = legs.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, legs / total, 0.5 * present)


def _three(form: NormalForm) -> Tensor:
    """Elementwise for K = 3: inside the triangle where ``adj(C) t`` is positive, otherwise on the best edge.

    Where cancellation leaves a gap (nearly dependent gradients), the kernel solves again.
    """
    C = form.cosines
    c01, c02, c12 = (C[..., i, j].contiguous() for i, j in ((0, 1), (0, 2), (1, 2)))
    n = [length.contiguous() for length in form.norms.unbind(dim=-1)]
    shortest = torch.minimum(torch.minimum(n[0], n[1]), n[2])
    t = [shortest / length for length in n]
    a01, a02, a12 = c02 * c12 - c01, c01 * c12 - c02, c01 * c02 - c12
    inner = [
        (1 - c12 * c12) * t[0] + a01 * t[1] + a02 * t[2],
        a01 * t[0] + (1 - c02 * c02) * t[1] + a12 * t[2],
        a02 * t[0] + a12 * t[1] + (1 - c01 * c01) * t[2],
    ]
    inside = torch.minimum(torch.minimum(inner[0], inner[1]), inner[2]) > 0
    best = torch.full_like(shortest, torch.inf)
    w = torch.zeros_like(form.norms)
    for i, j, c in ((0, 1, c01), (0, 2, c02), (1, 2, c12)):
        product = c * n[i] * n[j]
        left, right = (n[j] * n[j] - product).clamp_(min=0), (n[i] * n[i] - product).clamp_(min=0)
        total = left + right
        first = torch.where(total > 0, left / total, 0.5)
        second = torch.where(total > 0, right / total, 0.5)
        value = (first * n[i]).square() + 2 * first * second * product + (second * n[j]).square()
        nearer = value < best
        best = torch.where(nearer, value, best)
        ends = [torch.zeros_like(first)] * 3
        ends[i], ends[j] = first, second
        w = torch.where(nearer.unsqueeze(-1), torch.stack(ends, dim=-1), w)
    scaled = torch.stack([a * b for a, b in zip(inner, t, strict=True)], dim=-1)
    w = torch.where(inside.unsqueeze(-1), scaled / scaled.sum(dim=-1, keepdim=True), w)
    q = times(form.gramian, w)
    gap = (q * w).sum(dim=-1) - q.amin(dim=-1)
    again = ~(gap <= 1e-14 * form.mean_square)
    if bool(again.any()):
        w[again] = _many(form.select(again))
    return w


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
