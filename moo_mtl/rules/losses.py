"""Loss slots: a transform of each task's loss, and its slope, which is all that the gradients need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules import present
from moo_mtl.rules.average import Average
from moo_mtl.rules.slot import Bound, Schedule, Slot, Transformed, at, excess, positive, stateless, within


def log(lower_bound: Bound = None) -> Slot[Transformed]:
    r"""Logarithm: :math:`\varphi = \log(\ell - b)`, slope :math:`1/(\ell - b)`; gradients become relative improvements.

    Args:
        lower_bound: :math:`b`, below every loss; 0 if not given.
    """

    def transform(obs: Observation) -> Transformed:
        above = excess("log", obs, lower_bound)
        return Transformed(above.log(), above.reciprocal())

    return stateless("log", transform, Needs.LOSSES)


def geometric(lower_bound: Bound = None) -> Slot[Transformed]:
    r"""Geometric mean :math:`F = (\prod_k \ell_k)^{1/K}`, each task holding a K-th of it; slope :math:`F / (K \ell_k)`."""

    def transform(obs: Observation) -> Transformed:
        above = excess("geometric-mean", obs, lower_bound)
        tasks = present.count(obs.mask).clamp(min=1)
        mean = torch.exp(present.mean(above.log(), obs.mask))
        return Transformed((mean / tasks).expand_as(above), mean / tasks / above)

    return stateless("geometric-mean", transform, Needs.LOSSES)


def inverse_softmax(temperature: float = 1.0, lower_bound: Bound = None) -> Slot[Transformed]:
    r"""Factors :math:`\mathrm{softmax}(1 / (T \ell))`: the smallest loss weighs most."""
    positive("uw-so", "temperature", temperature, "as it grows the weights become equal")

    def transform(obs: Observation) -> Transformed:
        level = 1 / (temperature * excess("uw-so", obs, lower_bound))
        factor = present.softmax(level, obs.mask)
        return Transformed(factor * obs.losses, factor)

    return stateless("inverse-softmax", transform, Needs.LOSSES)


class Convex(NamedTuple):
    r"""An increasing convex function :math:`h`, written so that nothing overflows before it must.

    Attributes:
        log_slope: :math:`\log h'`.
        ratio: :math:`h / h'`.
        domain: ``(low, high)``, open, in which conditions C1 to C3 hold.
    """

    log_slope: Callable[[Tensor], Tensor]
    ratio: Callable[[Tensor], Tensor]
    domain: tuple[float, float]


def exponential(temperature: float = 1.0) -> Convex:
    r""":math:`h(z) = e^{z/T}`, for every loss."""
    return Convex(lambda z: z / temperature - _log(temperature), lambda z: torch.full_like(z, temperature), _EVERYWHERE)


def softplus(temperature: float = 1.0) -> Convex:
    r""":math:`h(z) = T \log(1 + e^{z/T})`, for every loss; its slope saturates at 1, so the largest losses share equally."""
    sigmoid, sum_log = torch.nn.functional.logsigmoid, torch.nn.functional.softplus
    return Convex(
        lambda z: sigmoid(z / temperature),
        lambda z: temperature * sum_log(z / temperature) / torch.sigmoid(z / temperature),
        _EVERYWHERE,
    )


def cosh(temperature: float = 1.0) -> Convex:
    r""":math:`h(z) = \cosh(z/T)`, for positive losses."""

    def log_slope(z: Tensor) -> Tensor:
        y = z / temperature
        return y + torch.log(-torch.expm1(-2 * y)) - _log(2 * temperature)

    return Convex(log_slope, lambda z: temperature / torch.tanh(z / temperature), _POSITIVE)


def power(exponent: float = 2.0) -> Convex:
    r""":math:`h(z) = z^p`, :math:`p > 1`, for positive losses."""
    if not 1 < exponent < float("inf"):
        raise InputError(
            f"bmtl: the power z^{exponent:g} breaks condition C2 (derived: h' must increase, so that larger losses weigh "
            f"more); "
            "its exponent must exceed 1 and be finite"
        )
    return Convex(lambda z: _log(exponent) + (exponent - 1) * z.log(), lambda z: z / exponent, _POSITIVE)


def barrier(bound: float = 1.0) -> Convex:
    r""":math:`h(z) = -\log(c - z)`, for losses below :math:`c`."""
    return Convex(lambda z: -torch.log(bound - z), lambda z: -torch.log(bound - z) * (bound - z), (-float("inf"), bound))


def convex(transform: Convex, mode: Literal["normalised", "exact"] = "normalised", name: str = "convex") -> Slot[Transformed]:
    r"""An increasing convex transform of each loss: the larger a loss, the larger its weight.

    Args:
        transform: :math:`h`.
        mode: ``"exact"`` has slope :math:`h'(\ell_k)`; ``"normalised"`` divides by the mean slope, which changes the
            length of the step and not its direction, cannot overflow, and gives slopes that sum to K (to 1 for each of
            equal losses).
        name: for messages.
    """
    if mode not in ("normalised", "exact"):
        raise InputError(f"{name}: mode {mode!r} is unknown; expected 'normalised' or 'exact'")
    low, high = transform.domain

    def act(obs: Observation) -> Transformed:
        z = _in_domain(name, obs, low, high)
        log_slope = transform.log_slope(z)
        if mode == "normalised":
            slope = present.softmax(log_slope, obs.mask) * present.count(obs.mask)
        else:
            slope = _without_overflow(name, obs, log_slope.exp())
        return Transformed(slope * transform.ratio(z), slope)

    return stateless(name, act, Needs.LOSSES)


def by_average(decay: Schedule = 0.9, lower_bound: Bound = None) -> Slot[Transformed]:
    r"""Each loss divided by its own moving average :math:`m \leftarrow \beta m + (1-\beta)(\ell - b)`, this loss included."""
    return _averaged("ema", decay, lower_bound, lambda above: above, lambda mean, mask: mean.reciprocal())


def by_geometric_average(decay: Schedule = 0.9, lower_bound: Bound = None) -> Slot[Transformed]:
    r"""Each loss divided by :math:`\exp` of the moving average of its logarithm; one spike moves it little."""
    return _averaged("log-ema", decay, lower_bound, torch.log, lambda mean, mask: torch.exp(-mean))


def anchored(decay: Schedule = 0.9, lower_bound: Bound = None) -> Slot[Transformed]:
    r"""Factors :math:`\bar m / m_k`, with :math:`\bar m` the mean of the averages: the total stays in the losses' units."""

    def factors(mean: Tensor, mask: Tensor) -> Tensor:
        return present.mean(mean, mask) / mean

    return _averaged("anchored-ema", decay, lower_bound, lambda above: above, factors)


