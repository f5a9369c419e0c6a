"""Fair shares of the improvement: Nash-MTL and FairGrad, by damped Newton on their convex potentials."""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.solvers import chunks, reference, single, single_fair
from moo_mtl.solvers.backend import ACCURACY, Backend, Constraints, as_judged, wants_cvxpy
from moo_mtl.solvers.normal_form import NormalForm, in_their_units, normal_form, times
from moo_mtl.solvers.solution import Solution
from moo_mtl.tensors import require_number, require_tensor

STEPS = 100  # of Newton; quadratic convergence ends most problems within ten
HALVINGS = 12  # of a step that does not decrease the potential
ACCURATE = 1e-10  # relative error of the weights at which a solution counts as converged
GENTLE = 2.0  # alpha up to which Newton's method starts from scratch
ONE_BY_ONE = 64  # tasks up to which batches are inverted as one
LOST = 1e-2  # relative error of the weights above which rounding hides whether there is a solution


def nash(
    gramian: Tensor,
    *,
    present: Tensor | None = None,
    backend: Backend = "exact",
    extra_constraints: Constraints | None = None,
) -> Solution:
    r"""Nash bargaining solution: ``fairgrad`` with ``alpha = 1``, :math:`G w = 1 / w`.

    Every task improves at the same relative rate, :math:`w_k g_k^\top d = 1`, so :math:`\lVert d \rVert = \sqrt K` always.

    Args:
        gramian: ``[..., K, K]``, any scale.
        present: as in ``fairgrad``.
        backend: as in ``fairgrad``.
        extra_constraints: as in ``fairgrad``.

    Raises:
        InputError: a shape, dtype or (on CPU) entry is not as stated, or constraints come without ``backend="cvxpy"``.
        SolverError: the CVXPY program has no solution.

    Source: Navon et al. (2022), Claim 3.1.
    """
    return fairgrad(gramian, 1.0, present=present, backend=backend, extra_constraints=extra_constraints)


def fairgrad(
    gramian: Tensor,
    alpha: float,
    *,
    present: Tensor | None = None,
    backend: Backend = "exact",
    extra_constraints: Constraints | None = None,
) -> Solution:
    r"""Alpha-fair weights, the unique positive solution of :math:`G w = w^{-1/\alpha}` (elementwise).

    It minimises the strictly convex :math:`\tfrac12 w^\top G w - \sum_k w_k^{1 - 1/\alpha} / (1 - 1/\alpha)`, with
    :math:`\log w_k` at :math:`\alpha = 1`. A solution exists exactly where the point is not Pareto-stationary.

    Args:
        gramian: ``[..., K, K]``, any scale.
        alpha: above 0; 1 is Nash bargaining, infinity would be max-min fairness.
        present: ``[..., K]`` bool; an absent task has weight 0 and is left out.
        backend: ``"exact"``, or ``"cvxpy"`` for the program as stated, solved one by one by Clarabel.
        extra_constraints: receives the CVXPY variable w, ``[K]``, and returns further constraints; needs ``"cvxpy"``.

    Returns:
        Weights w; as value the squared length ``w'Gw``; as gap the largest relative error :math:`|dw_k / w_k|` of the weights,
        to first order: what a Newton step would still change, and what the rounding of G can. At a Pareto-stationary point, or
        one that rounding hides, the weights are 0 and ``converged`` is false: the equation has no solution there.

    Raises:
        InputError: ``alpha`` is not positive, or a shape, dtype, backend or (on CPU) entry is not as stated.
        SolverError: the CVXPY program has no solution.

    Source: Ban and Ji (2024), equation 7.
    """
    require_tensor("fairgrad", "gramian", gramian)
    require_number("fairgrad", "alpha", alpha)
    if not 0 < alpha < float("inf"):
        raise InputError(f"fairgrad: alpha must be positive and finite, found {alpha}")
    if single.applies(gramian, present, backend, extra_constraints):
        alone = single.nash(gramian) if alpha == 1 else single_fair.fairgrad(gramian, alpha)
        if alone is not None:
            return alone
    if chunks.apart(gramian, present, backend, extra_constraints):
        return chunks.one_by_one(lambda member: fairgrad(member, alpha), gramian)
    form = normal_form(gramian, present)
    acting = form.present & (form.norms > 0)
    if wants_cvxpy(backend, extra_constraints):
        w = reference.fair(form, alpha, extra_constraints) * form.unit.unsqueeze(-1) ** (alpha / (1 + alpha))
        v = w * form.norms ** (2 * alpha / (1 + alpha))
        solution = _certified(form, acting, alpha, v)  # an objective exact to ACCURACY fixes the weights to its root
        return as_judged(solution._replace(converged=solution.gap <= ACCURACY**0.5), extra_constraints)
    if alpha == 1 and form.norms.shape[-1] == 2:
        v = acting / (1 + form.cosines[..., 0, 1] * acting.all(dim=-1)).clamp(min=1e-300).sqrt().unsqueeze(-1)
    else:
        v = _newton(form, acting, alpha)
    return _certified(form, acting, alpha, v)


