r"""Best worst-case improvement near the mean gradient: within a ball (CAGrad) or within a cone (ConicGrad).

Both directions are multiples of a min-norm point of the hull of shifted gradients :math:`g_k + \tau g_0`, where :math:`g_0` is
the mean gradient (``shifted_path``). They differ in the equation that picks the shift: the ball touches where
:math:`\lVert J^\top w \rVert = \tau c \lVert g_0 \rVert`, the cone where :math:`\cos(J^\top w + \tau g_0, g_0) = c`. On a fixed
support both are quadratic in the shift, and Newton's method is exact once the support is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.solvers import chunks, fast, reference, single, single_trust_region, two_gradients
from moo_mtl.solvers.backend import ACCURACY, Backend, Constraints, as_judged, wants_cvxpy
from moo_mtl.solvers.min_norm import simplex_weights
from moo_mtl.solvers.normal_form import NormalForm, in_their_units, normal_form, times
from moo_mtl.solvers.regions import Ball, Cone
from moo_mtl.solvers.shifted_path import Mean, Path, search, square_length
from moo_mtl.solvers.solution import Solution
from moo_mtl.solvers.two_gradients import STATIONARY
from moo_mtl.tensors import require_number, require_tensor


def cagrad(
    gramian: Tensor,
    c: float,
    *,
    present: Tensor | None = None,
    backend: Backend = "exact",
    extra_constraints: Constraints | None = None,
) -> Solution:
    r"""Total weights of CAGrad, without rescaling.

    .. math:: \max_d \min_k g_k^\top d \quad\text{s.t.}\quad \lVert d - g_0 \rVert \le c \lVert g_0 \rVert; \qquad
              d = g_0 + \frac{c \lVert g_0 \rVert}{\lVert g_w \rVert} g_w, \quad
              w = \arg\min_{w \in \Delta} g_w^\top g_0 + c \lVert g_0 \rVert \lVert g_w \rVert

    Args:
        gramian: ``[..., K, K]``, any scale.
        c: radius relative to the mean gradient, at least 0.
        present: ``[..., K]`` bool; an absent task has weight 0 and is left out, of the mean too.
        backend: ``"exact"``, or ``"cvxpy"`` for the dual program as stated, solved one by one by Clarabel.
        extra_constraints: receives the CVXPY variable w on the simplex, ``[K]``, and returns further constraints.

    Returns:
        Weights :math:`1/K + (c \lVert g_0 \rVert / \lVert g_w \rVert) w` of d; the value :math:`\min_k g_k^\top d`; and as gap
        the dual objective less that value. At a Pareto-stationary point the weights are 0 for ``c >= 1``, and otherwise those
        of the direction nearest to :math:`g_0`.

    Raises:
        InputError: ``c`` is negative, or a shape, dtype, backend or (on CPU) entry is not as stated.
        SolverError: the CVXPY program has no solution.

    Source: Liu et al. (2021), equations 3 and 4.
    """
    require_tensor("cagrad", "gramian", gramian)
    require_number("cagrad", "c", c)
    if not 0 <= c < float("inf"):
        raise InputError(f"cagrad: c must be finite and at least 0, found {c}")
    batch = gramian.ndim > 2 and gramian.device.type == "cpu"
    if c > 0 and batch and two_gradients.applies(gramian, present, backend, extra_constraints):
        return _pairs(gramian, c)
    if c > 0 and fast.applies(gramian, present, backend, extra_constraints):
        return fast.solve("cagrad", gramian, lambda left: _in_ball(normal_form(left), c), c)
    one = c > 0 and single.applies(gramian, present, backend, extra_constraints)
    if one and (alone := single_trust_region.cagrad(gramian, c)):
        return alone
    if chunks.apart(gramian, present, backend, extra_constraints):
        return chunks.one_by_one(lambda member: cagrad(member, c), gramian)
    if chunks.many(gramian, present, backend, extra_constraints):
        return chunks.in_chunks(lambda part: cagrad(part, c), gramian)
    form = normal_form(gramian, present)
    if wants_cvxpy(backend, extra_constraints):
        w = reference.cagrad(form, c, extra_constraints)
        return as_judged(_certified_ball(form._replace(noise=ACCURACY), Mean.of(form), c, w), extra_constraints)
    return _in_ball(form, c)


def conicgrad(
    gramian: Tensor,
    c: float,
    *,
    present: Tensor | None = None,
    backend: Backend = "exact",
    extra_constraints: Constraints | None = None,
) -> Solution:
    r"""Weights of the exact ConicGrad direction.

    .. math:: \max_d \min_k g_k^\top d - \tfrac12 \lVert d \rVert^2 \quad\text{s.t.}\quad
              g_0^\top d \ge c \lVert g_0 \rVert \lVert d \rVert

    Args:
        gramian: ``[..., K, K]``, any scale.
        c: cosine of the cone's half-angle, in [0, 1).
        present: ``[..., K]`` bool; an absent task has weight 0 and is left out, of the mean too.
        backend: ``"exact"``, or ``"cvxpy"`` for the program as stated, solved one by one by Clarabel.
        extra_constraints: receives the CVXPY variable of the weights of d, ``[K]``, and returns further constraints.

    Returns:
        Weights of d, at least 0, and all 0 where no direction of the cone improves every task; the value
        :math:`\min_k g_k^\top d - \tfrac12 \lVert d \rVert^2`; and as gap the distance of that value from its dual bound.

    Raises:
        InputError: ``c`` is outside [0, 1), or a shape, dtype, backend or (on CPU) entry is not as stated.
        SolverError: the CVXPY program has no solution.

    Source: Hassanpour et al. (2025), the program that their closed form approximates.
    """
    require_tensor("conicgrad", "gramian", gramian)
    require_number("conicgrad", "c", c)
    if not 0 <= c < 1:
        raise InputError(f"conicgrad: c is a cosine in [0, 1), found {c}")
    one = single.applies(gramian, present, backend, extra_constraints)
    if one and (alone := single_trust_region.conicgrad(gramian, c)):
        return alone
    if chunks.apart(gramian, present, backend, extra_constraints):
        return chunks.one_by_one(lambda member: conicgrad(member, c), gramian)
    form = normal_form(gramian, present)
    mean = Mean.of(form)
    if wants_cvxpy(backend, extra_constraints):
        w, weights = reference.conicgrad(form, c, extra_constraints)
        return as_judged(_certified_cone(form._replace(noise=ACCURACY), mean, c, w, weights), extra_constraints)
    nearest = simplex_weights(form)
    moving = _moving(form, nearest)
    region, path = Cone(c), Path.of(form, mean)
    projection = path.projection()
    beyond = path.violates(region, projection, torch.ones_like(path.square))  # then no direction of the cone improves all
    y, shift = search(path, region, moving.reshape(-1) & ~beyond, torch.zeros_like(beyond), projection)
    w = (torch.where(beyond.unsqueeze(-1), projection, y) / path.norms).reshape(form.norms.shape)
    w = torch.where(moving.unsqueeze(-1), w, nearest)
    moving = moving & ~beyond.reshape(moving.shape)
    along = w + shift.reshape(moving.shape).unsqueeze(-1) * mean.weights
    least = times(form.gramian, along).masked_fill(~form.present, torch.inf).amin(dim=-1).clamp(min=0)
    length = square_length(form, along)
    weights = torch.where(moving & (length > 0), least / length, 0.0).nan_to_num(posinf=0.0).unsqueeze(-1) * along
    return _certified_cone(form, mean, c, w, weights)


def _pairs(gramian: Tensor, c: float) -> Solution:
    """Two gradients in closed form, and the members for which that has no proof (equal, opposite, missing) as any others."""
    found = two_gradients.cagrad(gramian, c)
    left = ~found.converged
    if bool(left.any()):
        others = gramian[left]
        few = chunks.apart(others, None, "exact", None)
        answer = chunks.one_by_one(lambda one: cagrad(one, c), others) if few else _in_ball(normal_form(others), c)
        for field, rest in zip(found, answer, strict=True):
            field[left] = rest
    return found


def _moving(form: NormalForm, nearest: Tensor) -> Tensor:
    """Whether the hull's nearest point to 0 is away from it by more than rounding, ``[...]``."""
    lengths = (nearest * form.norms).sum(dim=-1)
    return square_length(form, nearest) > STATIONARY * form.noise * form.norms.shape[-1] * lengths.square()


