"""Solve slots for a population of solutions, the last batch axis, whose members see each other's losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules.rule import Weighing
from moo_mtl.rules.slot import Slot, preference_of, stateless
from moo_mtl.solvers import min_norm


def hypervolume_gradient(reference: Sequence[float] | None = None) -> Slot[Weighing]:
    r"""Minus the gradient of the dominated area, for two objectives, scaled to unit length for each member.

    Between neighbours :math:`w_{i1} = \ell_2^{(i-1)} - \ell_2^{(i)}`, :math:`w_{i2} = \ell_1^{(i+1)} - \ell_1^{(i)}`.
    A dominated member is weighed within its own layer of the non-dominated sorting; equal members alike. One that does not
    lie below a given reference point in both losses stands still.

    Args:
        reference: the reference point; by default 1.1 times the largest losses of the population.
    """
    fixed = None if reference is None else torch.tensor(list(reference), dtype=torch.float64)

    def weigh(obs: Observation) -> Weighing:
        losses = _population("hypervolume", obs)
        if obs.n_tasks != 2 or (fixed is not None and fixed.shape != (2,)):
            raise InputError(
                f"hypervolume: found K = {obs.n_tasks}, expected at most 2 tasks, and a reference point of 2 numbers"
            )
        worst = losses.amax(dim=-2) + 0.1 * losses.amax(dim=-2).abs() if fixed is None else fixed.to(losses.device)
        first, second = losses.unbind(dim=-1)
        together = _layers(losses)
        together = together[..., :, None] == together[..., None, :]

        def nearest(beside: Tensor, level: Tensor, end: Tensor) -> Tensor:
            """The least level of the fellows beside a member, or the reference point's."""
            among = level[..., None, :].expand_as(beside).masked_fill(~(beside & together), torch.inf)
            return torch.minimum(among.amin(dim=-1), end[..., None])

        left = first[..., None, :] < first[..., :, None]
        above = nearest(left, second, worst[..., 1])
        right = nearest(first[..., None, :] > first[..., :, None], first, worst[..., 0])
        gain = torch.stack([above - second, right - first], dim=-1).clamp(min=0)
        if fixed is not None:  # the area ends at the reference, and does not change with what lies beyond it
            gain = torch.where((losses < worst[..., None, :]).all(dim=-1, keepdim=True), gain, 0.0)
        # In units of the larger entry, so that a gain as small as rounding is still a direction.
        largest = gain.amax(dim=-1, keepdim=True)
        gain = gain / torch.where(largest > 0, largest, 1.0)
        return Weighing(gain / gain.norm(dim=-1, keepdim=True).clamp(min=1.0))

    return stateless("hypervolume-gradient", weigh, Needs.LOSSES | Needs.POPULATION)


def stein() -> Slot[Weighing]:
    r"""MOO-SVGD: min-norm directions shared between members with near losses, which also push each other apart.

    .. math:: d_i = \frac1N \sum_j \kappa_{ij} v_j + \nabla_{\theta_i} \kappa_{ij}, \qquad
              \kappa_{ij} = e^{-\lVert \ell_i - \ell_j \rVert^2 / h}, \quad h = \mathrm{median} / \log N,

    with :math:`v_j` the min-norm point of member j. The weights reported are those on the member's own gradients.
    """

    def weigh(obs: Observation) -> Weighing:
        assert obs.gramian is not None
        assert obs.rows is not None
        losses = _population("moo-svgd", obs)
        members = losses.shape[-2]
        solution = min_norm(obs.gramian, present=obs.present)
        own = (solution.weights[..., None, :].to(obs.rows) @ obs.rows).squeeze(-2)
        apart = losses[..., :, None, :] - losses[..., None, :, :]
        both = obs.mask[..., :, None, :] & obs.mask[..., None, :, :]
        apart = torch.where(both, apart, 0.0)
        square = apart.square().sum(dim=-1)
        h = _median(square) / math.log(members) if members > 1 else torch.zeros_like(square[..., 0, 0])
        inverse = torch.where(h > 0, 1 / torch.where(h > 0, h, 1.0), 0.0)[..., None, None]
        kernel = torch.exp(-square * inverse)
        push = (-2 * inverse[..., None] * kernel[..., None] * apart).sum(dim=-2) / members
        shared = (kernel.to(own) @ own) / members
        direction = shared + (push.to(obs.rows)[..., None, :] @ obs.rows).squeeze(-2)
        weights = kernel.diagonal(dim1=-2, dim2=-1)[..., None] * solution.weights / members + push
        return Weighing(weights, direction=direction, gap=solution.gap, converged=solution.converged)

    return stateless("stein", weigh, Needs.LOSSES | Needs.GRAMIAN | Needs.ROWS | Needs.POPULATION)


