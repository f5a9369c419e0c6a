"""Trajectories of a rule on an analytic problem: all starts and preferences in one tensor program, certified on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from moo_mtl import descent
from moo_mtl.box import Box, Mode
from moo_mtl.certificate import certify
from moo_mtl.errors import InputError, NonFiniteError
from moo_mtl.gramian import cross_gramian, gramian
from moo_mtl.observation import Needs, Observation
from moo_mtl.problems.problem import Problem
from moo_mtl.randomness import normals, uniforms
from moo_mtl.rules.rule import Rule, Weighing, ask, require_rule
from moo_mtl.rules.slot import Schedule, at, positive
from moo_mtl.state import flatten, keep_where, unflatten

MOVING, STATIONARY, NONFINITE = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Trace:
    """Where a rule went.

    Attributes:
        x: points, ``[T, ..., D]``; the first is the start.
        losses: there, ``[T, ..., K]``.
        weights: the rule's weights there, on the raw gradients, ``[T, ..., K]``.
        lower: lower bound on the distance of 0 to the convex hull of the raw losses' gradients, ``[C, ...]``.
        upper: upper bound on it, ``[C, ...]``.
        steps: number of steps taken before each recorded point, ``[T]``.
        certified: number of steps taken before each certificate, ``[C]``.
        converged: whether the rule's solver reached its tolerance there, ``[T, ...]`` bool; true where no solver ran.
        status: ``[...]``; 0 moving, 1 stationary (the upper bound reached ``until``), 2 stopped before a NaN or an infinity.
    """

    x: Tensor
    losses: Tensor
    weights: Tensor
    lower: Tensor
    upper: Tensor
    steps: Tensor
    certified: Tensor
    converged: Tensor
    status: Tensor

    def moving(self, tolerance: float = 1e-2) -> Tensor:
        """Whether each trajectory went further than ``tolerance`` during the last tenth of the steps, ``[...]`` bool."""
        late = int((self.steps < 0.9 * self.steps[-1]).sum())
        return (self.x[-1] - self.x[late]).norm(dim=-1) > tolerance

    def save(self, path: str | Path) -> None:
        """Write all tensors to one ``.npz`` file, readable by NumPy."""
        import numpy as np

        with open(path, "wb") as file:
            np.savez_compressed(file, **{field.name: getattr(self, field.name).cpu().numpy() for field in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read what ``save`` wrote.

        Raises:
            InputError: the file is not a saved trace.
        """
        import numpy as np

        try:
            with open(path, "rb") as source, np.load(source, allow_pickle=False) as file:
                return cls(**{field.name: torch.from_numpy(file[field.name]) for field in fields(cls)})
        except Exception as error:  # a damaged archive raises whatever its decoder meets first
            raise InputError(
                f"{path} is not a saved trace ({type(error).__name__}: {error}); delete it and trace again"
            ) from error


