"""Every front-tracing rule on the test suites, beside NSGA-II/III and the hybrid: ``python benchmarks/front_suite.py``.

Hypervolume as a share of the reference front's, and IGD+, in units of the reference front with reference point 1.1. The same
number of points and the same budget for everybody: an evaluation of the losses counts 1, a gradient of one loss 1 more, so
that a step on N points costs N (1 + K). The hybrid spends half on evolution. References: ``fronts.reference`` (set
``MOO_MTL_DATA``).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import torch
from torch import Tensor

from moo_mtl import fronts, problems, rules
from moo_mtl.front_report import across, spread
from moo_mtl.fronts.hybrid import hybrid
from moo_mtl.fronts.reference import known, trace_by_pymoo
from moo_mtl.problems.problem import Problem

DEFAULT = (
    "zdt1,zdt2,zdt3,zdt4,zdt6,dtlz1,dtlz2,dtlz3,dtlz4,dtlz5,dtlz6,dtlz7,vlmop1,vlmop2,"
    "re21,re22,re23,re24,re31,re32,re33,re34,re35,re37"
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


def points_of(problem: Problem, n: int, steps: int, seed: int) -> dict[str, Callable[[], Tensor]]:
    """Ways to a front at one budget, ``n * steps * (1 + K)`` evaluations."""
    K = problem.n_tasks
    wanted, budget = spread(n, K), n * steps * (1 + K)
    algorithm = "nsga2" if K == 2 else "nsga3"

    def descending(length: int, highest: float) -> Callable[[int], float]:
        return lambda step: highest * (1 + math.cos(math.pi * step / length)) / 2

    def traced(name: str) -> Callable[[], Tensor]:
        rule = rules.get(name, **RULES[name])
        lr = descending(steps, 0.05)
        return lambda: fronts.trace_front(problem, rule, wanted, steps=steps, lr=lr, betas=(0.9, 0.99), seed=seed).points

    ways = {name: traced(name) for name in RULES}
    ways[algorithm] = lambda: trace_by_pymoo(problem, algorithm, n, budget // n, seed + 1)
    polish = descending(steps // 2, 5e-4)
    ways["hybrid"] = lambda: (
        hybrid(
            problem,
            rules.get("mgda"),
            algorithm,
            population=n,
            generations=budget // (2 * n),
            steps=steps // 2,
            lr=polish,
            seed=seed + 1,
        ).polished.points
    )
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--problems", default=DEFAULT)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    heads = [*RULES, "NSGA", "hybrid"]
    print(f"| problem | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    for name in arguments.problems.split(","):
        problem = problems.get(name)
        found = known(problem, 1000)
        if found is None:
            print(f"| {name} | no reference |", flush=True)
            continue
        best = found.points
        low, span = best.amin(dim=0), best.amax(dim=0) - best.amin(dim=0)
        unit, corner = (best - low) / span, torch.full_like(low, 1.1)
        whole, cells = float(fronts.hypervolume(unit, corner)), []
        for way in points_of(across(problem, best), arguments.points, arguments.steps, arguments.seed).values():
            points = way()
            points = (points[points.isfinite().all(dim=-1)] - low) / span
            share, distance = float(fronts.hypervolume(points, corner)) / whole, float(fronts.igd_plus(points, unit))
            cells.append(f"{share:.3f}, {distance:.1e}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
