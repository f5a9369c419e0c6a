"""Evolution finds the basins, gradients their floor: exploration by pymoo, then a polish with a certificate for every point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from moo_mtl.errors import InputError, unknown
from moo_mtl.fronts.bridge import to_pymoo
from moo_mtl.fronts.front import Front
from moo_mtl.fronts.reference import ALGORITHMS, algorithm_of
from moo_mtl.fronts.tracing import onto_bounds
from moo_mtl.fronts.units import in_units
from moo_mtl.problems.problem import Problem
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Schedule
from moo_mtl.tracing import trace

LOOKS = 50  # points on each member's way among which the best is chosen


class Hybrid(NamedTuple):
    """What each part contributed.

    Attributes:
        explored: the population that evolution left.
        polished: the same members after the gradients, each at least as good in every loss.
        evaluations: of losses by evolution, and by the gradients, where a step on N members counts N (1 + K): once for the
            losses and once for each gradient.
    """

    explored: Front
    polished: Front
    evaluations: tuple[int, int]


def hybrid(
    problem: Problem,
    rule: Rule[Any],
    algorithm: str = "nsga2",
    *,
    population: int = 100,
    generations: int = 100,
    steps: int = 100,
    lr: Schedule = 1e-4,
    seed: int = 1,
) -> Hybrid:
    """Explore with an evolutionary algorithm and polish its last population with gradients.

    Every member follows the rule from where evolution left it, in units of box and front. Of its way the lowest point (by the
    sum of losses) is kept at which no loss is above where it began: no member is traded for a worse or merely different one.

    Args:
        problem: with a box.
        rule: without preference; MGDA descends all losses, so that members keep their places along the front.
        algorithm: one of ``fronts.reference.ALGORITHMS``.
        population: of the algorithm.
        generations: of the algorithm.
        steps: of the rule, by Adam.
        lr: Adam's learning rate in shares of the box.
        seed: of both.

    Raises:
        InputError: the algorithm is unknown or the problem has no box.
        NonFiniteError: as in ``trace``.
    """
    if algorithm not in ALGORITHMS:
        raise unknown("algorithm", algorithm, ALGORITHMS)
    if problem.bounds is None:
        raise InputError(f"hybrid: problem {problem.name!r} has no box to explore")
    explored, spent = _explored(problem, algorithm, population, generations, seed)
    stepped, enter, leave = in_units(problem)
    path = trace(
        stepped,
        rule,
        enter(explored).clamp(0, 1),
        steps=steps,
        lr=lr,
        optimizer="adam",
        betas=(0.9, 0.99),
        record_every=max(1, steps // LOOKS),
        certify_every=0,
        seed=seed,
    )
    ends = onto_bounds(problem, _best(path.losses, path.x, leave), 1e-6)
    return Hybrid(Front.of(problem, explored), Front.of(problem, ends), (spent, steps * len(explored) * (1 + problem.n_tasks)))


def _best(losses: Tensor, u: Tensor, leave: Callable[[Tensor], Tensor]) -> Tensor:
    """Of each member's way, ``[T, N, K]`` and ``[T, N, D]``, the lowest point among those with no loss above the start's."""
    allowed = (losses <= losses[0]).all(dim=-1)
    chosen = losses.sum(dim=-1).masked_fill(~allowed, torch.inf).nan_to_num(nan=torch.inf).argmin(dim=0)
    return leave(u.gather(0, chosen[None, :, None].expand(1, *u.shape[1:])).squeeze(0))


def _explored(problem: Problem, algorithm: str, population: int, generations: int, seed: int) -> tuple[Tensor, int]:
    """The last population, ``[N, D]``, and how many evaluations it took."""
    import numpy as np
    from pymoo.optimize import minimize

    chosen = algorithm_of(algorithm, problem.n_tasks, population)
    result = minimize(to_pymoo(problem), chosen, ("n_gen", generations), seed=seed, verbose=False)
    x = torch.as_tensor(np.asarray(result.pop.get("X"), dtype=float))
    return x, int(result.algorithm.evaluator.n_eval)
