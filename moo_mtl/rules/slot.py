"""The stages a rule is composed of: pure functions of an observation, each with a state of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from types import UnionType
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules.rule import NOTHING, Weighing
from moo_mtl.tensors import numbers

NONE = Needs(0)
Out = TypeVar("Out")
Schedule = float | Callable[[int], float]  # a hyper-parameter: a number, or a function of the step counted from 1
Bound = float | Sequence[float] | Tensor | None  # a number below every loss, or one per task


class Transformed(NamedTuple):
    """Losses after a transform, and the transform's slope where they stood; ``[..., K]`` each."""

    losses: Tensor
    slope: Tensor


@dataclass(frozen=True)
class Slot(Generic[Out]):
    """One stage before the weights are final.

    Attributes:
        name: as it appears in a composition's name and in messages.
        act: ``(observation, state) -> (outcome, next state)``. The outcome of a loss slot is ``Transformed``, of a memory slot
            the filtered rows ``[..., K, D]``, of a scale slot factors ``[..., K]``, of a solve slot a ``Weighing``.
        start: the state before the first step, from the shapes of the first observation.
        needs: what ``act`` looks at.
        draws: uniform numbers wanted per step, from K and D; of a solve slot alone.
        observe: takes note of the losses after the step; of a solve slot alone.
    """

    name: str
    act: Callable[[Observation, Any], tuple[Out, Any]]
    start: Callable[[Observation], Any] = lambda obs: NOTHING
    needs: Needs = NONE
    draws: Callable[[int, int], int] = lambda n_tasks, n_dim: 0
    observe: Callable[[Tensor, Any], Any] = lambda after, state: state


@dataclass(frozen=True)
class Output:
    """The overall length: ``(weights [..., K], length of the direction [...] or None, raw observation) -> factor [...]``."""

    name: str
    factor: Callable[[Tensor, Tensor | None, Observation], Tensor]
    needs: Needs = NONE


@dataclass(frozen=True)
class Then:
    """A last word on the weights, from the raw observation: ``(weighing, observation, state) -> (weighing, next state)``."""

    name: str
    revise: Callable[[Weighing, Observation, Any], tuple[Weighing, Any]]
    start: Callable[[Observation], Any] = lambda obs: NOTHING
    needs: Needs = NONE


def stateless(name: str, outcome: Callable[[Observation], Out], needs: Needs = NONE) -> Slot[Out]:
    """A slot that remembers nothing."""
    return Slot(name, lambda obs, state: (outcome(obs), state), needs=needs)


def require_slot(place: str, given: object, kind: type | UnionType) -> None:
    """Refuse what is no slot, such as a rule, its name, or a function that makes a slot.

    Raises:
        InputError: ``given`` is not of ``kind``.
    """
    if not isinstance(given, kind):
        found = getattr(given, "__name__", None) or getattr(given, "name", None) or repr(given)
        raise InputError(
            f"compose: {place}={found} is no slot for that place; moo_mtl.rules has them in losses, memory, scaling, weights, "
            f"output and then, and some are made by a call, as losses.log() is"
        )


def at(value: Schedule, step: int) -> float:
    """A hyper-parameter's value at a step."""
    return value(step) if callable(value) else value


def positive(rule: str, parameter: str, value: Schedule, why: str) -> Schedule:
    """A hyper-parameter that must be positive and finite; a schedule is tried now, and again at every step it is asked for.

    Raises:
        InputError: the value is zero, negative, infinite or not a number; a schedule's message names the step.
    """
    return _checked(rule, parameter, value, lambda found: 0 < found < math.inf, "be positive and finite", why)