def _in_ball(form: NormalForm, c: float) -> Solution:
    mean = Mean.of(form)
    moving = _moving(form, simplex_weights(form))
    region, path = Ball(c), Path.of(form, mean)
    projection = path.projection()
    beyond = path.violates(region, projection, torch.ones_like(path.square))
    y, _ = search(path, region, moving.reshape(-1) | beyond, beyond, projection)
    w = (y * path.t).reshape(form.norms.shape)
    moved = _certified_ball(form, mean, c, w / w.sum(dim=-1, keepdim=True).clamp(min=1e-300))
    still = ~moving & ~beyond.reshape(moving.shape)
    stays = mean.weights + (projection / path.norms).reshape(w.shape) if c < 1 else torch.zeros_like(w)
    settled = _certified_still(form, stays)
    return Solution(
        *(
            torch.where(still if a.ndim == still.ndim else still.unsqueeze(-1), a, b)
            for a, b in zip(settled, moved, strict=True)
        )
    )


def _certified_ball(form: NormalForm, mean: Mean, c: float, w: Tensor) -> Solution:
    radius = c * mean.square.sqrt()
    length = square_length(form, w).sqrt()
    weights = mean.weights + torch.where(length > 0, radius / length, 0.0).unsqueeze(-1) * w
    worst = times(form.gramian, weights).masked_fill(~form.present, torch.inf).amin(dim=-1)
    value = torch.where(form.present.any(dim=-1), worst, 0.0)
    gap = ((w * mean.products).sum(dim=-1) + radius * length - value).clamp(min=0)
    return in_their_units(form, weights, value, gap, gap <= 100 * form.tolerance * form.mean_square)