class Phase(NamedTuple):
    """Whether a member has reached its own sector, ``[..., N]``; 0 or 1."""

    inside: Tensor


def sectors(search_steps: int = 200) -> Slot[Weighing]:
    r"""PMTL: each member descends in the sector of losses that is closest to its own preference.

    With unit preferences :math:`q_j`, constraints :math:`c_j = (q_j - q_i)^\top \ell_i / \lVert \ell_i \rVert \le 0`: first
    the min-norm point of the violated constraints' gradients, until there is none or ``search_steps`` are over; then that of
    the losses' and the violated constraints' gradients together. Weights are scaled to :math:`\sum |w| = K`.
    """

    def start(obs: Observation) -> Phase:
        return Phase(torch.zeros(obs.batch, dtype=torch.float64, device=obs.losses.device))

    def act(obs: Observation, state: Phase) -> tuple[Weighing, Phase]:
        assert obs.gramian is not None
        losses = torch.where(obs.mask, _population("pmtl", obs), 0.0)
        K = obs.n_tasks
        q = preference_of(obs)
        q = q / q.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(q.dtype).tiny)
        normals = torch.where(obs.mask[..., :, None, :], q[..., None, :, :] - q[..., :, None, :], 0.0)  # [..., i, j, K]
        length = losses.norm(dim=-1, keepdim=True)
        line = losses / torch.where(length > 0, length, 1.0)
        violated = (normals * line[..., :, None, :]).sum(dim=-1) > 0
        inside = (state.inside > 0) | ~violated.any(dim=-1) | torch.tensor(obs.step > search_steps, device=losses.device)

        rows = torch.cat([torch.eye(K, dtype=losses.dtype, device=losses.device).expand(*obs.batch, K, K), normals], dim=-2)
        taking = torch.cat([obs.mask & inside[..., None], violated], dim=-1)
        solution = min_norm(rows @ obs.gramian @ rows.mT, present=taking)
        weights = (solution.weights[..., None, :] @ rows).squeeze(-2)
        total = weights.abs().sum(dim=-1, keepdim=True)
        tasks = obs.mask.sum(dim=-1, keepdim=True)
        weights = weights * tasks / torch.where(total > 0, total, 1.0)
        return Weighing(weights, gap=solution.gap, converged=solution.converged), Phase(inside.double())

    return Slot("sectors", act, start, Needs.LOSSES | Needs.GRAMIAN | Needs.PREFERENCE | Needs.POPULATION)


def _population(name: str, obs: Observation) -> Tensor:
    if obs.losses.dim() < 2:
        raise InputError(
            f"{name}: losses have shape {tuple(obs.losses.shape)}, expected [..., N, K] with a population of N solutions; "
            "trace several starts, or train stacked networks"
        )
    return obs.losses


def _layers(losses: Tensor) -> Tensor:
    """Number of each member's non-dominated layer, from 0, ``[..., N]``."""
    better = (losses[..., None, :, :] <= losses[..., :, None, :]).all(dim=-1)
    strictly = (losses[..., None, :, :] < losses[..., :, None, :]).any(dim=-1)
    dominated_by = better & strictly  # [..., i, j]: j dominates i
    layer = torch.zeros_like(losses[..., 0], dtype=torch.int64)
    left = torch.ones_like(layer, dtype=torch.bool)
    for depth in range(losses.shape[-2]):
        front = left & ~(dominated_by & left[..., None, :]).any(dim=-1)
        layer = torch.where(front, depth, layer)
        left = left & ~front
        if left.device.type == "cpu" and not bool(left.any()):
            break
    return layer


def _median(square: Tensor) -> Tensor:
    """Median of the squared distances between different members, ``[...]``."""
    members = square.shape[-1]
    upper = torch.triu_indices(members, members, offset=1, device=square.device)
    return square[..., upper[0], upper[1]].median(dim=-1).values
