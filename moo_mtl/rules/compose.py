r"""A rule is a chain of small slots: transform the losses, filter the rows, scale, solve, set the length, revise.

With :math:`D = \mathrm{diag}(\varphi'(\ell))` and :math:`S` the scales, the solver sees :math:`S D G D S`; no second
backward pass is needed, and the weights on the raw gradients are :math:`c \, \varphi'(\ell) \, s \, w`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.gramian import combined, gramian
from moo_mtl.observation import Needs, Observation, require_finite, require_tasks
from moo_mtl.rules.rule import NOTHING, Rule, Weighing
from moo_mtl.rules.slot import Output, Slot, Then, Transformed, require_slot

Heads = Literal["loss", "weights"]
_GRADIENTS = Needs.GRAMIAN | Needs.PRODUCTS | Needs.CROSS | Needs.ROWS


def compose(
    solve: Slot[Weighing],
    *,
    loss: Slot[Transformed] | None = None,
    memory: Slot[Tensor] | None = None,
    scale: Slot[Tensor] | None = None,
    output: Output | None = None,
    then: Then | None = None,
    heads: Heads | None = None,
    name: str | None = None,
    min_tasks: int = 1,
) -> Composition:
    """A rule from its slots; any loss transform, memory, scale and output goes with any solver.

    Args:
        solve: K weights from what the earlier slots leave.
        loss: per-task transform of the losses.
        memory: filter over time of the gradient rows; the only slot that holds K x D numbers.
        scale: factor on each gradient.
        output: overall length of the step.
        then: revision of the weights from the raw observation.
        heads: what the tasks' own parameters receive: the slope of the loss transform (``"loss"``, 1 without one), or the whole
            weight (``"weights"``). By default the whole weight for rules that look at losses alone, the slope for the others.
        name: for tables and messages; by default the names of the slots.
        min_tasks: the smallest K that makes sense; fewer are a named error.

    Raises:
        InputError: something is given for a slot that is none; another slot than ``solve`` asks for noise or for the losses
            after the step; or both ``memory`` and ``then``, of which the latter revises
            weights on raw gradients, which the step does not use.

    >>> from moo_mtl.rules import compose, losses, memory, scaling, weights
    >>> compose(weights.uniform, loss=losses.log(), memory=memory.row_ema(0.5, 0.5), scale=scaling.max_norm).name
    'log + row-ema + max-norm + uniform'
    """
    require_slot("solve", solve, Slot)
    for place, given in (("loss", loss), ("memory", memory), ("scale", scale)):
        require_slot(place, given, Slot | None)
    require_slot("output", output, Output | None)
    require_slot("then", then, Then | None)
    for slot in (loss, memory, scale, output, then):
        if slot is not None and slot.needs & (Needs.NOISE | Needs.AFTER):
            raise InputError(
                f"compose: {slot.name} asks for noise or the losses after the step, which only a solve slot is given"
            )
    if memory is not None and then is not None:
        raise InputError(
            f"{then.name} revises weights on the raw gradients, and a memory's step does not use those: drop memory= or then="
        )
    chain = [slot for slot in (loss, memory, scale, solve, output, then) if slot is not None]
    before = [slot for slot in (memory, scale, solve) if slot is not None]
    own = heads or ("loss" if any(slot.needs & _GRADIENTS for slot in before) else "weights")
    return Composition(
        name or " + ".join(slot.name for slot in chain), solve, loss, memory, scale, output, then, own, min_tasks
    )


class Slots(NamedTuple):
    """The states of a composition's slots."""

    loss: Any = NOTHING
    memory: Any = NOTHING
    scale: Any = NOTHING
    solve: Any = NOTHING
    then: Any = NOTHING


