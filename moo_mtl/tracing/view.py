"""From a point to what the rule sees there: losses, gradients with their noise, and random numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl.box import Box
from moo_mtl.gramian import by_entries, cross_gramian, gramian, side_by_side
from moo_mtl.observation import Needs, Observation
from moo_mtl.problems.problem import Problem
from moo_mtl.randomness import normals, uniforms


class Point(NamedTuple):
    """A place evaluated: what the problem gives there, and what the rule is shown of it."""

    x: Tensor
    losses: Tensor
    jacobian: Tensor
    rows: Tensor
    finite: Tensor
    seen: Observation


@dataclass(frozen=True)
class View:
    """From a place to what the rule sees there."""

    problem: Problem
    needs: Needs
    draws: Callable[[int, int], int]
    box: Box
    preferences: Tensor | None
    gradient_noise: float
    seed: int | Tensor  # int64 [R]: the first batch dimension is of runs, each with a seed and streams of its own
    epoch_steps: int | None

    def at(self, place: Tensor, step: int) -> Point:
        x = self.box.leave(place)
        losses, jacobian = self.problem.differentiate(x)
        finite = all_finite(losses) & all_finite(jacobian.flatten(-2))
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
        return Point(x, losses, jacobian, rows, finite, seen)

    def _uniforms(self, losses: Tensor, step: int) -> Tensor:
        seed, members = self._streams(losses)
        return uniforms(2 * seed, members, step, self.draws(self.problem.n_tasks, self.problem.n_dim))

    def _noisy(self, rows: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """The rows as three independent batches would show them: for the step, and for the two sides of a cross-Gramian."""
        if self.gradient_noise == 0:
            return rows, rows, rows
        seed, members = self._streams(rows[..., 0])
        numbers = normals(
            2 * seed + 1,
            members,
            step,
            3 * rows[0].numel() if rows.dim() == 2 else 3 * rows.shape[-2] * rows.shape[-1],
        )
        draws = numbers.reshape(*rows.shape[:-2], 3, *rows.shape[-2:])
        first, second, third = (rows + self.gradient_noise * draw for draw in draws.unbind(dim=-3))
        return first, second, third

    def _streams(self, like: Tensor) -> tuple[int | Tensor, Tensor]:
        """Seed and name of each batch member's stream; those of a run are what they were if it were traced alone."""
        if isinstance(self.seed, int):
            return self.seed, _members(like)
        names = _members(like[0])
        return self.seed.reshape(-1, *(1,) * names.dim()), names.expand(like.shape[:-1])


def all_finite(numbers: Tensor) -> Tensor:
    """Whether each member's numbers, ``[..., n]``, are all finite, ``[...]``: nearly always at the price of one sum."""
    if numbers.device.type == "cpu" and bool(numbers.sum().isfinite()):
        return torch.ones_like(numbers[..., 0], dtype=torch.bool)
    return numbers.isfinite().all(dim=-1)


def batched(x: Tensor, preferences: Tensor | None, paired: bool, n_tasks: int) -> tuple[Tensor, Tensor | None]:
    """Every preference from every start, or each from its own: ``[P..., ..., D]`` and ``[P..., ..., K]``."""
    x, wanted = _crossed(x, preferences, paired)
    return side_by_side(x) if by_entries(n_tasks, x.shape[-1], x.shape[:-1].numel()) else x, wanted


def _crossed(x: Tensor, preferences: Tensor | None, paired: bool) -> tuple[Tensor, Tensor | None]:
    if preferences is None:
        return x, None
    wanted = preferences.to(x)
    if paired:
        return x, wanted
    batch = wanted.shape[:-1] + x.shape[:-1]
    wanted = wanted.reshape(wanted.shape[:-1] + (1,) * (x.dim() - 1) + wanted.shape[-1:])
    return x.expand(*batch, x.shape[-1]), wanted.expand(*batch, wanted.shape[-1])


def _members(like: Tensor) -> Tensor:
    """An integer for each batch member, ``[...]``, that stays the same when any batch dimension grows."""
    names = torch.zeros(like.shape[:-1], dtype=torch.int64, device=like.device)
    for dim, length in enumerate(names.shape):
        index = torch.arange(length, device=like.device).reshape(-1, *(1,) * (names.dim() - dim - 1))
        names = names + index * 1_000_003 ** (names.dim() - dim - 1)
    return names
