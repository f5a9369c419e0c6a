"""Counter-examples that a reader can check by hand: few tasks, few coordinates, whole and half numbers.

Candidates are drawn from small numbers, thousands in one call, from the smallest shapes up; of the first shape that has any,
the plainest one is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from moo_mtl.gramian import gramian
from moo_mtl.observation import Needs
from moo_mtl.rules.recipe import Recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.theory.episode import FELLOWS, Episode
from moo_mtl.theory.families import DEPENDENT, INDEPENDENT
from moo_mtl.theory.law import Law
from moo_mtl.theory.measure import Case
from moo_mtl.theory.verdict import sizes, violations

CANDIDATES = 256
SHORTLIST = 8  # of the plainest, in which rounding is told from violations
PLAIN = 0.1  # violations that a reader sees without a calculator; smaller ones where there are none
_HUGE = 1e4  # weights beyond it are no numbers for a hand: two gradients are parallel but for rounding
_ENTRIES = (-2.0, -1.0, 0.0, 1.0, 2.0)
_LOSSES = (1.0, 2.0, 3.0, 0.5, 1.1)
_CHANCES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Example:
    """A rule that lacks a property, in numbers.

    Attributes:
        losses: ``[T, K]`` (``[T, fellows, K]`` for a population).
        after: losses after each step, for rules that look at them.
        rows: gradients, ``[T, K, D]``.
        noise: uniform numbers, ``[T, S]``.
        preference: ``[K]``.
        violation: by how much.
        weights: what the rule answers, ``[T, K]``.
    """

    losses: Any
    after: Any
    rows: Any
    noise: Any
    preference: Any
    violation: float
    weights: Any

    def story(self) -> Episode:
        """The example as an episode with a batch of one."""
        losses, after, rows, noise = (_batch(part) for part in (self.losses, self.after, self.rows, self.noise))
        return Episode(losses, after, rows, rows, rows, noise, _tensor(self.preference)[None])


def example(recipe: Recipe, law: Law) -> Example | None:
    """The plainest counter-example of the smallest shape, or none among the candidates."""
    if not law.by_hand:
        return None
    rule = recipe.probing()
    faint: Example | None = None
    for K, D, T in _shapes(recipe, law):
        generator = torch.Generator().manual_seed(1000 * K + 10 * D + T)
        found = _plainest(rule, law, _candidates(rule, law, K, D, T, generator))
        if found is not None and found.violation > PLAIN:
            return found
        faint = faint or found
    return faint


def _shapes(recipe: Recipe, law: Law) -> Iterator[tuple[int, int, int]]:
    smallest = sizes(recipe, (2, 3, 4))
    if not law.searched:  # long computations: two shapes
        yield from ((K, K, law.steps) for K in smallest[:2])
        return
    lengths = (law.steps,) if law.steps < 4 else (1, 2, 4)
    for K in smallest:
        for T in lengths:
            for D in range(1 if "gaussian" not in law.families or "rank_one" in law.families else K, 4 if K < 4 else 5):
                yield K, D, T


def _candidates(rule: Rule[Any], law: Law, K: int, D: int, T: int, generator: torch.Generator) -> Episode:
    count = CANDIDATES if law.searched else CANDIDATES // 4
    fellows = (FELLOWS,) if Needs.POPULATION in rule.needs else ()
    batch = (T, count, *fellows)

    def pick(numbers: tuple[float, ...], *shape: int) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64)[torch.randint(len(numbers), shape, generator=generator)]

    rows = _fitting(pick(_ENTRIES, *batch, K, D), law, generator)
    losses = pick(_LOSSES, *batch, K)
    after = losses * pick((0.5, 1.0), *batch, K) if Needs.AFTER in rule.needs else losses
    share = pick((1.0, 1.0, 2.0), *batch[1:], K)
    noise = pick(_CHANCES, *batch, rule.draws(K, D))
    story = Episode(losses, after, rows, rows, rows, noise, share / share.sum(dim=-1, keepdim=True))
    return story.members(_allowed(rows, law, K))


def _fitting(rows: Tensor, law: Law, generator: torch.Generator) -> Tensor:
    """Rows bent to what the law speaks of: stationary ones, where it speaks of nothing else."""
    if "gaussian" in law.families or "rank_one" in law.families:
        return rows
    if "weakly_stationary" in law.families and rows.shape[-2] > 2:
        edge = torch.zeros_like(rows)
        edge[..., 0, 1:], edge[..., 1, 1:] = rows[..., 0, 1:], -rows[..., 0, 1:]
        edge[..., 2:, :], edge[..., 2:, 0] = rows[..., 2:, :], 1.0
        return edge
    shares = torch.randint(1, 3, rows[..., :-1, :1].shape, generator=generator)
    return torch.cat([rows[..., :-1, :], -(shares * rows[..., :-1, :]).sum(dim=-2, keepdim=True)], dim=-2)


def _allowed(rows: Tensor, law: Law, K: int) -> Tensor:
    """Members whose gradients the law speaks of, and that show more than zeros."""
    length = rows.norm(dim=-1).amin(dim=-1)
    whole = length > 0
    if set(law.families) <= set(INDEPENDENT):
        volume = torch.linalg.det(gramian(rows)) if rows.shape[-1] >= K else torch.zeros_like(length)
        whole &= volume > 0.5
    elif set(law.families) <= set(DEPENDENT) and "duplicates" in law.families:
        whole &= torch.linalg.det(gramian(rows)).abs() < 0.5
    whole = whole.movedim(1, 0).flatten(1).all(dim=1)
    return whole.nonzero()[:, 0]


def _plainest(rule: Rule[Any], law: Law, story: Episode) -> Example | None:
    if story.losses.shape[1] == 0:
        return None
    with torch.no_grad():
        case = Case(rule, story)
        worst = law.measured(case).nan_to_num().movedim(1, 0).flatten(1).amax(dim=1)
        worst = torch.where(case.answer.weights.abs().movedim(1, 0).flatten(1).amax(dim=1) < _HUGE, worst, 0.0)
        floor = PLAIN if bool((worst > PLAIN).any()) else law.bounds[1]
        size = story.rows.abs().movedim(1, 0).flatten(1)
        plain = size.sum(dim=1) + 0.5 * (size != 0).sum(dim=1)
        plain = plain + (story.losses - 1).abs().movedim(1, 0).flatten(1).sum(dim=1)
        order = torch.where(worst > floor, plain, torch.inf).argsort()[:SHORTLIST]
        short = story.members(order[worst[order] > floor])
        if short.losses.shape[1] == 0:
            return None
        decided = violations(law, Case(rule, short)).movedim(1, 0).flatten(1).amax(dim=1)
        for place in (decided > law.bounds[1]).nonzero()[:, 0]:
            # Alone, as a reader meets it: one problem takes shorter paths than a batch, and rounds otherwise.
            case = Case(rule, one := short.members(place[None]))
            violation = float(law.measured(case).max())
            if violation > law.bounds[1]:
                break
        else:
            return None
        weights = case.answer.weights[:, 0]
    losses, after, rows, noise = (_plain(part[:, 0]) for part in (one.losses, one.after, one.rows, one.noise))
    return Example(losses, after, rows, noise, _plain(one.preference[0]), violation, _rounded(weights.tolist()))


def _plain(part: Tensor) -> Any:
    """Numbers as short fractions: ``"1/3"``."""
    if part.dim() == 0:
        return str(Fraction(float(part)).limit_denominator(1000))
    return [_plain(inner) for inner in part]


def _rounded(value: Any) -> Any:
    return [_rounded(inner) for inner in value] if isinstance(value, list) else float(f"{value:.4g}")


def _tensor(value: Any) -> Tensor:
    def number(part: Any) -> Any:
        return [number(inner) for inner in part] if isinstance(part, list) else float(Fraction(part))

    return torch.tensor(number(value), dtype=torch.float64)


def _batch(value: Any) -> Tensor:
    return _tensor(value)[:, None]
