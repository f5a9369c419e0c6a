"""Gradients, evolution, gradients: a front of n points on problems where neither alone arrives.

Gradients from random starts find a front that has a slope towards it; an evolutionary search that begins with their ends leaves
local fronts, on which gradients stand still; and gradients fill what that leaves thin.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from moo_mtl.errors import InputError, unknown
from moo_mtl.fronts.archive import Archive
from moo_mtl.fronts.bridge import to_pymoo
from moo_mtl.fronts.directions import random
from moo_mtl.fronts.filling import CLOSEST, fill
from moo_mtl.fronts.front import Front
from moo_mtl.fronts.reference import ALGORITHMS, algorithm_of
from moo_mtl.fronts.tracing import trace_front
from moo_mtl.problems.problem import Problem
from moo_mtl.randomness import uniforms
from moo_mtl.rules.rule import Rule

TRACE = 30  # steps of the first trajectories
HIGHEST = 0.05  # their learning rate at first, in shares of the box


class Exploration(NamedTuple):
    """An algorithm of ``fronts.reference.ALGORITHMS``, its population, and the shares of the first trajectories and of it."""

    algorithm: str = "nsga2"
    population: int = 50
    shares: tuple[float, float] = (0.1, 0.4)


FEW_LOSSES = Exploration()  # a small population looks for basins; holes of two dimensions are found and filled one by one
MANY_LOSSES = Exploration("nsga3", 500, (0.05, 0.6))  # from four on, holes have too many sides, and evolution must spread


class Hybrid(NamedTuple):
    """What each part found and took.

    Attributes:
        traced: of the first trajectories, the non-dominated ends.
        explored: with what evolution found from there.
        filled: with the gradients' points in its holes: at most n, certified.
        evaluations: of each part. A loss vector counts 1, and a gradient of one loss 1 more: a step on N points N (1 + K).
    """

    traced: Front
    explored: Front
    filled: Front
    evaluations: tuple[int, int, int]


def hybrid(
    problem: Problem,
    rule: Rule[Any],
    algorithm: str | None = None,
    *,
    n: int = 100,
    evaluations: int = 50_000,
    shares: tuple[float, float] | None = None,
    population: int | None = None,
    seed: int = 1,
) -> Hybrid:
    """A front of n certified points for a number of evaluations, on problems with local fronts, flat regions and holes.

    Nothing is known of the front beforehand: units are those of what was found so far. What counts towards ``evaluations`` is
    the search; the points returned are evaluated once more, for their certificates.

    Args:
        problem: one with a box.
        rule: one whose preference is a ray from the ideal point, as in ``fill``: ``soft-modified-tchebycheff`` with mu = 0.05.
        algorithm: one of ``fronts.reference.ALGORITHMS``. By default the algorithm, its population and the shares are those of
            ``FEW_LOSSES``, or from four losses on those of ``MANY_LOSSES``.
        n: number of points returned.
        evaluations: budget in total; it is never exceeded.
        shares: parts of the budget for the first trajectories and for evolution; the rest fills holes.
        population: size of the algorithm's population.
        seed: of all random numbers.

    Raises:
        InputError: the algorithm is unknown, the problem has no box, the shares are no shares, the evaluations are too few, or
            the rule follows no preference.
        NonFiniteError: as in ``trace``.
    """
    usual = FEW_LOSSES if problem.n_tasks <= 3 else MANY_LOSSES
    algorithm = usual.algorithm if algorithm is None else algorithm
    population = usual.population if population is None else population
    shares = usual.shares if shares is None else shares
    if algorithm not in ALGORITHMS:
        raise unknown("algorithm", algorithm, ALGORITHMS)
    if problem.bounds is None:
        raise InputError(f"hybrid: problem {problem.name!r} has no box to explore")
    if not (min(shares) >= 0 and sum(shares) <= 1):
        raise InputError(f"hybrid: shares must be at least 0 and add up to at most 1, found {shares}")
    if population < 1:
        raise InputError(f"hybrid: population must be at least 1, found {population}")
    price = (1 + TRACE) * (1 + problem.n_tasks)
    starts, generations = int(evaluations * shares[0]) // price, int(evaluations * shares[1]) // population
    if starts + generations < 1:
        raise InputError(
            f"hybrid: {evaluations} evaluations are too few for a trajectory ({price}) or a generation ({population})"
        )

    archive = Archive.of(problem, problem.bounds[0].unsqueeze(0)[:0])
    if starts:
        archive = Archive.of(problem, _traced(problem, rule, starts, seed))
    traced = archive.spread(n)
    if generations:
        archive = archive.joined(Archive.of(problem, _explored(problem, algorithm, archive, population, generations, seed)))
    explored, used = archive.spread(n), starts * price + generations * population
    filled = fill(problem, archive, rule, n=n, evaluations=evaluations - used)
    parts = (starts * price, generations * population, filled.evaluations)
    first, second, third = (Front.of(problem, part.x) for part in (traced, explored, filled.archive.spread(n)))
    return Hybrid(first, second, third, parts)


def _traced(problem: Problem, rule: Rule[Any], starts: int, seed: int) -> Tensor:
    rays = random(starts, problem.n_tasks, seed).clamp(min=CLOSEST)
    found = trace_front(
        problem,
        rule,
        rays,
        steps=TRACE,
        lr=lambda step: HIGHEST * (1 + math.cos(math.pi * step / TRACE)) / 2,
        betas=(0.9, 0.99),
        seed=seed,
    )
    return found.x


def _explored(problem: Problem, algorithm: str, archive: Archive, population: int, generations: int, seed: int) -> Tensor:
    """Evolution's last population, half of whose first one is what the archive has; ``[population, D]``."""
    from pymoo.optimize import minimize

    assert problem.bounds is not None
    low, high = problem.bounds
    first = low + (high - low) * uniforms(seed, torch.arange(population), 0, problem.n_dim)
    seeds = archive.spread(population // 2).x
    first[: len(seeds)] = seeds
    chosen = algorithm_of(algorithm, problem.n_tasks, population, first)
    result = minimize(to_pymoo(problem), chosen, ("n_gen", generations), seed=seed, verbose=False)
    return torch.as_tensor(np.asarray(result.pop.get("X"), dtype=float))
