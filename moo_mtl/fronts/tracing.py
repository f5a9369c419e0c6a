"""A whole front by gradients: one preference a point, all of them in one tensor program."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from moo_mtl.descent import Optimizer
from moo_mtl.errors import InputError
from moo_mtl.fronts.front import Front
from moo_mtl.fronts.units import in_units
from moo_mtl.observation import Needs
from moo_mtl.problems.problem import Problem, require_problem
from moo_mtl.randomness import uniforms
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Schedule
from moo_mtl.tensors import require_tensor
from moo_mtl.tracing import trace


def trace_front(
    problem: Problem,
    rule: Rule[Any],
    preferences: Tensor,
    *,
    starts: Tensor | None = None,
    steps: int = 1000,
    lr: Schedule = 0.01,
    optimizer: Optimizer = "adam",
    betas: tuple[float, float] = (0.9, 0.999),
    inset: float = 1e-4,
    units: bool = True,
    seed: int = 0,
) -> Front:
    """Follow a rule to one point for each preference, in one call of ``trace``.

    Args:
        problem: whose losses are minimised.
        rule: any. A rule that follows no preference (MGDA, MOO-SVGD, hypervolume) ends in as many points as there are
            preferences.
        preferences: ``[N, K]``; what they mean is the rule's affair.
        starts: ``[N, D]``, one for each preference. By default they are drawn uniformly from the box; a problem without one
            gives its own starts, in turn.
        steps: number of steps to take.
        lr: learning rate, a number or a function of the step; with ``units``, as a share of the box's width.
        optimizer: ``"sgd"`` or ``"adam"``, as in ``trace``.
        betas: decay rates of Adam's two averages.
        inset: while stepping, the box is narrower by this share of its width on every side (see ``in_units``). At the end, a
            variable that stands at the narrower bound and that all losses push further is put on the bound itself, if no loss
            gets worse.
        units: whether to step in units of the box and of the front.
        seed: of the starts and of the rule.

    Returns:
        All N ends with their certificates, those that are dominated too; ``Front.non_dominated`` leaves these out.

    Raises:
        InputError: starts are needed and cannot be drawn, a shape does not fit, or a loss is outside the rule's domain.
        NonFiniteError: as in ``trace``.
    """
    require_problem(problem, "trace_front")
    require_tensor("trace_front", "preferences", preferences)
    if preferences.dim() != 2 or preferences.shape[-1] != problem.n_tasks or len(preferences) == 0:
        raise InputError(
            f"preferences have shape {tuple(preferences.shape)}, expected [N, {problem.n_tasks}] for {problem.name}"
        )
    wanted = preferences.detach().double()
    begin = _drawn(problem, len(wanted), seed) if starts is None else starts.detach().double()
    if begin.shape != (len(wanted), problem.n_dim):
        raise InputError(f"starts have shape {tuple(begin.shape)}, expected {(len(wanted), problem.n_dim)}: one a preference")
    stepped, enter, leave = in_units(problem, inset=inset)
    if not units:
        stepped, enter, leave = problem, _same, _same
    follows = Needs.PREFERENCE in rule.needs
    path = trace(
        stepped,
        rule,
        enter(begin),
        steps=steps,
        lr=lr,
        optimizer=optimizer,
        betas=betas,
        preferences=wanted if follows else None,
        paired=follows,
        record_every=max(1, steps),
        certify_every=0,
        seed=seed,
    )
    return Front.of(problem, onto_bounds(problem, leave(path.x[-1]), 2 * inset), wanted)


def onto_bounds(problem: Problem, x: Tensor, within: float) -> Tensor:
    """Variables near a bound that every loss pushes against, put on it; only where no loss gets worse.

    Args:
        problem: with or without a box.
        x: ``[N, D]``.
        within: how near, in shares of the box's width.
    """
    if problem.bounds is None:
        return x
    low, high = (end.to(x) for end in problem.bounds)
    losses, jacobian = problem.differentiate(x)
    near_low, near_high = x - low <= within * (high - low), high - x <= within * (high - low)
    moved = torch.where(near_low & (jacobian >= 0).all(dim=-2), low, x)
    moved = torch.where(near_high & (jacobian <= 0).all(dim=-2), high, moved)
    with torch.no_grad():
        better = (problem.evaluate(moved) <= losses).all(dim=-1, keepdim=True)
    return torch.where(better, moved, x)


def _drawn(problem: Problem, n: int, seed: int) -> Tensor:
    if problem.bounds is None:
        if problem.starts is None:
            raise InputError(f"problem {problem.name!r} has no bounds to draw starts from; give starts=, one a preference")
        return problem.starts[torch.arange(n) % len(problem.starts)]
    low, high = problem.bounds
    return low + (high - low) * uniforms(seed, torch.arange(n), 0, problem.n_dim)


def _same(x: Tensor) -> Tensor:
    return x