def _newton(form: NormalForm, acting: Tensor, alpha: float) -> Tensor:
    r"""Weights in units of the orthogonal solution :math:`n_k^{-2\alpha/(1+\alpha)}`, ``[..., K]``.

    With :math:`r_k = n_k^{2(1-\alpha)/(1+\alpha)}` it is :math:`\tfrac12 v^\top \sqrt r C \sqrt r v - \sum r_k f(v_k)`.
    """
    shape = form.norms.shape
    K = shape[-1]
    C, on = form.cosines.reshape(-1, K, K), acting.reshape(-1, K)
    norms = torch.where(on, form.norms.reshape(-1, K), 1.0)
    r = norms ** (2 * (1 - alpha) / (1 + alpha))
    r = torch.where(on, r / r.masked_fill(~on, 0.0).amax(dim=-1, keepdim=True).clamp(min=1e-300), 1.0)
    if alpha <= GENTLE:
        v = C.clamp(min=0).sum(dim=-1).clamp(min=1e-300) ** (-alpha / (1 + alpha))
    else:
        # Tasks that are not among the worst get weights many decades below the others', a long way for Newton's method.
        # Their rates w^(-1/alpha) hardly depend on alpha: take them from the solution for alpha / 2.
        easier = _newton(form, acting, alpha / 2).reshape(-1, K)
        v = easier.clamp(min=1e-145) ** 2 * norms ** (-2 * alpha**2 / (1 + alpha) / (2 + alpha))
    v = torch.where(on, v, 0.0)
    if C.device.type != "cpu":
        for _ in range(STEPS):
            v, _ = _step(C, on, r, v, alpha)
        return v.reshape(shape)
    answer, where = v.clone(), torch.arange(len(v))
    for _ in range(STEPS):
        v, moved = _step(C, on, r, v, alpha)
        answer[where] = v
        left = (moved > 1e-9).nonzero().squeeze(-1)  # convergence is quadratic: such a step was the last
        if not left.numel():
            break
        if left.numel() < len(v):
            C, on, r, v, where = C[left], on[left], r[left], v[left], where[left]
    return answer.reshape(shape)


