"""Trajectories of a rule on an analytic problem: all starts and preferences in one tensor program, certified on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from moo_mtl import descent
from moo_mtl.box import Box, Mode
from moo_mtl.errors import NonFiniteError
from moo_mtl.gramian import combined
from moo_mtl.observation import Needs
from moo_mtl.problems.problem import Problem
from moo_mtl.rules.rule import Rule, Weighing, ask, require_rule, started, tell
from moo_mtl.rules.slot import Schedule, at
from moo_mtl.state import flatten, keep_where, unflatten
from moo_mtl.tensors import numbers, require_device
from moo_mtl.tracing.record import MOVING, NONFINITE, STATIONARY, Log, Trace
from moo_mtl.tracing.refusals import (
    held_to,
    refuse_if_none_goes_on,
    require_input,
    require_runs,
    require_step,
    scaling,
)
from moo_mtl.tracing.view import Point, View, all_finite, batched


def trace(
    problem: Problem,
    rule: Rule[Any],
    starts: Tensor,
    *,
    steps: int,
    lr: Schedule | Tensor,
    optimizer: descent.Optimizer = "sgd",
    betas: tuple[float, float] = (0.9, 0.999),
    clip: float | None = None,
    scale: Tensor | None = None,
    box: Mode | None = "project",
    preferences: Tensor | None = None,
    paired: bool = False,
    gradient_noise: float = 0.0,
    record_every: int = 1,
    certify_every: int = 1,
    until: float | None = None,
    epoch_steps: int | None = None,
    seed: int | Tensor = 0,
    device: str | torch.device | None = None,
    resume: Mapping[str, Tensor] | None = None,
    checkpoint: Callable[[dict[str, Tensor]], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Trace:
    r"""Follow a rule from many starts at once: :math:`x \leftarrow x - \eta\, d(x)`, or Adam on d. All in float64.

    Args:
        problem: whose losses are minimised.
        rule: weighs the gradients. Every start, and every preference, is one member of the batch that it sees.
        starts: starting points, ``[..., D]``.
        steps: number of steps to take.
        lr: learning rate: a number, a function of the step counted from 1, or ``[R]`` with one number for each entry of the
            first batch dimension.
        optimizer: ``"sgd"`` for plain gradient descent, or ``"adam"``.
        betas: decay rates of Adam's two averages.
        clip: a longer direction is shortened to this length before the optimiser sees it.
        scale: factors on the optimiser's steps, at least 0, of a shape that broadcasts to ``[..., D]``. With them, trajectories
            and variables that need steps of different lengths can share one call.
        box: how a bounded problem is kept within its bounds; ``None`` ignores them.
        preferences: ``[P..., K]``. Each is tried from every start, and the batch is ``[P..., ...]``.
        paired: instead, the preferences ``[..., K]`` belong to the starts one by one, and the batch is that of the starts.
        gradient_noise: standard deviation of normal noise on every entry of the Jacobian that the rule sees.
        record_every: record every so many steps; the start and the end are always recorded.
        certify_every: certify every so many recorded points; the end is always certified, and with 0 nothing else.
        until: a trajectory stops at the first certificate whose upper bound is at most this.
        epoch_steps: number of steps in an epoch, for rules that follow epochs.
        seed: of all random numbers. Each member of the batch has a stream of its own, so adding members changes no other. With
            int64 ``[R]``, each entry of the first batch dimension has the streams that it would have in a run by itself.
        device: where to compute; by default where ``starts`` are.
        resume: the state that ``checkpoint`` was given; the result is bit-identical to that of an uninterrupted run.
        checkpoint: called at each recorded point with the whole state as a flat dict of tensors, which later steps overwrite.
        progress: called with the number of steps taken, at each recorded point.

    Raises:
        InputError: a shape does not fit, the rule wants a preference and none is given, or a loss is outside the rule's domain.
        NonFiniteError: a loss or gradient is not finite on every trajectory. Where others go on, ``status`` says so instead.
    """
    require_rule(rule, "trace")
    preferences = None if preferences is None else numbers("trace: preferences", preferences)
    require_input(problem, rule, starts, steps, record_every, certify_every, preferences, paired)
    require_step(rule, lr, betas, clip, until, gradient_noise, epoch_steps)
    starts = starts.detach().to(device=require_device(device), dtype=torch.float64)
    x, preferences = batched(starts, preferences, paired, problem.n_tasks)
    require_runs(x, lr, seed, crossed=preferences is not None and not paired)
    if isinstance(lr, Tensor):
        lr = lr.to(x).reshape(-1, *(1,) * (x.dim() - 1))
    if isinstance(seed, Tensor):
        seed = seed.to(x.device)
    unit = scaling(scale, x)
    view = View(problem, rule.needs, rule.draws, Box.of(problem, box, x), preferences, gradient_noise, seed, epoch_steps)

    place = view.box.enter(x)
    point = view.at(place, 1)
    now = _Now(
        place, descent.start(place, optimizer), started(rule, point.seen), torch.zeros_like(place[..., 0], dtype=torch.int64)
    )
    log = Log.blank(point, steps, record_every, certify_every)
    taken, on_device = 0, x.device.type != "cpu"
    signature = torch.tensor(list(f"{rule.name}, {steps} steps".encode()), dtype=torch.uint8)
    if resume is not None:
        saved = held_to(signature, resume)
        now, log, counter = unflatten((now, log, torch.zeros(1, dtype=torch.int64)), saved)
        taken = int(counter)
        point = view.at(now.place, taken + 1)

    if not bool(point.finite.all()):
        now = now._replace(status=torch.where(point.finite, now.status, NONFINITE))
        refuse_if_none_goes_on(now.status, point, rule, taken)

    while True:
        weighing, rule_state = ask(rule, point.seen, now.rule)

        if taken % record_every == 0 or taken == steps:
            entry = -(-taken // record_every)
            log.record(entry, taken, point, weighing)
            if taken == steps or (certify_every and entry % certify_every == 0):
                upper = log.certify(entry, taken, point, view.box, certify_every)
                if until is not None:
                    now = now._replace(status=torch.where((now.status == MOVING) & (upper <= until), STATIONARY, now.status))
            if progress is not None:
                progress(taken)
            if checkpoint is not None and taken < steps:
                checkpoint(flatten((now, log, torch.tensor([taken]))) | {"signature": signature})
            if taken == steps or (until is not None and bool((now.status != MOVING).all())):
                return log.trace(now.status)

        direction = descent.clipped(_direction(weighing, point), clip)
        rate = lr if isinstance(lr, Tensor) else at(lr, taken + 1)
        move, moments = descent.step(direction, now.moments, rate, betas)
        move = move if unit is None else move * unit
        sound = all_finite(move)
        going = (now.status == MOVING) & sound
        if not on_device and not bool(sound.all()):
            now = now._replace(status=torch.where((now.status == MOVING) & ~sound, NONFINITE, now.status))
            if bool((now.status == NONFINITE).all()):
                raise NonFiniteError(
                    f"{rule.name}: the step is not finite after {taken} steps; look at the rule's weights and at lr"
                )
        after = _Now(view.box.keep(now.place + move), moments, rule_state, now.status)
        if on_device or not bool(going.all()):
            after = keep_where(going, after, now)
        taken += 1
        point = view.at(after.place, taken + 1)
        if on_device or bool(point.finite.all()):
            now = after
        else:  # the members that met a number that is not finite stay where they were
            now = keep_where(point.finite, after, now)._replace(status=torch.where(point.finite, now.status, NONFINITE))
            refuse_if_none_goes_on(now.status, point, rule, taken)
            point = view.at(now.place, taken + 1)
        if Needs.AFTER in rule.needs:
            now = now._replace(rule=keep_where(going & (now.status == MOVING), tell(rule, point.losses, now.rule), now.rule))


class _Now(NamedTuple):
    """Everything the next step depends on; with the log, everything a resumed run needs."""

    place: Tensor
    moments: Any
    rule: Any
    status: Tensor


def _direction(weighing: Weighing, point: Point) -> Tensor:
    if weighing.direction is not None:
        return weighing.direction
    return combined(weighing.weights, point.rows)