def proportional(decay: Schedule = 0.9, lower_bound: Bound = None) -> Slot[Transformed]:
    r"""Factors :math:`m_k`: the larger a loss has been, the larger its weight."""
    return _averaged("proportional-ema", decay, lower_bound, lambda above: above, lambda mean, mask: mean)


def trend(decay: Schedule = 0.9, slow: Schedule = 0.99, lower_bound: Bound = None) -> Slot[Transformed]:
    r"""Factors :math:`m_k^{\text{fast}} / m_k^{\text{slow}}` of two averages: tasks whose loss falls slowly weigh more."""

    decay, slow = (
        within("trend-ema", parameter, value, 0.0, 1.0, "it is the share of the old average that is kept")
        for parameter, value in (("decay", decay), ("slow", slow))
    )

    def act(obs: Observation, state: tuple[Average, Average]) -> tuple[Transformed, tuple[Average, Average]]:
        above = excess("trend-ema", obs, lower_bound)
        fast, late = state[0].update(above, at(decay, obs.step), obs.mask), state[1].update(above, at(slow, obs.step), obs.mask)
        slope = torch.where(obs.mask, fast.mean / late.mean, 1.0)
        return Transformed(slope * above, slope), (fast, late)

    return Slot("trend-ema", act, lambda obs: (Average.start(obs), Average.start(obs)), Needs.LOSSES)


def _averaged(
    name: str,
    decay: Schedule,
    lower_bound: Bound,
    statistic: Callable[[Tensor], Tensor],
    factors: Callable[[Tensor, Tensor], Tensor],
) -> Slot[Transformed]:
    decay = within(name, "decay", decay, 0.0, 1.0, "it is the share of the old average that is kept")

    def act(obs: Observation, state: Average) -> tuple[Transformed, Average]:
        above = excess(name, obs, lower_bound)
        state = state.update(statistic(above), at(decay, obs.step), obs.mask)
        slope = torch.where(obs.mask, factors(state.mean, obs.mask), 1.0)
        return Transformed(slope * above, slope), state

    return Slot(name, act, Average.start, Needs.LOSSES)


_EVERYWHERE = (-float("inf"), float("inf"))
_POSITIVE = (0.0, float("inf"))


def _log(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float64).log())


def _in_domain(name: str, obs: Observation, low: float, high: float) -> Tensor:
    inside = (obs.losses > low) & (obs.losses < high)
    if obs.losses.device.type == "cpu" and not bool((inside | ~obs.mask).all()):
        where = (obs.mask & ~inside).nonzero()[0].tolist()
        found = obs.losses[tuple(where)].item()
        raise InputError(
            f"{name}: the loss of task {where[-1]} is {found:g} at step {obs.step}, and this transform is increasing and "
            f"convex only between {low:g} and {high:g}; use transform='exp' or 'softplus', or rescale the loss"
        )
    middle = 1.0 if low == 0.0 else (high - 1.0 if high < float("inf") else 0.0)
    return torch.where(obs.mask, obs.losses, middle)


def _without_overflow(name: str, obs: Observation, slope: Tensor) -> Tensor:
    if slope.device.type == "cpu" and not bool((slope.isfinite() | ~obs.mask).all()):
        raise InputError(
            f"{name}: a weight overflows at step {obs.step}, the largest loss being {obs.losses.max().item():g}; "
            "use mode='normalised' or a larger temperature"
        )
    return slope
