"""Every front-tracing rule on the test suites, beside NSGA-II/III and the hybrid: ``python -m benchmarks.front_suite``.

Hypervolume as a share of the reference front's, and IGD+, in units of the reference front with reference point 1.1. The same
number of points and of evaluations for everybody: 200 and 60,000 for two losses, 990 and 200,000 for more. An evaluation of the
losses counts 1, a gradient of one loss 1 more, so that a step on N points costs N (1 + K). The rules are told the ends of the
reference front as their units; evolution and the hybrid are not. References: ``fronts.reference`` (set ``MOO_MTL_DATA``).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from moo_mtl import fronts, problems, rules
from moo_mtl.front_report import across, spread
from moo_mtl.fronts.front import Front
from moo_mtl.fronts.reference import algorithm_of
from moo_mtl.problems.problem import Problem

DEFAULT = (
    "zdt1,zdt2,zdt3,zdt4,zdt6,vlmop1,vlmop2,re21,re22,re23,re24,re25,"
    "dtlz1,dtlz2,dtlz3,dtlz4,dtlz5,dtlz6,dtlz7,vlmop3,re31,re32,re33,re34,re35,re36,re37,re41,re42,re61,re91"
)
RULES = {
    "linear": {},
    "tchebycheff": {},
    "modified-tchebycheff": {},
    "stch": {"mu": 0.01},
    "pbi": {},
    "p-norm": {"p": 4.0},
    "cosmos": {"strength": 5.0},
}
PARTS = ("hybrid: traced", "explored", "filled")


def size_of(problem: Problem) -> tuple[int, int]:
    """Points and evaluations."""
    return (200, 60_000) if problem.n_tasks == 2 else (990, 200_000)


def traced(problem: Problem, name: str, best: Tensor, seed: int) -> Tensor:
    """One preference a point, all from random starts."""
    n, budget = size_of(problem)
    steps = budget // (n * (1 + problem.n_tasks))
    rule = rules.get(name, **RULES[name])
    lr = _falling(steps)
    wanted = spread(n if problem.n_tasks <= 3 else len(fronts.directions.at_least(n, problem.n_tasks)), problem.n_tasks)[:n]
    return fronts.trace_front(across(problem, best), rule, wanted, steps=steps, lr=lr, betas=(0.9, 0.99), seed=seed).points


def evolved(problem: Problem, seed: int) -> Tensor:
    """The last population of NSGA-II, or of NSGA-III for more than two losses."""
    from pymoo.optimize import minimize

    n, budget = size_of(problem)
    if problem.n_tasks == 2:
        algorithm = algorithm_of("nsga2", 2, n)
    else:
        algorithm = algorithm_of("nsga3", problem.n_tasks, len(fronts.directions.at_least(n, problem.n_tasks)))
    result = minimize(fronts.to_pymoo(problem), algorithm, ("n_evals", budget), seed=seed + 1, verbose=False)
    return torch.as_tensor(result.pop.get("F"), dtype=torch.float64)


def combined(problem: Problem, seed: int) -> tuple[Front, Front, Front]:
    """The hybrid after each of its parts."""
    n, budget = size_of(problem)
    rule = rules.get("soft-modified-tchebycheff", mu=0.05)
    return fronts.hybrid(problem, rule, n=n, evaluations=budget, seed=seed + 1)[:3]


def volume(points: Tensor, corner: Tensor) -> float:
    """The hypervolume; of more than six losses an estimate from 262,144 directions, since the exact one takes hours."""
    if points.shape[-1] <= 6:
        return float(fronts.hypervolume(points, corner))
    import moocore

    return float(moocore.hv_approx(points.numpy(), ref=corner.numpy(), nsamples=262_144, seed=1))


def _falling(steps: int) -> Callable[[int], float]:
    return lambda step: 0.05 * (1 + math.cos(math.pi * step / steps)) / 2


def ways(problem: Problem, best: Tensor, seed: int, wanted: str) -> dict[str, Tensor]:
    """Points ``[N, K]`` under each head; only the ways asked for are gone."""
    found: dict[str, Tensor] = {}
    if wanted in ("all", "rules"):
        found |= {name: traced(problem, name, best, seed) for name in RULES}
    if wanted in ("all", "evolution"):
        found["NSGA"] = evolved(problem, seed)
    if wanted in ("all", "hybrid"):
        found |= dict(zip(PARTS, (part.points for part in combined(problem, seed)), strict=True))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--problems", default=DEFAULT)
    parser.add_argument("--ways", choices=("all", "rules", "evolution", "hybrid"), default="all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--points", type=Path, help="folder for what was found, PROBLEM.npz, for paper_figs/front_suite.py")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for number, name in enumerate(arguments.problems.split(",")):
        problem = problems.get(name)
        best = fronts.reference(problem, n=1000).points
        low, span = best.amin(dim=0), best.amax(dim=0) - best.amin(dim=0)
        unit, corner = (best - low) / span, torch.full_like(low, 1.1)
        whole, cells = volume(unit, corner), {}
        found = ways(problem, best, arguments.seed, arguments.ways)
        if arguments.points is not None:
            arguments.points.mkdir(parents=True, exist_ok=True)
            np.savez(arguments.points / f"{name}.npz", reference=best, **{way: points.numpy() for way, points in found.items()})
        for head, points in found.items():
            own = (points[points.isfinite().all(dim=-1)] - low) / span
            share, distance = volume(own, corner) / whole, float(fronts.igd_plus(own, unit))
            cells[head] = f"{share:.3f}, {distance:.1e}"
        if number == 0:
            print(f"| problem | {' | '.join(cells)} |\n|---|{'---|' * len(cells)}")
        print(f"| {name} | {' | '.join(cells.values())} |", flush=True)


if __name__ == "__main__":
    main()
