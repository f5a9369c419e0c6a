"""Relative sizes: what a violation is measured in, so that nothing depends on units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from moo_mtl.rules.rule import Rule
from moo_mtl.theory.episode import Episode, Renaming, Told, told


@dataclass(frozen=True, eq=False)
class Case:
    """A rule in an episode.

    Attributes:
        rule: the rule.
        story: what it sees.
        renaming: how its random numbers follow a renaming of tasks, ``(numbers, order) -> numbers``.
        first: the first step that counts.
    """

    rule: Rule[Any]
    story: Episode
    renaming: Renaming | None = None
    first: int = 0

    @cached_property
    def answer(self) -> Told:
        """What the rule says; computed once for all properties."""
        return told(self.rule, self.story)

    @cached_property
    def length(self) -> Tensor:
        """``size`` of the answer."""
        return size(self.answer, self.story)


def size(answer: Told, story: Episode) -> Tensor:
    """What a length of the direction is compared with: the sum of the weighted gradients' lengths, ``[T, ...]``."""
    parts = (answer.weights.abs() * story.rows.norm(dim=-1)).sum(dim=-1)
    return torch.maximum(parts, answer.directions.norm(dim=-1))


def unit(directions: Tensor) -> Tensor:
    """Directions of length 1; zero stays zero."""
    length = directions.norm(dim=-1, keepdim=True)
    return directions / torch.where(length > 0, length, 1.0)


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Their quotient, 0 where both are, and at most a thousand."""
    return torch.where(part == 0, 0.0, part / torch.maximum(whole, 1e-3 * part.abs()).clamp(min=1e-300))


def turned(before: Told, after: Told) -> Tensor:
    """Distance between unit directions, ``[T, ...]``."""
    return (unit(before.directions) - unit(after.directions)).norm(dim=-1)


def moved(case: Case, after: Told) -> Tensor:
    """Change of the direction relative to its parts, and of the weights relative to the largest, ``[T, ...]``."""
    return displaced(case, after) + reweighted(case, after)


def displaced(case: Case, after: Told) -> Tensor:
    """Change of the direction relative to its parts, ``[T, ...]``."""
    return ratio((case.answer.directions - after.directions).norm(dim=-1), case.length)


def reweighted(case: Case, after: Told) -> Tensor:
    """Largest change of a weight relative to the largest weight, ``[T, ...]``."""
    weights = case.answer.weights
    return ratio((weights - after.weights).abs().amax(dim=-1), weights.abs().amax(dim=-1))
