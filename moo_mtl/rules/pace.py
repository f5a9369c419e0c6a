"""Loss slots that weigh tasks by how their losses have moved so far: their trend, their spread, the gap left to close."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from moo_mtl.observation import Needs, Observation
from moo_mtl.rules import present
from moo_mtl.rules.average import Average, Deviation, Epochs, Welford, blank, epoch_of
from moo_mtl.rules.slot import Bound, Schedule, Slot, Transformed, at, excess


def epoch_trend(temperature: float = 2.0, epoch_steps: int | None = None) -> Slot[Transformed]:
    r"""DWA: :math:`w = K \, \mathrm{softmax}(r / T)`, r the ratio of the last two epochs' mean losses; 1 before."""

    def factors(obs: Observation, state: Epochs) -> tuple[Tensor, Epochs]:
        state = state.update(obs.losses, epoch_of(obs, epoch_steps), obs.mask)
        known = (state.done >= 2) & (state.before != 0)
        ratio = torch.where(known, state.last / torch.where(known, state.before, 1.0), 1.0)
        return _softmax(ratio / temperature, obs.mask), state

    return _weighting("epoch-trend", factors, Epochs.start, _needs(epoch_steps))


def spread(beta: Schedule = 0.99) -> Slot[Transformed]:
    r"""SLAW: :math:`w_k \propto 1 / s_k`, summing to K, with s the moving standard deviation of the loss.

    Before a loss has moved at all every weight is 1; a deviation below :math:`10^{-8}` of the largest counts as that.
    """

    def factors(obs: Observation, state: Deviation) -> tuple[Tensor, Deviation]:
        state = state.update(obs.losses, at(beta, obs.step), obs.mask)
        deviation = torch.where(obs.mask, state.variance, 0.0).sqrt()
        largest = deviation.amax(dim=-1, keepdim=True)
        rate = largest / torch.maximum(deviation, 1e-8 * largest)
        return _shared_out(torch.where(largest > 0, rate, 1.0), obs.mask), state

    return _weighting("spread", factors, Deviation.start)


def variation(lower_bound: Bound = None) -> Slot[Transformed]:
    r"""CoV: weights like the coefficients of variation of :math:`\ell_k(t) / \mathrm{mean}_{s<t} \ell_k(s)`, summing to 1."""

    def factors(obs: Observation, state: tuple[Welford, Welford]) -> tuple[Tensor, tuple[Welford, Welford]]:
        above = excess("cov", obs, lower_bound)
        past, ratios = state
        ratio = (above / torch.where(past.seen > 0, past.mean, above)).clamp(max=1e100)  # beyond, its square would overflow
        past, ratios = past.update(above, obs.mask), ratios.update(ratio, obs.mask)
        coefficient = torch.where(obs.mask, ratios.deviation / ratios.mean.clamp(min=1e-300), 0.0)
        known = coefficient.amax(dim=-1, keepdim=True) > 0
        share = _shared_out(torch.where(known, coefficient, 1.0), obs.mask)
        return share / present.count(obs.mask).clamp(min=1), (past, ratios)

    return _weighting("variation", factors, lambda obs: (Welford.start(obs), Welford.start(obs)))


def gap_left(base_epoch: int = 1, epoch_steps: int | None = None, lower_bound: Bound = None) -> Slot[Transformed]:
    r"""IGB: logarithms with weights :math:`K \, \mathrm{softmax}(\ell / \text{base})`, base the mean loss of an early epoch."""

    def act(obs: Observation, state: Average) -> tuple[Transformed, Average]:
        above, epoch = excess("igb", obs, lower_bound), epoch_of(obs, epoch_steps)
        if epoch <= base_epoch:
            fresh = _running_mean(state, above, obs.mask & torch.tensor(epoch == base_epoch, device=above.device))
            return Transformed(above.log(), above.reciprocal()), fresh
        known = state.updates > 0
        weight = _softmax(torch.where(known, above / torch.where(known, state.mean, 1.0), 1.0), obs.mask)
        return Transformed(weight * above.log(), weight / above), state

    return Slot("gap-left", act, Average.start, _needs(epoch_steps))


def smooth_worst(
    mu: float = 1.0, warm_up: int = 4, epoch_steps: int | None = None, lower_bound: Bound = None
) -> Slot[Transformed]:
    r"""STCH-MTL: :math:`K \mu \log \sum_k (\ell_k / n_k)^{1/\mu}`; before, :math:`\sum \log \ell_k`, while n is averaged."""

    def act(obs: Observation, state: Average) -> tuple[Transformed, Average]:
        above, epoch = excess("stch-mtl", obs, lower_bound), epoch_of(obs, epoch_steps)
        plain = Transformed(above.log(), above.reciprocal())
        if epoch <= warm_up + 1:
            averaging = obs.mask & torch.tensor(epoch == warm_up + 1, device=above.device)
            return plain, _running_mean(state, above, averaging)
        level = torch.where(state.updates > 0, (above / torch.where(state.updates > 0, state.mean, above)).log(), 0.0)
        share = _softmax(level / mu, obs.mask)
        return Transformed(share * plain.losses, share * plain.slope), state

    return Slot("smooth-worst", act, Average.start, _needs(epoch_steps))