def trace(
    problem: Problem,
    rule: Rule[Any],
    starts: Tensor,
    *,
    steps: int,
    lr: Schedule,
    optimizer: descent.Optimizer = "sgd",
    betas: tuple[float, float] = (0.9, 0.999),
    clip: float | None = None,
    box: Mode | None = "project",
    preferences: Tensor | None = None,
    paired: bool = False,
    gradient_noise: float = 0.0,
    record_every: int = 1,
    certify_every: int = 1,
    until: float | None = None,
    epoch_steps: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    resume: Mapping[str, Tensor] | None = None,
    checkpoint: Callable[[dict[str, Tensor]], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Trace:
    r"""Follow a rule from many starts at once: :math:`x \leftarrow x - \eta\, d(x)`, or Adam on d. All in float64.

    Args:
        problem: what is minimised.
        rule: gives the direction; sees every start, and every preference, as a batch member.
        starts: ``[..., D]``.
        steps: how many.
        lr: learning rate, a number or a function of the step counted from 1.
        optimizer: ``"sgd"`` is plain descent.
        betas: Adam's.
        clip: longest direction, before the optimiser.
        box: how a bounded problem keeps to its bounds; ``None`` ignores them.
        preferences: ``[P..., K]``; each is tried from every start, and the batch is ``[P..., ...]``.
        paired: preferences ``[..., K]`` belong to the starts one by one instead, and the batch is that of the starts.
        gradient_noise: standard deviation of normal noise on every entry of the Jacobian that the rule sees.
        record_every: steps between recorded points; the start and the end are always recorded.
        certify_every: recorded points between certificates; the end is always certified, and with 0 the end alone.
        until: a trajectory stops at a certificate whose upper bound is at most this.
        epoch_steps: steps that make an epoch, for rules that follow epochs.
        seed: of all randomness; each batch member has a stream of its own, so that more members change none.
        device: where to compute; by default where ``starts`` are.
        resume: what ``checkpoint`` was given; the result is then bit-identical to that of an uninterrupted run.
        checkpoint: called at each recorded point with the whole state as a flat dict of tensors, which later steps overwrite.
        progress: called with the number of steps taken, at each recorded point.

    Raises:
        InputError: a shape does not fit, the rule wants a preference and none is given, or a loss is outside the rule's domain.
        NonFiniteError: a loss or gradient is not finite on every trajectory. Where others go on, ``status`` says so instead.
    """
    require_rule(rule, "trace")
    preferences = None if preferences is None else torch.as_tensor(preferences, dtype=torch.float64)
    _check(problem, rule, starts, steps, record_every, certify_every, preferences, paired)
    _check_step(rule, lr, betas, clip, epoch_steps)
    x, preferences = _batched(starts.detach().to(device=device, dtype=torch.float64), preferences, paired)
    view = _View(problem, rule.needs, rule.draws, Box.of(problem, box, x), preferences, gradient_noise, seed, epoch_steps)

    place = view.box.enter(x)
    point = view.at(place, 1)
    now = _Now(
        place, descent.start(place, optimizer), rule.init(point.seen), torch.zeros_like(place[..., 0], dtype=torch.int64)
    )
    log = _Log.blank(point, steps, record_every, certify_every)
    taken, on_device = 0, x.device.type != "cpu"
    signature = torch.tensor(list(f"{rule.name}, {steps} steps".encode()), dtype=torch.uint8)
    if resume is not None:
        saved = _held_to(signature, resume)
        now, log, counter = unflatten((now, log, torch.zeros(1, dtype=torch.int64)), saved)
        taken = int(counter)
        point = view.at(now.place, taken + 1)

    if not bool(point.finite.all()):
        now = now._replace(status=torch.where(point.finite, now.status, NONFINITE))
        _refuse_if_none_goes_on(now.status, point, rule, taken)

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
        move, moments = descent.step(direction, now.moments, at(lr, taken + 1), betas)
        sound = _finite(move)
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
            _refuse_if_none_goes_on(now.status, point, rule, taken)
            point = view.at(now.place, taken + 1)
        if Needs.AFTER in rule.needs:
            now = now._replace(rule=keep_where(going & (now.status == MOVING), rule.observe(point.losses, now.rule), now.rule))


class _Now(NamedTuple):
    """Everything the next step depends on; with the log, everything a resumed run needs."""

    place: Tensor
    moments: Any
    rule: Any
    status: Tensor


class _Point(NamedTuple):
    """A place evaluated: what the problem gives there, and what the rule is shown of it."""

    x: Tensor
    losses: Tensor
    jacobian: Tensor
    rows: Tensor
    finite: Tensor
    seen: Observation


@dataclass(frozen=True)
class _View:
    """From a place to what the rule sees there."""

    problem: Problem
    needs: Needs
    draws: Callable[[int, int], int]
    box: Box
    preferences: Tensor | None
    gradient_noise: float
    seed: int
    epoch_steps: int | None

    def at(self, place: Tensor, step: int) -> _Point:
        x = self.box.leave(place)
        losses, jacobian = self.problem.differentiate(x)
        finite = _finite(losses) & _finite(jacobian.flatten(-2))
        rows, left, right = self._noisy(self.box.rows(place, jacobian), step)
        needs = self.needs
        G = gramian(rows) if needs & (Needs.GRAMIAN | Needs.PRODUCTS) else None
        seen = Observation(
            losses,
            gramian=G,
            product=(lambda w: (G @ w[..., None]).squeeze(-1)) if G is not None and Needs.PRODUCTS in needs else None,
            cross=cross_gramian(left, right) if Needs.CROSS in needs else None,
            rows=rows if Needs.ROWS in needs else None,
            noise=self._uniforms(losses, step) if Needs.NOISE in needs else None,
            preference=self.preferences,
            present=None if x.device.type == "cpu" and bool(finite.all()) else finite[..., None].expand_as(losses),
            step=step,
            epoch=1 if self.epoch_steps is None else 1 + (step - 1) // self.epoch_steps,
        )
        return _Point(x, losses, jacobian, rows, finite, seen)

    def _uniforms(self, losses: Tensor, step: int) -> Tensor:
        return uniforms(2 * self.seed, _members(losses), step, self.draws(self.problem.n_tasks, self.problem.n_dim))

    def _noisy(self, rows: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """The rows as three independent batches would show them: for the step, and for the two sides of a cross-Gramian."""
        if self.gradient_noise == 0:
            return rows, rows, rows
        numbers = normals(
            2 * self.seed + 1,
            _members(rows[..., 0]),
            step,
            3 * rows[0].numel() if rows.dim() == 2 else 3 * rows.shape[-2] * rows.shape[-1],
        )
        draws = numbers.reshape(*rows.shape[:-2], 3, *rows.shape[-2:])
        first, second, third = (rows + self.gradient_noise * draw for draw in draws.unbind(dim=-3))
        return first, second, third


class _Log(NamedTuple):
    """Room for all that will be recorded, filled as the run goes; a tuple of tensors, so that it is saved like any state."""

    x: Tensor
    losses: Tensor
    weights: Tensor
    lower: Tensor
    upper: Tensor
    steps: Tensor
    certified: Tensor
    converged: Tensor

    @classmethod
    def blank(cls, point: _Point, steps: int, record_every: int, certify_every: int) -> _Log:
        entries = -(-steps // record_every) + 1
        certificates = -(-(entries - 1) // certify_every) + 1 if certify_every else 1
        batch = point.finite.shape

        def room(length: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
            return torch.full((length, *shape), -1, dtype=dtype, device=point.x.device)

        return cls(
            room(entries, *point.x.shape),
            room(entries, *point.losses.shape),
            room(entries, *point.losses.shape),
            room(certificates, *batch),
            room(certificates, *batch),
            room(entries, dtype=torch.int64),
            room(certificates, dtype=torch.int64),
            room(entries, *batch, dtype=torch.bool),
        )

    def record(self, entry: int, taken: int, point: _Point, weighing: Weighing) -> None:
        self.x[entry], self.losses[entry], self.weights[entry], self.steps[entry] = (
            point.x,
            point.losses,
            weighing.weights,
            taken,
        )
        self.converged[entry] = True if weighing.converged is None else weighing.converged

    def certify(self, entry: int, taken: int, point: _Point, box: Box, certify_every: int) -> Tensor:
        place = -(-entry // certify_every) if certify_every else 0
        jacobian = torch.where(point.finite[..., None, None], point.jacobian, 0.0)
        if box.bounds is None:
            found = certify(gramian(jacobian))
        else:
            found = certify(gramian(jacobian), rows=jacobian, at_bounds=box.sides(point.x))
        lower, upper = (torch.where(point.finite, bound, torch.nan) for bound in (found.lower, found.upper))
        self.lower[place], self.upper[place], self.certified[place] = lower, upper, taken
        return upper

    def trace(self, status: Tensor) -> Trace:
        entries, certificates = self.steps >= 0, self.certified >= 0
        return Trace(
            self.x[entries],
            self.losses[entries],
            self.weights[entries],
            self.lower[certificates],
            self.upper[certificates],
            self.steps[entries],
            self.certified[certificates],
            self.converged[entries],
            status,
        )


def _finite(numbers: Tensor) -> Tensor:
    """Whether each member's numbers, ``[..., n]``, are all finite, ``[...]``: nearly always at the price of one sum."""
    if numbers.device.type == "cpu" and bool(numbers.sum().isfinite()):
        return torch.ones_like(numbers[..., 0], dtype=torch.bool)
    return numbers.isfinite().all(dim=-1)


def _direction(weighing: Weighing, point: _Point) -> Tensor:
    if weighing.direction is not None:
        return weighing.direction
    return (weighing.weights[..., None, :] @ point.rows).squeeze(-2)


def _members(like: Tensor) -> Tensor:
    """An integer for each batch member, ``[...]``, that stays the same when any batch dimension grows."""
    names = torch.zeros(like.shape[:-1], dtype=torch.int64, device=like.device)
    for dim, length in enumerate(names.shape):
        index = torch.arange(length, device=like.device).reshape(-1, *(1,) * (names.dim() - dim - 1))
        names = names + index * 1_000_003 ** (names.dim() - dim - 1)
    return names


def _batched(x: Tensor, preferences: Tensor | None, paired: bool) -> tuple[Tensor, Tensor | None]:
    """Every preference from every start, or each from its own: ``[P..., ..., D]`` and ``[P..., ..., K]``."""
    if preferences is None:
        return x, None
    wanted = preferences.to(x)
    if paired:
        return x, wanted
    batch = wanted.shape[:-1] + x.shape[:-1]
    wanted = wanted.reshape(wanted.shape[:-1] + (1,) * (x.dim() - 1) + wanted.shape[-1:])
    return x.expand(*batch, x.shape[-1]), wanted.expand(*batch, wanted.shape[-1])


def _refuse_if_none_goes_on(status: Tensor, point: _Point, rule: Rule[Any], taken: int) -> None:
    """Stop with the culprit's name when nothing finite is left, or when members that see each other have lost one."""
    failed = status == NONFINITE
    if not bool(failed.all()) and Needs.POPULATION not in rule.needs:
        return
    member = (~point.finite).nonzero()[0].tolist()
    losses, rows = point.losses[tuple(member)], point.jacobian[tuple(member)]
    what, spoiled = (
        ("loss", ~losses.isfinite()) if not bool(losses.isfinite().all()) else ("gradient", ~rows.isfinite().all(dim=-1))
    )
    raise NonFiniteError(
        f"{rule.name}: the {what} of task {int(spoiled.nonzero()[0])} is not finite after {taken} steps, "
        f"on {int(failed.sum())} of {failed.numel()} trajectories; lower lr, set clip, or start elsewhere"
    )


def _held_to(signature: Tensor, resume: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The saved state without its signature, which says of what run it is."""
    ours, theirs = (bytes(saved.tolist()).decode() for saved in (signature, resume.get("signature", signature[:0])))
    if ours != theirs:
        raise InputError(
            f"trace: the saved state is of {theirs or 'another kind of run'}, and this run is of {ours}; "
            f"start anew, or resume that one"
        )
    return {path: tensor for path, tensor in resume.items() if path != "signature"}


def _check_step(rule: Rule[Any], lr: Schedule, betas: tuple[float, float], clip: float | None, epoch_steps: int | None) -> None:
    positive("trace", "lr", lr, "the step is -lr times the direction")
    if not all(0 <= beta < 1 for beta in betas):
        raise InputError(f"trace: betas must lie in [0, 1), found {betas}; Adam's are (0.9, 0.999)")
    if clip is not None and not clip > 0:
        raise InputError(f"trace: clip must be positive, found {clip}; None does not clip")
    if Needs.EPOCH in rule.needs and epoch_steps is None:
        raise InputError(
            f"trace: rule {rule.name} follows epochs, and a trace has none; say with epoch_steps= how many steps make one"
        )
    if epoch_steps is not None and epoch_steps < 1:
        raise InputError(f"trace: epoch_steps must be at least 1, found {epoch_steps}")


def _check(
    problem: Problem,
    rule: Rule[Any],
    starts: Tensor,
    steps: int,
    record_every: int,
    certify_every: int,
    preferences: Tensor | None,
    paired: bool,
) -> None:
    if starts.dim() == 0 or starts.shape[-1] != problem.n_dim:
        raise InputError(f"trace: starts have shape {tuple(starts.shape)}, expected [..., {problem.n_dim}] for {problem.name}")
    if starts.numel() == 0:
        raise InputError("trace: there are no starts; give at least one point")
    for name, value, least in (("steps", steps, 0), ("record_every", record_every, 1), ("certify_every", certify_every, 0)):
        if not isinstance(value, int) or value < least:
            raise InputError(f"trace: {name} must be a whole number of at least {least}, found {value}")
    if Needs.PREFERENCE in rule.needs and preferences is None:
        raise InputError(
            f"trace: rule {rule.name} follows a preference and none is given; pass preferences=, one number per task"
        )
    if preferences is not None and (preferences.dim() == 0 or preferences.shape[-1] != problem.n_tasks):
        raise InputError(
            f"trace: preferences have shape {tuple(preferences.shape)}, expected [..., {problem.n_tasks}] for {problem.name}"
        )
    if preferences is not None and paired and preferences.shape[:-1] != starts.shape[:-1]:
        raise InputError(
            f"trace: paired preferences have shape {tuple(preferences.shape)}, "
            f"expected {(*starts.shape[:-1], problem.n_tasks)}: one for each start"
        )
