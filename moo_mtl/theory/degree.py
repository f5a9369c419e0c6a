r"""Degree of homogeneity, measured: the p with :math:`\lVert d(s \ell, sJ) \rVert = s^p \lVert d(\ell, J) \rVert`, if any."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from moo_mtl.rules.recipe import Recipe
from moo_mtl.theory.episode import sampled, told
from moo_mtl.theory.families import REGULAR
from moo_mtl.theory.measure import Case
from moo_mtl.theory.verdict import sizes

FACTORS = (0.25, 4.0)
SAME = 1e-4  # powers that differ by less are one: solvers answer to a few parts in a million
SHORT = 1e-6  # steps shorter than this, relative to their parts, are rounding


class Degree(NamedTuple):
    """Powers by which the step's length follows a common factor of the losses, over steps, members and factors.

    Attributes:
        low: smallest.
        high: largest.
    """

    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The degree, or None where no single power does."""
        return (self.low + self.high) / 2 if self.high - self.low <= SAME else None

    def words(self) -> str:
        """The degree in a table's words: a number, or the range of the powers."""
        if self.value is None:
            return f"none, powers from {self.low:.2f} to {self.high:.2f}"
        return f"{round(self.value, 3) + 0.0:g}"


@torch.no_grad()
def degree(recipe: Recipe, *, copies: int = 8) -> Degree:
    """Measure it on random and on conflicting gradients of three tasks, or of as many as the rule takes."""
    rule, powers = recipe.probing(), []
    families = {name: REGULAR[name] for name in ("gaussian", "conflicting")}
    for K in sizes(recipe, (3,)):
        case = Case(rule, sampled(rule, K, families, copies=copies))
        before = case.answer.directions.norm(dim=-1)
        seen = before > SHORT * case.length
        for factor in FACTORS:
            after = told(rule, case.story.times(torch.tensor(factor, dtype=torch.float64))).directions.norm(dim=-1)
            powers.append(((after / before)[seen]).log() / math.log(factor))
    found = torch.cat([power.flatten() for power in powers])
    return Degree(float(found.min()), float(found.max()))