def grouped_risk(rate: float = 1e-4, groups: int = 1, lower_bound: Bound = None) -> Slot[Transformed]:
    r"""GO4Align: risk indicators :math:`q_k = p_k \sum_j \ell_j / \ell_k`, averaged within groups of tasks with similar ones.

    With :math:`p_k \leftarrow p_k e^{-\eta \ell_k}`, normalised. The groups are the exact k-means clusters of K numbers, by
    dynamic programming (Wang and Song 2011), where the authors' code starts k-means at random.
    """

    def factors(obs: Observation, state: Tensor) -> tuple[Tensor, Tensor]:
        above = excess("go4align", obs, lower_bound)
        state = torch.where(obs.mask, state - rate * obs.losses, state)
        p = present.softmax(state, obs.mask)
        risk = p * torch.where(obs.mask, above, 0.0).sum(dim=-1, keepdim=True) / above
        return _cluster_means(risk, obs.mask, groups), state

    return _weighting("grouped-risk", factors, blank)


def _needs(epoch_steps: int | None) -> Needs:
    """A slot that is told the length of an epoch counts epochs itself."""
    return Needs.LOSSES | Needs.EPOCH if epoch_steps is None else Needs.LOSSES


def _weighting(
    name: str,
    factors: Callable[[Observation, Any], tuple[Tensor, Any]],
    start: Callable[[Observation], Any],
    needs: Needs = Needs.LOSSES,
) -> Slot[Transformed]:
    """A slot that multiplies each loss by a factor through which no gradient flows."""

    def act(obs: Observation, state: Any) -> tuple[Transformed, Any]:
        factor, state = factors(obs, state)
        return Transformed(factor * obs.losses, factor), state

    return Slot(name, act, start, needs)


def _softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the present tasks, summing to their number."""
    return present.softmax(logits, mask) * present.count(mask)


def _shared_out(value: Tensor, mask: Tensor) -> Tensor:
    """Scaled to sum to the number of present tasks."""
    value = torch.where(mask, value, 0.0)
    total = value.sum(dim=-1, keepdim=True)
    return value * present.count(mask) / torch.where(total > 0, total, 1.0)


def _running_mean(state: Average, value: Tensor, mask: Tensor) -> Average:
    updates = state.updates + mask.double()
    return Average(torch.where(mask, state.mean + (value - state.mean) / updates.clamp(min=1), state.mean), updates)


def _cluster_means(value: Tensor, mask: Tensor, groups: int) -> Tensor:
    """Each entry replaced by the mean of its cluster, for the split of the sorted entries with the least squared error."""
    K = value.shape[-1]
    ordered, order = value.masked_fill(~mask, math.inf).sort(dim=-1)
    counted = ordered.isfinite().double()
    ordered = torch.where(ordered.isfinite(), ordered, 0.0)
    scale = ordered.amax(dim=-1, keepdim=True).clamp(min=1e-300)
    count, first, second = (
        torch.nn.functional.pad(part.cumsum(dim=-1), (1, 0)) for part in (counted, ordered / scale, (ordered / scale).square())
    )

    def between(sums: Tensor) -> Tensor:  # [..., K + 1, K + 1]: over entries i to j - 1
        return sums[..., None, :] - sums[..., :, None]

    number, total = between(count), between(first)
    forward = torch.ones(K + 1, K + 1, dtype=torch.bool, device=value.device).triu()
    mean = total / number.clamp(min=1)
    error = torch.where(forward, (between(second) - total * mean).clamp(min=0), math.inf)
    cost, splits = error[..., 0, :], []
    for _ in range(min(groups, K) - 1):
        through = cost[..., :, None] + error
        best = through.min(dim=-2)
        cost = best.values
        splits.append(best.indices)
    means = torch.zeros_like(ordered)
    end = torch.full_like(order[..., :1], K)
    place = torch.arange(K, device=value.device)
    for split in [*reversed(splits), torch.zeros_like(end).expand(*end.shape[:-1], K + 1)]:
        begin = split.gather(-1, end)
        index = begin * (K + 1) + end
        cluster = mean.flatten(-2).gather(-1, index)
        means = torch.where((place >= begin) & (place < end), cluster, means)
        end = begin
    return torch.zeros_like(value).scatter(-1, order, means * scale)
