"""Projection onto the dual cone, the directions that increase no loss: UPGrad and DualProj."""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl.solvers import chunks, fast, reference, single, three_gradients, two_gradients
from moo_mtl.solvers.backend import ACCURACY, Backend, Constraints, as_judged, wants_cvxpy
from moo_mtl.solvers.nonnegative_qp import nonnegative_qp
from moo_mtl.solvers.normal_form import NormalForm, in_their_units, normal_form, one_per_task, preference_of, times
from moo_mtl.solvers.solution import Solution
from moo_mtl.tensors import require_tensor

ENTRIES = 2**24  # of the programs that UPGrad solves as one: K of K tasks each have K^3, 1 GB for 500 tasks, several times over


def dual_cone(
    gramian: Tensor,
    bound: Tensor,
    *,
    present: Tensor | None = None,
    backend: Backend = "exact",
    extra_constraints: Constraints | None = None,
) -> Solution:
    r"""Weights of the projection of :math:`J^\top u` onto the dual cone :math:`\{d : J d \ge 0\}`.

    .. math:: \min_{v \ge u} \tfrac12 v^\top G v

    The projected direction :math:`J^\top v` is unique; where gradients depend on each other, v need not be.

    Args:
        gramian: ``[..., K, K]``, any scale.
        bound: u, ``[..., K]``, of any sign.
        present: ``[..., K]`` bool; an absent task has weight 0 and is left out.
        backend: ``"exact"``, or ``"cvxpy"`` for the program as stated, solved one by one by Clarabel.
        extra_constraints: receives the CVXPY variable v, ``[K]``, and returns further constraints; needs ``"cvxpy"``.

    Returns:
        Weights v; the value :math:`\tfrac12 v^\top G v`; and as gap the complementarity
        :math:`\sum_k (v - u)_k |Gv|_k` plus :math:`\lVert J^\top u \rVert` times the largest conflict
        :math:`\max_k (-g_k^\top d)_+ / \lVert g_k \rVert`. Without conflict the gap bounds the squared distance to the
        exact direction. A task without gradient keeps ``v = u``.

    Raises:
        InputError: a shape, dtype or (on CPU) entry is not as stated, or constraints come without ``backend="cvxpy"``.
        SolverError: the CVXPY program has no solution.

    Source: Lopez-Paz and Ranzato (2017), equation 11; Quinton and Rey (2024), Proposition 1.
    """
    form = normal_form(gramian, present)
    u = _bound(form, bound)
    if wants_cvxpy(backend, extra_constraints):
        v = reference.dual_cone(form, u, extra_constraints)
        return as_judged(_certified(form._replace(noise=ACCURACY), u, v), extra_constraints)
    return _certified(form, u, project_weights(form, u, form.present))


def dualproj(
    gramian: Tensor,
    preference: Tensor | None = None,
    *,
    present: Tensor | None = None,
    backend: Backend = "exact",
    extra_constraints: Constraints | None = None,
) -> Solution:
    """``dual_cone`` of a preference ``[..., K]``, the projection of the preferred mean gradient; ``1 / K`` by default.

    Args:
        gramian: ``[..., K, K]``, any scale.
        preference: at least 0, ``[..., K]``.
        present: as in ``dual_cone``.
        backend: as in ``dual_cone``.
        extra_constraints: as in ``dual_cone``.

    Raises:
        InputError: as ``dual_cone``, or a preference is negative (read on CPU only).
        SolverError: the CVXPY program has no solution.

    Source: Lopez-Paz and Ranzato (2017); TorchJD's DualProj.
    """
    require_tensor("dualproj", "gramian", gramian)
    alone = gramian.ndim == 2 or gramian.shape[-1:] != (2,)  # batches of two gradients have closed forms
    if preference is None and alone and fast.applies(gramian, present, backend, extra_constraints):
        return fast.solve("dualproj", gramian, lambda left: _one(normal_form(left), None))
    if single.applies(gramian, present, backend, extra_constraints) and (short := single.dualproj(gramian, preference)):
        return short
    if preference is None and two_gradients.applies(gramian, present, backend, extra_constraints):
        return two_gradients.dualproj(gramian)
    if preference is None and chunks.apart(gramian, present, backend, extra_constraints):
        return chunks.one_by_one(dualproj, gramian)
    form = normal_form(gramian, present)
    if wants_cvxpy(backend, extra_constraints):
        u = preference_of(form, preference)
        v = reference.dual_cone(form, u, extra_constraints)
        return as_judged(_certified(form._replace(noise=ACCURACY), u, v), extra_constraints)
    return _one(form, preference)