@dataclass(frozen=True)
class Composition(Rule[Slots]):
    """What ``compose`` returns."""

    name: str
    solve: Slot[Weighing]
    loss: Slot[Transformed] | None
    memory: Slot[Tensor] | None
    scale: Slot[Tensor] | None
    output: Output | None
    then: Then | None
    heads: Heads
    min_tasks: int = 1

    @cached_property
    def needs(self) -> Needs:  # type: ignore[override]
        solving = self.solve.needs | (self.scale.needs if self.scale else Needs(0))
        raw = Needs(0)
        for slot in (self.loss, self.output, self.then):
            raw |= slot.needs if slot else Needs(0)
        if self.memory is None:
            return solving | raw
        return (
            (solving & ~(Needs.GRAMIAN | Needs.PRODUCTS)) | raw | self.memory.needs | Needs.ROWS
        )  # the filtered rows give their own Gramian

    def draws(self, n_tasks: int, n_dim: int) -> int:
        return self.solve.draws(n_tasks, n_dim)

    def init(self, obs: Observation) -> Slots:
        def start(slot: Slot[Any] | Then | None) -> Any:
            return NOTHING if slot is None else slot.start(obs)

        return Slots(start(self.loss), start(self.memory), start(self.scale), start(self.solve), start(self.then))

    def weigh(self, obs: Observation, state: Slots) -> tuple[Weighing, Slots]:
        require_tasks(obs, self.name, self.min_tasks)
        require_finite(obs, self.name)
        raw = seen = _neutral(obs)
        loss_state, memory_state, scale_state, then_state = state.loss, state.memory, state.scale, state.then
        slope: Tensor | None = None  # no slot, no factor
        own: Tensor | None = None

        if self.loss is not None:
            transformed, loss_state = self.loss.act(raw, state.loss)
            slope = transformed.slope
            seen = replace(congruent(seen, slope), losses=transformed.losses)
        if self.memory is not None:
            rows, memory_state = self.memory.act(seen, state.memory)
            seen = replace(seen, rows=rows, gramian=gramian(rows))
        filtered = seen
        if self.scale is not None:
            own, scale_state = self.scale.act(seen, state.scale)
            if not self.solve.needs & Needs.ROWS:
                seen = replace(seen, rows=None)  # nobody looks at them any more, and scaling them costs as much as finding them
            seen = _without_unscaled(congruent(seen, own), own)
        solved, solve_state = self.solve.act(seen, state.solve)
        if not isinstance(solved, Weighing):
            raise InputError(
                f"{self.name}: the slot {self.solve.name} gave no weights; solve takes one of moo_mtl.rules.weights"
            )

        on_filtered = _of_present(_product(own, solved.weights), obs.present)
        weights, direction = _product(slope, on_filtered), solved.direction
        if self.memory is not None and direction is None:
            assert filtered.rows is not None
            direction = combined(on_filtered, filtered.rows)
        if self.output is not None:
            length = _length(direction, on_filtered, filtered) if self.output.needs & Needs.GRAMIAN else None
            common = self.output.factor(weights, length, raw)
            weights = common[..., None] * weights
            direction = None if direction is None else common.to(direction.dtype)[..., None] * direction

        heads = None
        if self.heads == "loss":
            heads = torch.ones_like(weights) if slope is None else slope
        weighing = solved._replace(weights=weights, direction=direction, slope=slope, heads=heads)
        if self.then is not None:
            weighing, then_state = self.then.revise(weighing, raw, state.then)
        return _finished(weighing, obs), Slots(loss_state, memory_state, scale_state, solve_state, then_state)

    def observe(self, after: Tensor, state: Slots) -> Slots:
        return state._replace(solve=self.solve.observe(after.double(), state.solve))


def congruent(obs: Observation, factors: Tensor) -> Observation:
    r"""The observation of the gradients :math:`s_k g_k`: :math:`G \mapsto S G S`, rows scaled; ``factors`` is ``[..., K]``."""

    def both(matrix: Tensor | None) -> Tensor | None:
        return None if matrix is None else factors[..., :, None] * matrix * factors[..., None, :]

    product = obs.product
    return replace(
        obs,
        gramian=both(obs.gramian),
        cross=both(obs.cross),
        product=None if product is None else lambda w: factors * product(factors * w),
        rows=None if obs.rows is None else factors.to(obs.rows.dtype)[..., None] * obs.rows,
    )


def _neutral(obs: Observation) -> Observation:
    """The observation in float64, absent tasks with loss 1 and no gradient, so that no slot meets what they hold."""

    def double(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.double()

    seen = replace(
        obs,
        losses=obs.losses.double(),
        gramian=double(obs.gramian),
        cross=double(obs.cross),
        noise=double(obs.noise),
        preference=double(obs.preference),
    )
    if obs.present is None:
        return seen
    mask = obs.mask
    pairs = mask[..., :, None] & mask[..., None, :]

    def hidden(tensor: Tensor | None, where: Tensor) -> Tensor | None:
        return None if tensor is None else torch.where(where, tensor, 0.0)

    return replace(
        seen,
        losses=torch.where(mask, seen.losses, 1.0),
        gramian=hidden(seen.gramian, pairs),
        cross=hidden(seen.cross, pairs),
        rows=hidden(seen.rows, mask[..., None]),
    )


def _product(factors: Tensor | None, weights: Tensor) -> Tensor:
    return weights if factors is None else factors * weights


def _of_present(weights: Tensor, present: Tensor | None) -> Tensor:
    """0 for absent tasks."""
    return weights if present is None else torch.where(present, weights, 0.0)


def _without_unscaled(obs: Observation, factors: Tensor) -> Observation:
    """A task of scale 0 has no direction of its own to be balanced, and is left out of the solve."""
    alive = obs.mask & (factors != 0)
    if alive.device.type == "cpu" and torch.equal(alive, obs.mask):
        return obs
    return replace(obs, present=alive)


def _length(direction: Tensor | None, weights: Tensor, obs: Observation) -> Tensor:
    """Length of the step, ``[...]``, from the step itself where there is one, else from the Gramian it is read off."""
    if direction is not None:
        return direction.double().norm(dim=-1)
    assert obs.gramian is not None
    return (weights[..., None, :] @ obs.gramian @ weights[..., None]).squeeze((-2, -1)).clamp(min=0).sqrt()


def _finished(weighing: Weighing, obs: Observation) -> Weighing:
    """Weights in the losses' dtype, zero for absent tasks."""

    def finished(factors: Tensor) -> Tensor:
        return _of_present(factors, obs.present).to(obs.losses.dtype)

    slope, heads = (None if factors is None else finished(factors) for factors in (weighing.slope, weighing.heads))
    return weighing._replace(weights=finished(weighing.weights), slope=slope, heads=heads)
