"""Scale slots: one factor per gradient, before the solver sees their inner products."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules import present
from moo_mtl.rules.average import Corrected
from moo_mtl.rules.slot import Bound, Schedule, Slot, at, excess, positive, preference_of, stateless, within

Statistic = Literal["max", "min", "mean", "median"]


def common_norm(magnitude: Statistic | float) -> Slot[Tensor]:
    r"""Every gradient rescaled to one length: a statistic of their lengths, or a constant.

    A task without gradient has factor 0 and is left out of the statistic.
    """
    if not isinstance(magnitude, str):
        positive("common-norm", "magnitude", magnitude, "it is the length of every gradient")
    elif magnitude not in ("max", "min", "mean", "median"):
        raise InputError(f"common norm {magnitude!r} is unknown; expected 'max', 'min', 'mean', 'median' or a positive number")

    def factors(obs: Observation) -> Tensor:
        norms = obs.norms
        alive = obs.mask & (norms > 0)
        target = _statistic(magnitude, norms, alive) if isinstance(magnitude, str) else magnitude
        return torch.where(alive, target / torch.where(alive, norms, 1.0), 0.0)

    name = f"{magnitude}-norm" if isinstance(magnitude, str) else f"norm-{magnitude:g}"
    return stateless(name, factors, Needs.GRAMIAN)


unit_norm = common_norm(1.0)
max_norm = common_norm("max")


def by_loss(lower_bound: Bound = None) -> Slot[Tensor]:
    r"""Gradients divided by their task's loss, :math:`g_k / (\ell_k - b_k)` (Sener and Koltun's ``loss``)."""
    return stateless("per-loss", lambda obs: excess("per-loss", obs, lower_bound).reciprocal(), Needs.LOSSES)


def by_loss_and_norm(lower_bound: Bound = None) -> Slot[Tensor]:
    r"""Gradients divided by loss and length, :math:`g_k / ((\ell_k - b_k) \lVert g_k \rVert)` (``loss+`` there)."""

    def factors(obs: Observation) -> Tensor:
        unit, _ = unit_norm.act(obs, ())
        return unit / excess("per-loss-and-norm", obs, lower_bound)

    return stateless("per-loss-and-norm", factors, Needs.LOSSES | Needs.GRAMIAN)


by_preference: Slot[Tensor] = stateless("by-preference", preference_of, Needs.PREFERENCE)
"""Gradients multiplied by the preference."""


def loss_over_norm(lower_bound: Bound = None) -> Slot[Tensor]:
    r"""Every gradient as long as its task's loss is large, :math:`\ell_k g_k / \lVert g_k \rVert` (LibMTL's MoCo)."""

    def factors(obs: Observation) -> Tensor:
        unit, _ = unit_norm.act(obs, ())
        return unit * excess("loss-over-norm", obs, lower_bound)

    return stateless("loss-over-norm", factors, Needs.LOSSES | Needs.GRAMIAN)


def average_norm(decay: Schedule = 0.999) -> Slot[Tensor]:
    """Gradients divided by the bias-corrected moving average of their own length; 0 for a task that never had a gradient."""
    decay = within("average-norm", "decay", decay, 0.0, 1.0, "it is the share of the old average that is kept", half_open=True)

    def act(obs: Observation, state: Corrected) -> tuple[Tensor, Corrected]:
        state = state.update(obs.norms, at(decay, obs.step), obs.mask)
        length = state.mean
        return torch.where(length > 0, 1 / torch.where(length > 0, length, 1.0), 0.0), state

    return Slot("average-norm", act, Corrected.start, Needs.GRAMIAN)


def towards_task(target: int = 0, relax: float = 0.7, decay: Schedule = 0.9) -> Slot[Tensor]:
    r"""Gradients drawn towards a target task's averaged length m: :math:`r \, m_{\text{target}} / m_k + 1 - r`."""
    within("towards-task", "relax", relax, 0.0, 1.0, "it is a share")
    decay = within("towards-task", "decay", decay, 0.0, 1.0, "it is the share of the old average that is kept", half_open=True)

    def act(obs: Observation, state: Corrected) -> tuple[Tensor, Corrected]:
        if not 0 <= target < obs.n_tasks:
            raise InputError(f"towards-task: target is task {target}, expected one of 0 to {obs.n_tasks - 1}")
        state = state.update(obs.norms, at(decay, obs.step), obs.mask)
        length = state.mean
        pull = torch.where(length > 0, length[..., target, None] / torch.where(length > 0, length, 1.0), 0.0)
        return relax * pull + 1 - relax, state

    return Slot("towards-task", act, Corrected.start, Needs.GRAMIAN)


class Reference(NamedTuple):
    """Lengths that later ones are compared with, and how many were seen; ``[..., K]`` each."""

    norms: Tensor
    seen: Tensor


def by_progress(burn_in: int = 20) -> Slot[Tensor]:
    r"""Every gradient rescaled to one length, in which the tasks that progress slowest count most (the scaling of RotoGrad).

    .. math:: s_k = \frac{1}{n_k} \sum_j a_j n_j, \qquad a_k = \frac{n_k / n_k^0}{\sum_j n_j / n_j^0}

    Args:
        burn_in: the lengths :math:`n^0` are those of the first step, and again of this many steps later.

    Source: Javaloy and Valera, RotoGrad: Gradient Homogenization in Multitask Learning, ICLR 2022, arXiv 2103.02631,
        section 4.1.
    """

    def start(obs: Observation) -> Reference:
        zero = torch.zeros_like(obs.losses, dtype=torch.float64)
        return Reference(zero, zero.clone())

    def act(obs: Observation, state: Reference) -> tuple[Tensor, Reference]:
        norms, alive = obs.norms, obs.mask & (obs.norms > 0)
        fresh = alive & ((state.norms == 0) | (state.seen == burn_in))
        reference = torch.where(fresh, norms, state.norms)
        left = torch.where(alive, norms / torch.where(reference > 0, reference, 1.0), 0.0)
        total = left.sum(dim=-1, keepdim=True)
        length = (left * norms).sum(dim=-1, keepdim=True) / torch.where(total > 0, total, 1.0)
        factors = torch.where(alive, length / torch.where(alive, norms, 1.0), 0.0)
        return factors, Reference(reference, state.seen + obs.mask.double())

    return Slot("by-progress", act, start, Needs.GRAMIAN)


def _statistic(which: Statistic, norms: Tensor, alive: Tensor) -> Tensor:
    """``[..., 1]``, over the tasks alive; 0 where there are none."""
    if which == "max":
        return torch.where(alive, norms, 0.0).amax(dim=-1, keepdim=True)
    if which == "mean":
        return present.mean(norms, alive)
    ordered = torch.where(alive, norms, torch.inf).sort(dim=-1).values
    middle = (
        (alive.sum(dim=-1, keepdim=True) - 1).clamp(min=0) // 2
        if which == "median"
        else torch.zeros_like(alive[..., :1], dtype=torch.int64)
    )
    return torch.where(alive.any(dim=-1, keepdim=True), ordered.gather(-1, middle), 0.0)
