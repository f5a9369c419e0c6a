"""Verdicts: whether a rule has a property, from random draws of every family and an adversary, with the worst case kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from moo_mtl.properties import Condition, stateless
from moo_mtl.rules.recipe import Recipe
from moo_mtl.theory.episode import STEPS, Episode, sampled
from moo_mtl.theory.families import INDEPENDENT, Family
from moo_mtl.theory.law import Law
from moo_mtl.theory.measure import Case
from moo_mtl.theory.search import Hunt, search

Word = Literal["holds", "fails", "undecided"]
FEW = 2  # draws of each family to begin with
NOT_A_NUMBER = 1e6  # the violation of an answer that is not a number
SHAKE = 1e-13  # relative change of all numbers, under which a violation that is not rounding stays


@dataclass(frozen=True)
class Verdict:
    """What was found of one rule and one property.

    Attributes:
        word: ``"holds"``, ``"fails"``, or ``"undecided"`` between the law's bounds.
        cases: episodes looked at, those of the adversary included.
        worst: largest violation that rounding does not explain.
        at: family and number of tasks of the worst.
        adversary: how it searched, ``""`` where random draws had decided or the law is not searched.
    """

    word: Word
    cases: int
    worst: float
    at: str
    adversary: str = ""


ALWAYS = Condition("always")


def sizes(recipe: Recipe, wanted: tuple[int, ...], condition: Condition = ALWAYS) -> list[int]:
    """Numbers of tasks for which the rule is defined and the condition allows, the smallest of them included."""
    low, high = max(recipe.min_tasks, condition.min_tasks), min(recipe.max_tasks or 10**6, condition.max_tasks or 10**6)
    fitting = {K for K in wanted if low <= K <= high}
    return sorted(fitting | ({low} if low > min(wanted) or not fitting else set()))


def where(recipe: Recipe, law: Law, condition: Condition = ALWAYS) -> Mapping[str, Family]:
    """The families on which the law is tried: those that float64 decides, independent gradients where these are asked for."""
    families = dict(law.families)
    if recipe.decades < 6:
        families.pop("six_decades", None)
    if condition.independent:
        families = {name: family for name, family in families.items() if name in INDEPENDENT}
    return families


def judge(
    recipe: Recipe, law: Law, *, condition: Condition = ALWAYS, thorough: bool = True, cache: dict[Any, Case] | None = None
) -> Verdict:
    """Try a law on a rule: on a few cases, on many, against an adversary; the first failure ends it.

    Args:
        recipe: of the rule.
        law: what is tried.
        condition: under which the law is tried.
        thorough: also many draws and the adversary.
        cache: answers shared among the laws tried on one rule.
    """
    worst, at, cases, adversary = 0.0, "", 0, ""
    for one in _tries(recipe, law, condition, thorough, {} if cache is None or condition is not ALWAYS else cache):
        cases, adversary = cases + one.cases, one.adversary or adversary
        if one.worst > worst:
            worst, at = one.worst, one.at
        if worst > law.bounds[1]:
            return Verdict("fails", cases, worst, at, adversary)
    return Verdict("holds" if worst <= law.bounds[0] else "undecided", cases, worst, at, adversary)


class _Try(NamedTuple):
    worst: float
    at: str
    cases: int
    adversary: str = ""


def _tries(recipe: Recipe, law: Law, condition: Condition, thorough: bool, cache: dict[Any, Case]) -> Iterator[_Try]:
    """A few draws for every number of tasks, many for the smaller ones, then the adversary's."""
    rule = recipe.probing(**condition.parameters)
    families, tasks = where(recipe, law, condition), sizes(recipe, law.tasks, condition)
    # What keeps no state answers each step alike; one step then says all that several do.
    single = law.steps == STEPS and stateless in recipe.holds and law.property != stateless
    steps = 1 if single else law.steps
    few = [(K, FEW, 0) for K in tasks]
    many = [(K, 2 * law.copies // K, 1) for K in tasks if 2 * law.copies // K > FEW]
    for K, copies, seed in few + many if thorough else few:
        key = (K, tuple(families), copies, seed, steps)
        if key not in cache:
            story = sampled(rule, K, families, copies=copies, seed=seed, steps=steps)
            cache[key] = Case(rule, story, condition.renaming, condition.first)
        found = violations(law, cache[key])
        yield _Try(float(found.max()), f"{_family(families, found)}, K = {K}", found.numel() // found.shape[0])
    for name, K in _hunted(families, tasks) if thorough and law.searched else ():
        hunt = Hunt(law, rule, families[name], K, K + 1, steps, condition.renaming, condition.first)
        end = search(hunt)
        found = violations(law, Case(rule, hunt.episode(end.normals), condition.renaming, condition.first))
        yield _Try(float(found.max()), f"adversary in {name}, K = {K}", end.cases, end.method)


@torch.no_grad()
def violations(law: Law, case: Case) -> Tensor:
    """The law's violation with what rounding decides set to 0: where shaken numbers give a different violation."""
    found = law.measured(case).nan_to_num(nan=NOT_A_NUMBER)
    if not law.searched or float(found.max()) <= law.bounds[0]:
        return found
    flat = found.movedim(1, 0).flatten(1).amax(dim=1)
    suspects = (flat > law.bounds[0]).nonzero()[:, 0]
    story = case.story.members(suspects)
    own, decided = found[:, suspects], torch.ones_like(found[:, suspects], dtype=torch.bool)
    for seed in (1, 2, 3):
        again = law.measured(Case(case.rule, shaken(story, seed), case.renaming, case.first)).nan_to_num(nan=NOT_A_NUMBER)
        decided &= (again - own).abs() <= 0.01 * own
    kept = torch.zeros_like(found)
    kept[:, suspects] = torch.where(decided | (own <= law.bounds[0]), own, 0.0)
    calm = (flat <= law.bounds[0]).nonzero()[:, 0]
    kept[:, calm] = found[:, calm]
    return kept


def shaken(story: Episode, seed: int) -> Episode:
    """All losses and gradients changed by a little more than rounding.

    Every coordinate has a factor of its own, the same for all tasks, so that gradients that depend on each other still do.
    """
    generator = torch.Generator().manual_seed(seed)

    def shake(part: Tensor) -> Tensor:
        amounts = SHAKE * torch.randn(part.shape[-1], generator=generator, dtype=torch.float64)
        return part * (1 + amounts)

    return story.each(shake)


def _family(families: Mapping[str, Family], found: Tensor) -> str:
    """The family of the member with the largest violation; members of a family stand together."""
    flat = found.movedim(1, 0).flatten(1).amax(dim=1)
    return list(families)[int(flat.argmax()) * len(families) // len(flat)]


def _hunted(families: Mapping[str, Family], tasks: list[int]) -> Iterator[tuple[str, int]]:
    """The adversary's ground: the first family for the fewest tasks, and a harder one for the next number of them."""
    names = list(families)
    yield names[0], tasks[0]
    harder = [name for name in ("conflicting", "weakly_stationary", *names[:1]) if name in families]
    yield from ((name, tasks[1]) for name in harder[:1] if len(tasks) > 1)
