"""A property made measurable: its statement, how far a rule in an episode is from it, where it is asked, and of whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from moo_mtl.observation import Needs
from moo_mtl.properties import Property
from moo_mtl.rules.rule import Rule
from moo_mtl.theory.episode import STEPS
from moo_mtl.theory.families import STRUCTURED, Family
from moo_mtl.theory.measure import Case

HOLDS_BELOW = 1e-6  # relative; what solvers and float64 leave
FAILS_ABOVE = 1e-3


def of_every_rule(rule: Rule[Any]) -> bool:
    return True


def of_losses(rule: Rule[Any]) -> bool:
    """Rules whose weights look at losses, members of a population apart."""
    return Needs.LOSSES in rule.needs and Needs.POPULATION not in rule.needs


def of_any_number_of_tasks(rule: Rule[Any]) -> bool:
    """Rules for which another task needs neither a preference nor random numbers of its own."""
    return not rule.needs & (Needs.PREFERENCE | Needs.POPULATION | Needs.NOISE)


@dataclass(frozen=True)
class Law:
    """One property of rules.

    Attributes:
        property: its name, and its statement in words and as a formula.
        violation: of a case, for each step that says something and each member, ``[T', ...]``: 0 where the property holds,
            continuous, relative.
        families: where the property says something.
        asked: of which rules.
        steps: of an episode.
        tasks: numbers of tasks tried.
        copies: members of each family for two tasks, fewer for more.
        searched: whether an adversary moves the episode to raise the violation; laws that are themselves long computations
            rely on random draws.
        by_hand: whether an example in short numbers can be checked by hand.
        bounds: of the violation: up to the first the property holds in a case, above the second it fails.
    """

    property: Property
    violation: Callable[[Case], Tensor]
    families: Mapping[str, Family] = field(default_factory=lambda: STRUCTURED)
    asked: Callable[[Rule[Any]], bool] = of_every_rule
    steps: int = STEPS
    tasks: tuple[int, ...] = (2, 3, 8, 20)
    copies: int = 24
    searched: bool = True
    by_hand: bool = True
    bounds: tuple[float, float] = (HOLDS_BELOW, FAILS_ABOVE)

    def measured(self, case: Case) -> Tensor:
        """The violation in the steps that count."""
        found = self.violation(case)
        return found[case.first :] if len(found) > case.first else found
