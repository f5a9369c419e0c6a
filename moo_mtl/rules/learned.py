r"""Loss slots whose factors are learned beside the network: their gradients are closed forms, their optimiser is functional.

Each holds one number per task, with an optimiser state of its own per task, so that an absent task's stands still.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from moo_mtl import descent
from moo_mtl.errors import InputError
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules import present
from moo_mtl.rules.average import blank
from moo_mtl.rules.rule import Weighing
from moo_mtl.rules.slot import Bound, Schedule, Slot, Transformed, at, excess
from moo_mtl.state import keep_where

Optimizer = descent.Optimizer
Likelihood = Literal["regression", "classification"]


class Learned(NamedTuple):
    """One learned number per task, ``[..., K]``, and the state of its optimiser."""

    value: Tensor
    moments: descent.Moments | tuple[()]

    @staticmethod
    def start(obs: Observation, value: float, optimizer: Optimizer) -> Learned:
        at_start = blank(obs) + value
        return Learned(at_start, descent.start(at_start[..., None], optimizer))

    def descend(self, gradient: Tensor, lr: float, mask: Tensor) -> Learned:
        """One step of the tasks in ``mask``."""
        move, moments = descent.step(gradient[..., None], self.moments, lr)
        return keep_where(mask, Learned(self.value + move.squeeze(-1), moments), self)


def uncertainty(
    likelihood: Likelihood | Sequence[Likelihood] = "regression",
    lr: Schedule = 1e-3,
    optimizer: Optimizer = "adam",
    initial: float = 0.0,
) -> Slot[Transformed]:
    r"""Homoscedastic uncertainty: :math:`\varphi_k = a_k e^{-s_k} \ell_k + \tfrac12 s_k`, s learned.

    Args:
        likelihood: ``"regression"`` has :math:`a = \tfrac12`, ``"classification"`` :math:`a = 1`; one for all or one per task.
        lr: learning rate of s.
        optimizer: of s.
        initial: s before the first step.
    """
    kinds = [likelihood] if isinstance(likelihood, str) else list(likelihood)
    for kind in kinds:
        if kind not in ("regression", "classification"):
            raise InputError(f"uw: likelihood {kind!r} is unknown; expected 'regression' or 'classification'")

    def act(obs: Observation, state: Learned) -> tuple[Transformed, Learned]:
        if len(kinds) not in (1, obs.n_tasks):
            raise InputError(f"uw: found {len(kinds)} likelihoods for {obs.n_tasks} tasks; give one for all or one per task")
        share = torch.tensor([0.5 if kind == "regression" else 1.0 for kind in kinds], dtype=torch.float64)
        slope = share.to(obs.losses.device) * torch.exp(-state.value)
        transformed = Transformed(slope * obs.losses + state.value / 2, slope)
        return transformed, state.descend(0.5 - slope * obs.losses, at(lr, obs.step), obs.mask)

    return Slot("uncertainty", act, lambda obs: Learned.start(obs, initial, optimizer), Needs.LOSSES)


def learned_scale(lr: Schedule = 1e-3, optimizer: Optimizer = "adam", initial: float = 0.0) -> Slot[Transformed]:
    r"""IMTL-L: :math:`\varphi_k = e^{s_k} \ell_k - s_k`, s learned; at its optimum :math:`e^{s_k} = 1 / \ell_k`."""

    def act(obs: Observation, state: Learned) -> tuple[Transformed, Learned]:
        slope = torch.exp(state.value)
        transformed = Transformed(slope * obs.losses - state.value, slope)
        return transformed, state.descend(slope * obs.losses - 1, at(lr, obs.step), obs.mask)

    return Slot("learned-scale", act, lambda obs: Learned.start(obs, initial, optimizer), Needs.LOSSES)


class Pace(NamedTuple):
    """FAMO's logits; logarithms of the losses before the step, and which tasks took part in it, ``[..., K]`` each; number of
    that step, ``[...]``."""

    logits: Learned
    before: Tensor
    present: Tensor
    step: Tensor


def famo(
    lr: float = 0.025, weight_decay: float = 1e-3, optimizer: Optimizer = "adam", lower_bound: Bound = None
) -> Slot[Weighing]:
    r"""Weights under which all losses fall at the same relative rate, from the losses after the step.

    .. math:: z = \mathrm{softmax}(\xi), \quad w_k = c \, z_k / (\ell_k - b_k), \quad
              \nabla_\xi = (\mathrm{diag}(z) - z z^\top)(\log \ell^{before} - \log \ell^{after}) + \gamma \xi
    """

    def start(obs: Observation) -> Pace:
        nobody = torch.zeros_like(obs.losses, dtype=torch.bool)
        return Pace(Learned.start(obs, 0.0, optimizer), blank(obs), nobody, blank(obs)[..., 0])

    def act(obs: Observation, state: Pace) -> tuple[Weighing, Pace]:
        above = excess("famo", obs, lower_bound)
        share = present.softmax(state.logits.value, obs.mask) / above
        before = torch.where(obs.mask, above.log(), state.before)
        weights = share / share.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(share.dtype).tiny)
        step = torch.full_like(state.step, float(obs.step))
        return Weighing(weights), state._replace(before=before, present=obs.mask, step=step)

    def observe(after: Tensor, state: Pace) -> Pace:
        step = int(state.step.max()) if after.device.type == "cpu" else 1  # for the message, which comes on the CPU alone
        seen = Observation(after, present=state.present, step=step)
        change = state.before - excess("famo", seen, lower_bound).log()
        here = state.present & change.isfinite()  # a loss that the step spoiled says nothing of the pace
        change = torch.where(here, change, 0.0)
        z = present.softmax(state.logits.value, here)
        gradient = z * (change - (z * change).sum(dim=-1, keepdim=True)) + weight_decay * state.logits.value
        return state._replace(logits=state.logits.descend(gradient, lr, here))

    return Slot("famo", act, start, Needs.LOSSES | Needs.AFTER, observe=observe)


class Training(NamedTuple):
    """GradNorm's weights, the losses at the first step, and how often each task was seen; ``[..., K]`` each."""

    weights: Learned
    first: Tensor
    seen: Tensor