def upgrad(
    gramian: Tensor,
    preference: Tensor | None = None,
    *,
    present: Tensor | None = None,
    backend: Backend = "exact",
    extra_constraints: Constraints | None = None,
) -> Solution:
    r"""Sum of every gradient's own projection onto the dual cone.

    .. math:: w = \sum_k v^{(k)}, \qquad v^{(k)} = \arg\min_{v \ge p_k e_k} v^\top G v

    Args:
        gramian: ``[..., K, K]``, any scale.
        preference: p at least 0, ``[..., K]``; ``1 / K`` over the present tasks by default.
        present: as in ``dual_cone``.
        backend: as in ``dual_cone``; one program for each of the K projections.
        extra_constraints: receives the variable of each projection in turn.

    Returns:
        Weights w; as value the squared length ``w'Gw`` of the direction; as gap the sum of the K projections' gaps.

    Raises:
        InputError: as ``dual_cone``, or a preference is negative (read on CPU only).
        SolverError: a CVXPY program has no solution.

    Source: Quinton and Rey (2024), Definition of UPGrad, equation 4.
    """
    require_tensor("upgrad", "gramian", gramian)
    alone = gramian.ndim == 2 or gramian.shape[-1:] != (2,)  # batches of two gradients have closed forms
    if preference is None and alone and fast.applies(gramian, present, backend, extra_constraints):
        return fast.solve("upgrad", gramian, lambda left: _each(normal_form(left), None))
    if single.applies(gramian, present, backend, extra_constraints) and (short := single.upgrad(gramian, preference)):
        return short
    if preference is None and two_gradients.applies(gramian, present, backend, extra_constraints):
        return two_gradients.upgrad(gramian)
    if preference is None and three_gradients.applies(gramian, present, backend, extra_constraints):
        return three_gradients.upgrad(gramian)
    if preference is None and chunks.apart(gramian, present, backend, extra_constraints):
        return chunks.one_by_one(upgrad, gramian)
    if preference is None and chunks.many(gramian, present, backend, extra_constraints):
        return chunks.in_chunks(upgrad, gramian)
    form = normal_form(gramian, present)
    if wants_cvxpy(backend, extra_constraints):
        each, u = spread(form, form.norms.shape[-1]), torch.diag_embed(preference_of(form, preference))
        v = reference.dual_cone(each, u, extra_constraints)
        return as_judged(_summed(form, _certified(each._replace(noise=ACCURACY), u, v)), extra_constraints)
    return _each(form, preference)


def _one(form: NormalForm, preference: Tensor | None) -> Solution:
    """The preferred mean gradient, projected."""
    u = preference_of(form, preference)
    return _certified(form, u, _project_two(form, u) if u.shape[-1] == 2 else project_weights(form, u, form.present))


def _each(form: NormalForm, preference: Tensor | None) -> Solution:
    """Every gradient projected, and added up."""
    u = torch.diag_embed(preference_of(form, preference))  # [..., K, K]: one bound a row
    # A gradient never needs more than p_k of itself: v_k > p_k means (Gv)_k = 0, so v'Gv = 0, and v could shrink.
    others = ~torch.eye(u.shape[-1], dtype=torch.bool, device=u.device)
    some = max(1, ENTRIES // max(1, form.gramian.numel()))
    parts = [_rows(form, *rows) for rows in zip(u.split(some, dim=-2), others.split(some), strict=True)]
    weights, *rest = zip(*parts, strict=True)
    return _summed(form, Solution(torch.cat(weights, dim=-2), *(torch.cat(field, dim=-1) for field in rest)))


def _rows(form: NormalForm, u: Tensor, others: Tensor) -> Solution:
    """Some of the gradients ``[..., R, K]``, projected."""
    each = spread(form, u.shape[-2])
    v = _project_two(each, u) if u.shape[-1] == 2 else project_weights(each, u, each.present & others)
    return _certified(each, u, v)


def _summed(form: NormalForm, apart: Solution) -> Solution:
    w = apart.weights.sum(dim=-2)
    safe = w.nan_to_num()
    value = (times(form.gramian, safe) * safe).sum(dim=-1).clamp(min=0)
    return in_their_units(form, w, value, apart.gap.sum(dim=-1) / form.unit, apart.converged.all(dim=-1))


def spread(form: NormalForm, count: int) -> NormalForm:
    """Repeat the Gramian for ``count`` right-hand sides: a new axis after the batch's in every field; nothing is copied."""
    batch = form.norms.shape[:-1]

    def again(field: Tensor, trailing: int) -> Tensor:
        return field.unsqueeze(len(batch)).expand(*batch, count, *field.shape[field.ndim - trailing :])

    return form._replace(
        gramian=again(form.gramian, 2),
        unit=again(form.unit, 0),
        norms=again(form.norms, 1),
        cosines=again(form.cosines, 2),
        present=again(form.present, 1),
        finite=again(form.finite, 0),
    )


def _bound(form: NormalForm, bound: Tensor) -> Tensor:
    return one_per_task("bound", bound, form.norms.shape).double() * form.present


def project_weights(form: NormalForm, u: Tensor, allowed: Tensor) -> Tensor:
    """With unit rows and v = u + z: minimise ``z'Cz/2 + (Cu)'z`` over z at least 0, each problem in its own unit."""
    K = u.shape[-1]
    moving = form.norms > 0
    scaled = form.norms * u
    b = -times(form.cosines, scaled).reshape(-1, K)
    z = nonnegative_qp(form.cosines.reshape(-1, K, K), b, (allowed & moving).reshape(-1, K), form.noise, start=b > 0)
    return u + torch.where(moving, z.reshape(u.shape) / form.norms, 0.0)


def _project_two(form: NormalForm, u: Tensor) -> Tensor:
    """For K = 2 and u at least 0, at most one task is in conflict, and lifting it away puts the other in none."""
    moving = form.norms > 0
    lift = (-times(form.cosines, form.norms * u)).clamp(min=0)
    return u + torch.where(moving & form.present, lift / form.norms, 0.0)


def _certified(form: NormalForm, u: Tensor, v: Tensor) -> Solution:
    scaled = form.norms * v
    slope = times(form.cosines, scaled)
    excess = form.norms * (v - u)
    value = (scaled * slope).sum(dim=-1).clamp(min=0) / 2
    before = form.norms * u
    length = (times(form.cosines, before) * before).sum(dim=-1).clamp(min=0).sqrt()
    conflict = (-slope).clamp(min=0).masked_fill(~form.present, 0.0).amax(dim=-1)
    gap = (excess * slope.abs()).sum(dim=-1).clamp(min=0) + conflict * length
    size = before.abs().amax(dim=-1).square()
    # Near dependence the weights grow, and rounding hides squared lengths below noise |v|^2.
    size = torch.maximum(form.tolerance * size, 8 * form.noise * scaled.abs().sum(dim=-1).square())
    return in_their_units(form, v, value, gap, gap <= u.shape[-1] * size)