def _step(C: Tensor, on: Tensor, r: Tensor, v: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """One damped Newton step, and its largest relative change ``|dv / v|`` before damping; 0 where no step can be taken."""
    root = r.sqrt()
    power = torch.where(on, v, 1.0) ** (1 - 1 / alpha)
    slope = times(C, root * v)
    M = C * (v.unsqueeze(-1) * v.unsqueeze(-2))
    M.diagonal(dim1=-2, dim2=-1).add_(torch.where(on, power / alpha, 1.0))
    downhill = torch.where(on, root * power - v * slope, 0.0)
    factor, info = torch.linalg.cholesky_ex(M)
    y = torch.cholesky_solve(downhill.unsqueeze(-1), factor).squeeze(-1)
    decrement = (y * downhill).sum(dim=-1)
    y = y / root  # now dv / v
    if alpha == 1:
        # Self-concordant: this damping always decreases the potential, and full steps are safe once lambda is below 1/4.
        length = torch.where(decrement > 1 / 16, 1 / (1 + decrement.clamp(min=0).sqrt()), 1.0)
    else:
        length = _armijo(C, on, r, v, y, decrement, alpha)
    good = (info == 0) & y.isfinite().all(dim=-1)
    stepped = torch.where(good.unsqueeze(-1), v * (1 + length.unsqueeze(-1) * y), v)
    return stepped, torch.where(good, y.abs().amax(dim=-1), 0.0)


def _armijo(C: Tensor, on: Tensor, r: Tensor, v: Tensor, y: Tensor, decrement: Tensor, alpha: float) -> Tensor:
    """Largest of 1, 1/2, 1/4, ... times the step to the boundary that decreases the potential, ``[B]``."""
    exponent = 1 - 1 / alpha
    root = r.sqrt()

    def potential(at: Tensor) -> Tensor:
        utility = at.log() if alpha == 1 else at**exponent / exponent
        scaled = root * at * on
        return (times(C, scaled) * scaled).sum(dim=-1) / 2 - torch.where(on, r * utility, 0.0).sum(dim=-1)

    length = (0.8 / (-y).amax(dim=-1).clamp(min=0.8)).clamp(max=1.0)  # a weight lost to 0 would grow back slowly
    before = potential(torch.where(on, v, 1.0))
    slack = 1e-14 * before.abs()  # close to the solution rounding hides the decrease
    for _ in range(HALVINGS):
        after = potential(torch.where(on, v * (1 + length.unsqueeze(-1) * y), 1.0))
        enough = after <= before - 1e-4 * length * decrement + slack
        if C.device.type == "cpu" and bool(enough.all()):
            break
        length = torch.where(enough, length, length / 2)
    return length


def _certified(form: NormalForm, acting: Tensor, alpha: float, v: Tensor) -> Solution:
    exponent = -2 * alpha / (1 + alpha)
    norms = torch.where(acting, form.norms, 1.0)
    some_zero = (form.present & ~acting).any(dim=-1)
    error, noise = _relative_errors(form, acting, alpha, torch.where(acting, v, 1.0))
    lost = some_zero | ~(error + noise <= LOST)
    w = torch.where(acting, v * norms**exponent, 0.0).masked_fill(lost.unsqueeze(-1), 0.0)
    value = (times(form.gramian, w) * w).sum(dim=-1).clamp(min=0)
    gap = error + noise
    converged = ~lost & (error <= torch.clamp(8 * noise, min=ACCURATE))
    solution = in_their_units(form, w, value, gap, converged, (1 - alpha) / (1 + alpha))
    scale = form.unit ** (-alpha / (1 + alpha))
    return solution._replace(weights=solution.weights * scale.unsqueeze(-1), gap=gap.masked_fill(~form.finite, torch.nan))


def _relative_errors(form: NormalForm, acting: Tensor, alpha: float, v: Tensor) -> tuple[Tensor, Tensor]:
    r"""Largest :math:`|dw / w|` of the next Newton step, and of the rounding errors of G's entries, ``[...]`` each.

    The equation's own error :math:`|w_k^{1/\alpha} (Gw)_k - 1|` says little where alpha is small: a task that improves at a
    rate far below the rounding of ``(Gw)_k`` has a weight that is exact all the same, fixed by its conflict with the others.
    """
    # Row k of M (dw / w) = downhill, divided by sqrt(r_k) v_k: every entry keeps its own relative accuracy.
    root = torch.where(acting, form.norms, 1.0) ** ((1 - alpha) / (1 + alpha))
    M = form.cosines * (root * v).unsqueeze(-2)
    wanted = root * v ** (-1 / alpha)
    downhill = torch.where(acting, wanted - M.sum(dim=-1), 0.0)
    rounding = form.noise * torch.where(acting, M.abs().sum(dim=-1) + wanted, 0.0)
    size = M.abs().amax(dim=-1, keepdim=True).clamp(min=1e-300)
    M.diagonal(dim1=-2, dim2=-1).add_(torch.where(acting, wanted / alpha, 1.0))
    inverse, info = _inverse(M / size)
    inverse = inverse / size.mT
    step = times(inverse, downhill).abs().amax(dim=-1)
    noise = times(inverse.abs(), rounding).amax(dim=-1)
    singular = (info != 0) | ~(step + noise).isfinite()
    return step.masked_fill(singular, torch.inf), noise.masked_fill(singular, torch.inf)


def _inverse(M: Tensor) -> tuple[Tensor, Tensor]:
    """As ``torch.linalg.inv_ex``, one by one where K is large on the CPU.

    With several threads MKL never returned from the LU of a batch of matrices with 160 rows and more (torch 2.13).
    """
    K = M.shape[-1]
    if M.device.type != "cpu" or K <= ONE_BY_ONE or M.numel() <= K * K:
        return torch.linalg.inv_ex(M)
    inverse, info = map(torch.stack, zip(*map(torch.linalg.inv_ex, M.reshape(-1, K, K)), strict=True))
    return inverse.reshape(M.shape), info.reshape(M.shape[:-2])