def gradnorm(
    alpha: float = 1.5,
    lr: Schedule = 0.025,
    optimizer: Optimizer = "adam",
    floor: float = 1e-3,
    lower_bound: Bound = None,
) -> Slot[Weighing]:
    r"""Weights learned so that gradient lengths follow the tasks' relative training rates.

    .. math:: \min_w \sum_k \bigl\lvert w_k \lVert g_k \rVert - \bar G \, r_k^\alpha \bigr\rvert, \qquad
              r_k = \frac{\ell_k / \ell_k(0)}{\mathrm{mean}_j \, \ell_j / \ell_j(0)}, \qquad
              \bar G = \mathrm{mean}_j \, w_j \lVert g_j \rVert

    Args:
        alpha: how strongly slow tasks are pulled forward.
        lr: learning rate of the weights.
        optimizer: of the weights. Plain descent has the gradients' units, Adam none.
        floor: smallest weight after a step, which could make one negative.
        lower_bound: number below every loss, or one per task.
    """

    def start(obs: Observation) -> Training:
        return Training(Learned.start(obs, 1.0, optimizer), blank(obs), blank(obs))

    def act(obs: Observation, state: Training) -> tuple[Weighing, Training]:
        above, here = excess("gradnorm", obs, lower_bound), obs.mask
        first = torch.where(here & (state.seen == 0), above, state.first)
        pace = torch.where(here, above / torch.where(first > 0, first, 1.0), 0.0)
        rate = pace / _mean(pace, here)
        lengths = obs.norms
        weighted = torch.where(here, state.weights.value * lengths, 0.0)
        target = _mean(weighted, here) * rate**alpha
        gradient = torch.sign(weighted - target) * lengths
        stepped = state.weights.descend(gradient, at(lr, obs.step), here)
        positive = torch.where(here, stepped.value.clamp(min=floor), 0.0)
        share = torch.where(here, state.weights.value, 0.0).sum(dim=-1, keepdim=True)  # K while all tasks are present
        value = torch.where(here, share * positive / positive.sum(dim=-1, keepdim=True).clamp(min=floor), state.weights.value)
        return Weighing(state.weights.value), Training(stepped._replace(value=value), first, state.seen + here.double())

    return Slot("gradnorm", act, start, Needs.LOSSES | Needs.GRAMIAN)