def within(
    rule: str, parameter: str, value: Schedule, low: float, high: float, why: str, *, half_open: bool = False
) -> Schedule:
    """A hyper-parameter that must lie in ``[low, high]``, or in ``[low, high)``; an infinite ``high`` is not in the range.

    A schedule is tried now, and again at every step that the one returned is asked for.

    Raises:
        InputError: the value is outside, or not a number; a schedule's message names the step.
    """
    open_end = half_open or high == math.inf
    end = ")" if open_end else "]"

    def inside(found: float) -> bool:
        return low <= found < high if open_end else low <= found <= high

    return _checked(rule, parameter, value, inside, f"lie in [{low:g}, {high:g}{end}", why)


def _checked(rule: str, parameter: str, value: Schedule, inside: Callable[[float], bool], expected: str, why: str) -> Schedule:
    if callable(value) and not _takes_a_step(value):
        raise InputError(f"{rule}: {parameter} is called with the number of the step, and does not take one number")

    def checked(step: int) -> float:
        found = at(value, step)
        try:
            right = not isinstance(found, str) and inside(found)
        except (TypeError, ValueError, RuntimeError):  # None, lists, arrays and tensors of several numbers
            right = False
        if not right:
            when = f" at step {step}" if callable(value) else ""
            raise InputError(f"{rule}: {parameter} must {expected}, found {found!r}{when}; {why}")
        return found

    checked(1)
    return checked if callable(value) else value


def _takes_a_step(schedule: Callable[..., Any]) -> bool:
    try:
        signature(schedule).bind(1)
    except TypeError:
        return False
    except ValueError:  # nothing is known of some that are built in
        return True
    return True


def excess(who: str, obs: Observation, lower_bound: Bound, *, allow_zero: bool = False) -> Tensor:
    """Losses above their lower bounds, ``[..., K]``, for slots that take a logarithm of them or divide by them.

    On the CPU a loss at its bound is refused here; on an accelerator, where looking would stall the device, the logarithm
    turns it into a number that is not finite, which the driver refuses after the step.

    Raises:
        InputError: a loss is at or below its bound, or the bounds are not one per task, or not finite.
    """
    bound = bound_of(who, obs, lower_bound)
    above = obs.losses - bound
    refused = obs.mask & ((above < 0) if allow_zero else (above <= 0))
    if above.device.type == "cpu" and bool(refused.any()):
        where = refused.nonzero()[0].tolist()
        found = obs.losses[tuple(where)].item()
        limit = bound.expand(obs.n_tasks)[where[-1]].item()
        raise InputError(
            f"{who}: the loss of task {where[-1]} is {found:g} at step {obs.step}, and its logarithm or reciprocal needs it "
            f"above {limit:g}; give lower_bound= (a number below every loss, or one per task)"
        )
    return torch.where(obs.mask, above, torch.ones_like(above))


def bound_of(who: str, obs: Observation, bound: Bound) -> Tensor:
    """A number, or one per task, as a tensor that broadcasts against the losses; 0 where none is given.

    Raises:
        InputError: the numbers are not one per task, or one of them is not finite.
    """
    given = numbers(f"{who}: lower_bound", 0.0 if bound is None else bound)
    if bound is not None and given.device.type == "cpu" and not bool(given.isfinite().all()):
        raise InputError(f"{who}: a bound is not finite, found {bound}; give a number below every loss, or one per task")
    given = given.to(obs.losses.device)
    if given.dim() > 1 or (given.dim() == 1 and given.shape[0] != obs.n_tasks):
        raise InputError(
            f"{who}: a bound has shape {tuple(given.shape)}, expected a number or one for each of the {obs.n_tasks} tasks"
        )
    return given


def preference_of(obs: Observation) -> Tensor:
    """The preference, ``[..., K]``, 0 for absent tasks."""
    assert obs.preference is not None, "a rule that follows a preference declares Needs.PREFERENCE"
    return torch.where(obs.mask, obs.preference.double().expand(obs.losses.shape), 0.0)


def noise_of(obs: Observation) -> Tensor:
    assert obs.noise is not None, "a rule that draws declares Needs.NOISE"
    return obs.noise.double()
