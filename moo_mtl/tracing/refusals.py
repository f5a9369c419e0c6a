"""What a trace refuses, before it starts and on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from moo_mtl.errors import InputError, NonFiniteError
from moo_mtl.observation import Needs
from moo_mtl.problems.problem import Problem, require_problem
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Schedule, positive, within
from moo_mtl.tensors import numbers, require_number, require_tensor
from moo_mtl.tracing.record import NONFINITE
from moo_mtl.tracing.view import Point


def require_input(
    problem: Problem,
    rule: Rule[Any],
    starts: Tensor,
    steps: int,
    record_every: int,
    certify_every: int,
    preferences: Tensor | None,
    paired: bool,
) -> None:
    """Hold points, counts and preferences against the problem and the rule.

    Raises:
        InputError: a shape does not fit, a count is too small, or a preference is wanted and none is given.
    """
    require_problem(problem, "trace")
    require_tensor("trace", "starts", starts)
    if starts.is_complex():
        raise InputError("trace: starts are complex numbers, expected real ones")
    if starts.dim() == 0 or starts.shape[-1] != problem.n_dim:
        raise InputError(f"trace: starts have shape {tuple(starts.shape)}, expected [..., {problem.n_dim}] for {problem.name}")
    if starts.numel() == 0:
        raise InputError("trace: there are no starts; give at least one point")
    for name, value, least in (("steps", steps, 0), ("record_every", record_every, 1), ("certify_every", certify_every, 0)):
        if not isinstance(value, int) or value < least:
            raise InputError(f"trace: {name} must be a whole number of at least {least}, found {value!r}")
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


def require_step(
    rule: Rule[Any],
    lr: Schedule | Tensor,
    betas: tuple[float, float],
    clip: float | None,
    until: float | None,
    gradient_noise: float,
    epoch_steps: int | None,
) -> None:
    """Hold the numbers that make a step against what they can be.

    Raises:
        InputError: a number is outside its range, or the rule follows epochs and none are counted.
    """
    for rate in lr.flatten().tolist() if isinstance(lr, Tensor) else [lr]:
        positive("trace", "lr", rate, "the step is -lr times the direction")
    if not isinstance(betas, Sequence) or len(betas) != 2:
        raise InputError(f"trace: betas must be two numbers in [0, 1), found {betas!r}; Adam's are (0.9, 0.999)")
    for beta in betas:
        within("trace", "betas", beta, 0, 1, "Adam's are (0.9, 0.999)", half_open=True)
    if clip is not None:
        require_number("trace", "clip", clip)
        positive("trace", "clip", clip, "None does not clip")
    if until is not None:
        require_number("trace", "until", until)
        within("trace", "until", until, 0, math.inf, "None goes on to the end")
    require_number("trace", "gradient_noise", gradient_noise)
    within("trace", "gradient_noise", gradient_noise, 0, math.inf, "it is a standard deviation")
    if Needs.EPOCH in rule.needs and epoch_steps is None:
        raise InputError(
            f"trace: rule {rule.name} follows epochs, and a trace has none; say with epoch_steps= how many steps make one"
        )
    if epoch_steps is not None and epoch_steps < 1:
        raise InputError(f"trace: epoch_steps must be at least 1, found {epoch_steps}")


def require_runs(x: Tensor, lr: Schedule | Tensor, seed: int | Tensor, *, crossed: bool) -> None:
    """Hold learning rates and seeds that are given one for each run against the first batch dimension.

    Raises:
        InputError: the starts have no such dimension, its length is another, or preferences come before it.
    """
    for name, given in (("lr", lr), ("seed", seed)):
        if isinstance(given, Tensor) and (x.dim() < 2 or given.shape != x.shape[:1] or crossed):
            raise InputError(
                f"trace: {name} has shape {tuple(given.shape)} and starts have {tuple(x.shape)}; expected one {name} for each "
                "entry of the first dimension of starts, which have at least two, and preferences that are paired"
            )


def scaling(scale: Tensor | None, x: Tensor) -> Tensor | None:
    """The units of the displacement, in the dtype and on the device of the batch ``[..., D]``.

    Raises:
        InputError: they do not broadcast to the batch, or one is negative or not finite.
    """
    if scale is None:
        return None
    unit = numbers("trace: scale", scale).detach().to(x)
    if not all(ours in (1, theirs) for ours, theirs in zip(reversed(unit.shape), reversed(x.shape), strict=False)) or (
        unit.dim() > x.dim()
    ):
        raise InputError(f"trace: scale has shape {tuple(unit.shape)}, which does not broadcast to the batch {tuple(x.shape)}")
    if not bool(((unit >= 0) & unit.isfinite()).all()):
        raise InputError("trace: a scale is negative or not finite; it is a variable's unit of displacement")
    return unit


def held_to(signature: Tensor, resume: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The saved state without its signature, which says of what run it is.

    Raises:
        InputError: it is of another run than this one.
    """
    ours, theirs = (bytes(saved.tolist()).decode() for saved in (signature, resume.get("signature", signature[:0])))
    if ours != theirs:
        raise InputError(
            f"trace: the saved state is of {theirs or 'another kind of run'}, and this run is of {ours}; "
            f"start anew, or resume that one"
        )
    return {path: tensor for path, tensor in resume.items() if path != "signature"}


def refuse_if_none_goes_on(status: Tensor, point: Point, rule: Rule[Any], taken: int) -> None:
    """Stop with the culprit's name when nothing finite is left, or when members that see each other have lost one.

    Raises:
        NonFiniteError: nothing can go on.
    """
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