class Routing(NamedTuple):
    """LDC-MTL's router logits, the factors that put the first losses on one scale, and how often each task was seen."""

    logits: Learned
    factor: Tensor
    seen: Tensor


def discrepancy(
    strength: float = 0.1, lr: Schedule = 1e-3, optimizer: Optimizer = "adam", lower_bound: Bound = None
) -> Slot[Weighing]:
    r"""LDC-MTL's single-level objective with free router logits a, :math:`\sigma_k = \mathrm{sigmoid}(a_k)`.

    .. math:: F = \frac{\sum_k \sigma_k \tilde\ell_k}{\sum_k \sigma_k}
              + \lambda \sum_{k < K} \lvert \sigma_k \tilde\ell_k - \sigma_{k+1} \tilde\ell_{k+1} \rvert, \qquad
              \tilde\ell_k = \frac{\min_j \ell_j(0)}{\ell_k(0)} \, \ell_k

    The weights are :math:`\partial F / \partial \ell_k`; the chain of neighbours makes them depend on the order of the
    tasks, and the absolute values make some negative.
    """

    def start(obs: Observation) -> Routing:
        return Routing(Learned.start(obs, 0.0, optimizer), blank(obs), blank(obs))

    def act(obs: Observation, state: Routing) -> tuple[Weighing, Routing]:
        above, here = excess("ldc-mtl", obs, lower_bound), obs.mask
        smallest = above.masked_fill(~here, torch.inf).amin(dim=-1, keepdim=True)
        factor = torch.where(here & (state.seen == 0), smallest / above, state.factor)
        scaled = torch.where(here, factor * above, 0.0)
        gate = torch.where(here, torch.sigmoid(state.logits.value), 0.0)
        total = gate.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(gate.dtype).tiny)
        slope = _chain(gate * scaled, here)
        weights = factor * gate * (1 / total + strength * slope)
        mean = (gate * scaled).sum(dim=-1, keepdim=True) / total
        on_logits = gate * (1 - gate) * ((scaled - mean) / total + strength * slope * scaled)
        logits = state.logits.descend(on_logits, at(lr, obs.step), here)
        return Weighing(weights), Routing(logits, factor, state.seen + here.double())

    return Slot("discrepancy", act, start, Needs.LOSSES)


def _mean(value: Tensor, mask: Tensor) -> Tensor:
    """Over the present tasks, ``[..., 1]``; 1 in place of 0."""
    mean = present.mean(value, mask)
    return torch.where(mean > 0, mean, 1.0)


def _chain(value: Tensor, mask: Tensor) -> Tensor:
    r"""Slope of :math:`\sum |v_k - v_{k+1}|` over present neighbours, ``[..., K]``; 0 where they are equal."""
    order = (~mask).to(torch.int8).argsort(dim=-1, stable=True)
    inside = mask.gather(-1, order)
    ordered = value.gather(-1, order)
    signs = torch.sign(ordered[..., :-1] - ordered[..., 1:]) * (inside[..., :-1] & inside[..., 1:])
    edge = torch.zeros_like(ordered[..., :1])
    slope = torch.cat([signs, edge], dim=-1) - torch.cat([edge, signs], dim=-1)
    return torch.zeros_like(value).scatter(-1, order, slope)