def _certified_still(form: NormalForm, weights: Tensor) -> Solution:
    """The best value is 0 where the hull holds 0 and the ball meets the dual cone: g_0 projected, or no step if c >= 1."""
    worst = times(form.gramian, weights).masked_fill(~form.present, torch.inf).amin(dim=-1)
    value = torch.where(form.present.any(dim=-1), worst, 0.0)
    gap = (-value).clamp(min=0)
    noise = form.noise * form.norms.shape[-1] * weights.abs().sum(dim=-1)
    limit = torch.maximum(100 * form.tolerance * form.mean_square, 8 * noise)
    return in_their_units(form, weights, value, gap, gap <= limit)


def _certified_cone(form: NormalForm, mean: Mean, c: float, w: Tensor, weights: Tensor) -> Solution:
    """Dual bound: half the squared length of the projection of ``J'w`` onto the cone."""
    total = w.clamp(min=0).sum(dim=-1, keepdim=True)
    w = torch.where(total > 0, w.clamp(min=0) / total.clamp(min=1e-300), mean.weights)
    axis = mean.square.sqrt()
    along = torch.where(axis > 0, (w * mean.products).sum(dim=-1) / axis.clamp(min=1e-300), 0.0)
    across = (square_length(form, w) - along.square()).clamp(min=0).sqrt()
    s = (1 - c * c) ** 0.5
    edge = (c * along + s * across).clamp(min=0)
    dual = torch.where(c * across <= s * along, along.square() + across.square(), edge.square()) / 2
    q = times(form.gramian, weights)
    value = q.masked_fill(~form.present, torch.inf).amin(dim=-1) - (q * weights).sum(dim=-1) / 2
    value = torch.where(form.present.any(dim=-1), value, 0.0)
    gap = (dual - value).clamp(min=0)
    return in_their_units(form, weights, value, gap, gap <= 100 * form.tolerance * form.mean_square)
