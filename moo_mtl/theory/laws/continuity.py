"""Whether the step is a continuous function of what the rule sees, and where it jumps.

A segment joins two observations. It is halved again and again, keeping the half over which the step changes more: over a
continuous step the change shrinks to nothing, across a jump it stays.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl import properties
from moo_mtl.theory.episode import Episode
from moo_mtl.theory.families import DEPENDENT, INDEPENDENT
from moo_mtl.theory.law import Law
from moo_mtl.theory.measure import Case

HALVINGS = 44  # 6e-14 of the segment; a step with the slope of a square root still changes by 2e-7


class Jump(NamedTuple):
    """Where a segment's halving ended.

    Attributes:
        height: change of the step that is left, relative to its parts, ``[1, ...]``.
        place: the observation, one step.
    """

    height: Tensor
    place: Episode


def steepest(case: Case, start: Episode, end: Episode) -> Jump:
    """Halve the segments between two one-step episodes."""

    def at(share: Tensor) -> Episode:
        def mixed(first: Tensor, second: Tensor) -> Tensor:
            s = share.reshape(share.shape + (1,) * (first.dim() - share.dim()))
            return first + s * (second - first)

        pairs = {name: mixed(getattr(start, name), getattr(end, name)) for name in ("losses", "after", "rows", "left", "right")}
        return start._replace(**pairs)

    def step(share: Tensor) -> tuple[Tensor, Tensor]:
        seen = Case(case.rule, at(share))
        return seen.answer.directions, seen.length

    shape = start.losses.shape[:2]  # a population moves together
    low, high = torch.zeros(shape, dtype=torch.float64), torch.ones(shape, dtype=torch.float64)
    (below, low_size), (above, high_size) = step(low), step(high)

    def apart(first: Tensor, second: Tensor, whole: Tensor) -> Tensor:
        return (first - second).norm(dim=-1) / torch.where(whole > 0, whole, 1.0)

    def together(change: Tensor) -> Tensor:
        return change.amax(dim=-1) if change.dim() > 2 else change

    for _ in range(HALVINGS):
        middle = (low + high) / 2
        half, half_size = step(middle)
        left = together(apart(below, half, torch.maximum(low_size, half_size)))
        right = together(apart(half, above, torch.maximum(half_size, high_size)))
        upper = right > left

        def pick(new: Tensor, old: Tensor, where: Tensor = upper) -> Tensor:
            return torch.where(where.reshape(where.shape + (1,) * (new.dim() - where.dim())), new, old)

        low, below, low_size = pick(middle, low), pick(half, below), pick(half_size, low_size)
        high, above, high_size = pick(high, middle), pick(above, half), pick(high_size, half_size)
    return Jump(together(apart(below, above, torch.maximum(low_size, high_size))), at(high))


def _jump(case: Case) -> Tensor:
    return steepest(case, case.story.steps(slice(0, 1)), case.story.steps(slice(1, 2))).height


def _jump_at_dependence(case: Case) -> Tensor:
    """From independent gradients, the dependent ones with each row's coordinates shifted, to the dependent ones."""
    end = case.story.steps(slice(0, 1))
    K = case.story.n_tasks

    def shifted(rows: Tensor) -> Tensor:
        return torch.stack([rows[..., k, :].roll(k + 1, dims=-1) for k in range(K)], dim=-2)

    start = end._replace(**{name: shifted(getattr(end, name)) for name in ("rows", "left", "right")})
    return steepest(case, start, end).height


LAWS = (
    Law(
        properties.continuous,
        _jump,
        {name: INDEPENDENT[name] for name in ("gaussian", "conflicting")},
        steps=2,
        tasks=(2, 3),
        copies=24,
        searched=False,
    ),
    Law(
        properties.continuous_at_dependence,
        _jump_at_dependence,
        DEPENDENT,
        steps=1,
        tasks=(2, 3),
        copies=8,
        searched=False,
    ),
)
