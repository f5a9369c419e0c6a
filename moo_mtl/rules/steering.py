"""Solve slots that steer along the front: to a preference's ray, and down while on it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules.rule import Weighing
from moo_mtl.rules.slot import Bound, Slot, bound_of, excess, preference_of, stateless
from moo_mtl.solvers import min_norm
from moo_mtl.solvers.simplex_program import simplex_program

_NEEDS = Needs.LOSSES | Needs.GRAMIAN | Needs.PREFERENCE


def exact_optimal(
    balanced: float = 1e-4, dominance: Literal["restricted", "relaxed"] = "restricted", lower_bound: Bound = None
) -> Slot[Weighing]:
    r"""EPO search: a linear program that either balances :math:`\lambda_k \ell_k` across tasks, or descends all of them.

    With :math:`\hat\ell = \lambda \odot \ell / \sum`, the non-uniformity :math:`\mu = \sum_k \hat\ell_k \log(K \hat\ell_k)` and
    :math:`a_k = \lambda_k (\log(K \hat\ell_k) - \mu)`: if :math:`\mu` exceeds ``balanced``,
    :math:`\max_{\beta \in \Delta} \beta^\top G a` where tasks already descended by a may only ascend while the worst is not;
    else :math:`\max 1^\top G \beta` with :math:`G \beta \ge 0`.
    """
    if dominance not in ("restricted", "relaxed"):
        raise InputError(f"epo: dominance {dominance!r} is unknown; expected 'restricted' or 'relaxed'")

    def weigh(obs: Observation) -> Weighing:
        here, ray = obs.mask, preference_of(obs)
        tasks = here.sum(dim=-1, keepdim=True)
        weighted = torch.where(here, ray * excess("epo", obs, lower_bound), 0.0)
        share = weighted / weighted.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(weighted.dtype).tiny)
        level = torch.where(share > 0, torch.log(tasks * torch.where(share > 0, share, 1.0)), 0.0)
        uneven = (share * level).sum(dim=-1, keepdim=True)
        anchor = torch.where(here, ray * (level - uneven), 0.0)

        G = _in_own_unit(obs)
        pull = _times(G, anchor)
        worst = weighted == weighted.amax(dim=-1, keepdim=True)
        rising = (pull > 0) & here
        floor = torch.where(rising, -torch.inf, pull)
        floor = torch.where(rising.any(dim=-1, keepdim=True), torch.where(worst, 0.0, floor), 0.0)
        balancing = uneven > balanced
        bound = torch.where(balancing, floor, 0.0).masked_fill(~here, -torch.inf)
        least = pull.masked_fill(~here, -torch.inf).amax(dim=-1, keepdim=True).clamp(max=0)
        last = torch.where(balancing | torch.tensor(dominance == "relaxed"), -torch.inf, least)
        gain = torch.where(balancing, pull, G.sum(dim=-1))
        A, b = torch.cat([G, pull[..., None, :]], dim=-2), torch.cat([bound, last], dim=-1)
        solution = simplex_program(-gain, above=(A, b), present=here)
        fallback = ray / ray.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(ray.dtype).tiny)
        beta = torch.where(solution.converged[..., None], solution.weights, fallback)
        return Weighing(tasks * beta, gap=solution.gap, converged=solution.converged)

    return stateless("exact-optimal", weigh, _NEEDS)


def constrained_descent(tolerance: float = 1e-3, sigma: float = 0.1, ideal: Bound = None) -> Slot[Weighing]:
    r"""PMGDA: while the losses' distance h from the preference's ray exceeds ``tolerance``, a step that closes it too.

    .. math:: \min_{\mu \in \Delta, t} t \quad\text{s.t.}\quad g_k^\top d \ge -t, \quad \nabla h^\top d \ge \sigma
              \lVert \nabla h \rVert, \\
              d = \sum_k \mu_k \frac{g_k}{\lVert g_k \rVert} + \mu_{K+1} \frac{\nabla h}{\lVert \nabla h \rVert}

    On the ray it is MGDA.
    """

    def weigh(obs: Observation) -> Weighing:
        assert obs.gramian is not None
        here, K = obs.mask, obs.n_tasks
        f = torch.where(here, obs.losses - bound_of("pmgda", obs, ideal), 0.0)
        ray = preference_of(obs)
        ray = ray / ray.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(ray.dtype).tiny)
        off = f - (f * ray).sum(dim=-1, keepdim=True) * ray
        distance = off.norm(dim=-1, keepdim=True)
        slope = off / torch.where(distance > 0, distance, 1.0)
        descent = min_norm(obs.gramian, present=obs.present)

        extended = torch.cat([torch.eye(K, dtype=f.dtype, device=f.device).expand_as(obs.gramian), slope[..., None, :]], dim=-2)
        whole = extended @ obs.gramian @ extended.mT
        squares = whole.diagonal(dim1=-2, dim2=-1)
        # Of gradients that are nearly equal the distance has none: what the products leave of it is their rounding.
        size = slope.abs()[..., None, :] @ obs.gramian.abs() @ slope.abs()[..., None]
        floor = torch.cat([torch.zeros_like(f), 4 * K * torch.finfo(f.dtype).eps * size.squeeze(-1)], dim=-1)
        lengths = torch.where(squares > floor, squares, 0.0).sqrt()
        alive = torch.cat([here, torch.ones_like(here[..., :1])], dim=-1) & (lengths > 0)
        inverse = torch.where(alive, 1 / torch.where(alive, lengths, 1.0), 0.0)
        cosines = inverse[..., :, None] * whole * inverse[..., None, :]
        # t is at least -m, m the shortest gradient's length, and is measured from there in units of m.
        shortest = lengths[..., :K].masked_fill(~alive[..., :K], torch.inf).amin(dim=-1, keepdim=True)
        lift = torch.where(alive[..., :K], shortest * inverse[..., :K], 0.0)
        A = torch.cat([cosines, torch.cat([lift, torch.zeros_like(lift[..., :1])], dim=-1)[..., None]], dim=-1)
        b = torch.cat([lift, torch.full_like(lift[..., :1], sigma)], dim=-1).masked_fill(~alive, -torch.inf)
        cost = torch.cat([torch.zeros_like(lengths), torch.ones_like(lengths[..., :1])], dim=-1)
        variables = torch.cat([alive, torch.ones_like(here[..., :1])], dim=-1)
        on_simplex = torch.arange(K + 2, device=f.device) <= K
        solution = simplex_program(cost, above=(A, b), on_simplex=on_simplex, present=variables)
        scaled = solution.weights[..., : K + 1] * inverse
        along = scaled[..., :K] + scaled[..., K:] * slope

        near = (distance <= tolerance) | ~alive[..., K:]
        weights = torch.where(near, descent.weights, along)
        converged = torch.where(near.squeeze(-1), descent.converged, solution.converged)
        return Weighing(weights, gap=torch.where(near.squeeze(-1), descent.gap, solution.gap), converged=converged)

    return stateless("constrained-descent", weigh, _NEEDS)


def weighted_chebyshev(u: float = 1.0, ideal: Bound = None) -> Slot[Weighing]:
    r"""WC-MGDA: :math:`\max_{w \in \Delta} w^\top (\lambda \odot (\ell - z)) - u \lVert J^\top (\lambda \odot w) \rVert^2`."""

    def weigh(obs: Observation) -> Weighing:
        assert obs.gramian is not None
        here, ray = obs.mask, preference_of(obs)
        f = torch.where(here, obs.losses - bound_of("wc-mgda", obs, ideal), 0.0)
        curve = 2 * u * ray[..., :, None] * obs.gramian * ray[..., None, :]
        solution = simplex_program(-ray * f, curve, present=here)
        return Weighing(ray * solution.weights, gap=solution.gap, converged=solution.converged)

    return stateless("weighted-chebyshev", weigh, _NEEDS)


def _in_own_unit(obs: Observation) -> Tensor:
    """The Gramian in units of its largest squared length."""
    assert obs.gramian is not None
    largest = obs.gramian.diagonal(dim1=-2, dim2=-1).amax(dim=-1)[..., None, None]
    return obs.gramian / torch.where(largest > 0, largest, 1.0)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector[..., None]).squeeze(-1)
