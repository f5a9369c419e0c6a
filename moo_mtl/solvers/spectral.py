"""Closed forms from the spectrum of the Gramian: Aligned-MTL, ConFIG and IMTL-G."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from moo_mtl.errors import unknown
from moo_mtl.solvers import single, single_spectral
from moo_mtl.solvers.backend import Backend, Constraints, closed_form_only
from moo_mtl.solvers.normal_form import NormalForm, in_their_units, normal_form, preference_of, times
from moo_mtl.solvers.solution import Solution
from moo_mtl.tensors import require_tensor

Scale = Literal["min", "median", "rmse"]
SCALES = ("min", "median", "rmse")


def aligned(
    gramian: Tensor,
    preference: Tensor | None = None,
    scale: Scale = "min",
    *,
    present: Tensor | None = None,
    backend: Backend = "exact",
    extra_constraints: Constraints | None = None,
) -> Solution:
    r"""Weights under which the gradients' system is orthogonal with equal singular values.

    .. math:: w = \sqrt{\lambda_\text{ref}} \, V_r \Lambda_r^{-1/2} V_r^\top p, \qquad G = V \Lambda V^\top

    over the r eigenvalues above ``K eps`` times the largest. The reference eigenvalue is the smallest kept (``"min"``), the
    lower median of those kept, or their mean (``"rmse"``, the root-mean-square singular value).

    Args:
        gramian: ``[..., K, K]``, any scale.
        preference: p, at least 0, ``[..., K]``; ``1 / K`` over the present tasks by default.
        scale: which eigenvalue sets the length.
        present: ``[..., K]`` bool; an absent task has weight 0 and is left out.
        backend: ``"exact"`` only.
        extra_constraints: none can be added to a closed form.

    Returns:
        Weights of any sign; as value ``w'Gw``; as gap the largest entry of
        :math:`|B G B p - \lambda_\text{ref} V_r V_r^\top p|` with :math:`w = B p`, in units of squared length. Where all
        gradients are zero, ``w = p``.

    Raises:
        InputError: a shape, dtype, scale or backend is not as stated, or a preference is negative.

    Source: Senushkin et al. (2023), equations 10 and 11.
    """
    require_tensor("aligned", "gramian", gramian)
    closed_form_only("aligned", backend, extra_constraints)
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    alike = preference is None
    if alike and single.applies(gramian, present, backend, None) and (alone := single_spectral.aligned(gramian, scale)):
        return alone
    form = normal_form(gramian, present)
    p = preference_of(form, preference)
    values, V, kept = _spectrum(form.gramian, form)
    count = kept.sum(dim=-1, keepdim=True)
    K = values.shape[-1]
    smallest = K - count  # eigenvalues ascend, so the kept ones are the last
    if scale == "rmse":
        chosen = torch.where(kept, values, 0.0).sum(dim=-1, keepdim=True) / count.clamp(min=1)
    else:
        place = smallest if scale == "min" else smallest + (count - 1).clamp(min=0) // 2
        chosen = values.gather(-1, place.clamp(max=K - 1))
    inverse_root = torch.where(kept, values.clamp(min=1e-300).rsqrt(), 0.0)
    inside = times(V.mT, p)
    w = torch.where(count > 0, chosen.clamp(min=0).sqrt() * times(V, inverse_root * inside), p) * form.present
    value = (times(form.gramian, w) * w).sum(dim=-1).clamp(min=0)
    back = chosen.clamp(min=0).sqrt() * times(V, inverse_root * times(V.mT, times(form.gramian, w)))
    gap = torch.where(count > 0, back - chosen * times(V, torch.where(kept, inside, 0.0)), 0.0).abs().amax(dim=-1)
    return in_their_units(form, w, value, gap, gap <= 1e4 * form.tolerance * p.amax(dim=-1))


def config(
    gramian: Tensor,
    preference: Tensor | None = None,
    *,
    present: Tensor | None = None,
    backend: Backend = "exact",
    extra_constraints: Constraints | None = None,
) -> Solution:
    r"""Conflict-free direction at equal (or preferred) angles to all gradients, as long as their projections on it add up to.

    .. math:: a = C^+ \omega, \qquad w = \frac{n^\top C a}{\omega^\top a} \, N^{-1} a

    Args:
        gramian: ``[..., K, K]``, any scale; :math:`G = N C N` with lengths n and cosines C.
        preference: :math:`\omega`, at least 0, ``[..., K]``; any common factor drops out; equal by default.
        present: ``[..., K]`` bool; an absent task has weight 0 and is left out; so is a task without gradient.
        backend: ``"exact"`` only.
        extra_constraints: none can be added to a closed form.

    Returns:
        Weights of any sign; as value ``w'Gw``; as gap the largest entry of :math:`|C a - \omega|` relative to that of
        :math:`\omega`: where unit gradients depend on each other, equal angles may not exist and ``converged`` is false.

    Raises:
        InputError: a shape, dtype, backend or (on CPU) entry is not as stated, or a preference is negative.

    Source: Liu, Chu and Thuerey (2025), equations 2 and 3; in Gramian form since ``pinv(U) = U' pinv(U U')``.
    """
    require_tensor("config", "gramian", gramian)
    closed_form_only("config", backend, extra_constraints)
    if preference is None and single.applies(gramian, present, backend, None) and (alone := single_spectral.config(gramian)):
        return alone
    form = normal_form(gramian, present)
    acting = form.norms > 0
    omega = preference_of(form, preference) * acting
    a, gap = _pseudo_solve(form, omega)
    along = (omega * a).sum(dim=-1, keepdim=True)
    reach = (form.norms * times(form.cosines, a)).sum(dim=-1, keepdim=True)
    factor = torch.where(along > 0, reach / along, 0.0)
    w = torch.where(acting, factor * a / form.norms, 0.0)
    value = (times(form.gramian, w) * w).sum(dim=-1).clamp(min=0)
    solution = in_their_units(form, w, value, gap, gap <= 1e4 * form.tolerance)
    return solution._replace(gap=gap.masked_fill(~form.finite, torch.nan))


def imtl_g(
    gramian: Tensor,
    *,
    present: Tensor | None = None,
    backend: Backend = "exact",
    extra_constraints: Constraints | None = None,
) -> Solution:
    r"""Weights of sum 1 whose direction has equal projections on all unit gradients.

    .. math:: w = v / (1^\top v), \qquad v = N^{-1} C^+ 1

    Args:
        gramian: ``[..., K, K]``, any scale; :math:`G = N C N` with lengths n and cosines C.
        present: ``[..., K]`` bool; an absent task has weight 0 and is left out; so is a task without gradient.
        backend: ``"exact"`` only.
        extra_constraints: none can be added to a closed form.

    Returns:
        Weights of any sign that sum to 1; where :math:`1^\top v < 0` the direction points uphill for every task, as the paper's
        formula does. As value ``w'Gw``; as gap the largest entry of :math:`|C C^+ 1 - 1|`. Where the entries of v cancel to
        rounding there is no such direction: the weights are 0 and ``converged`` is false.

    Raises:
        InputError: a shape, dtype, backend or (on CPU) entry is not as stated.

    Source: Liu et al. (2021), equation 5; the pseudo-inverse extends it to dependent gradients.
    """
    require_tensor("imtl_g", "gramian", gramian)
    closed_form_only("imtl_g", backend, extra_constraints)
    if single.applies(gramian, present, backend, None) and (alone := single_spectral.imtl_g(gramian)):
        return alone
    form = normal_form(gramian, present)
    acting = form.norms > 0
    a, gap = _pseudo_solve(form, acting.double())
    shortest = form.norms.masked_fill(~acting, torch.inf).amin(dim=-1, keepdim=True)
    v = torch.where(acting, a * (shortest / form.norms), 0.0)
    total = v.sum(dim=-1, keepdim=True)
    defined = total.abs() > v.shape[-1] * form.noise * v.abs().sum(dim=-1, keepdim=True)
    w = torch.where(defined, v / total, 0.0)
    value = (times(form.gramian, w) * w).sum(dim=-1).clamp(min=0)
    converged = defined.squeeze(-1) & (gap <= 1e4 * form.tolerance)
    solution = in_their_units(form, w, value, gap, converged)
    return solution._replace(gap=gap.masked_fill(~form.finite, torch.nan))


def _spectrum(matrix: Tensor, form: NormalForm) -> tuple[Tensor, Tensor, Tensor]:
    """Ascending eigenvalues, eigenvectors, and which eigenvalues are above rounding.

    On an accelerator ``torch.linalg.eigh`` waits for the host, which reads its error flag.
    """
    values, vectors = torch.linalg.eigh(matrix)
    largest = values[..., -1:]
    return values, vectors, (values > values.shape[-1] * form.noise * largest) & (largest > 0)


def _pseudo_solve(form: NormalForm, omega: Tensor) -> tuple[Tensor, Tensor]:
    """``a = pinv(C) omega`` and the relative residual of ``C a = omega`` over the tasks that have a gradient."""
    values, V, kept = _spectrum(form.cosines, form)
    a = times(V, torch.where(kept, 1 / values.masked_fill(~kept, 1.0), 0.0) * times(V.mT, omega))
    a = torch.where(form.norms > 0, a, 0.0)
    size = omega.abs().amax(dim=-1).clamp(min=1e-300)
    return a, (times(form.cosines, a) - omega).abs().amax(dim=-1) / size
