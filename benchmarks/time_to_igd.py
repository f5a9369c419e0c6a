"""Time to a given IGD on ZDT1 against NSGA-II and on DTLZ2 against NSGA-III: ``python -m benchmarks.time_to_igd``.

Ours is one ``trace`` call, a point for each preference. Both sides note the time at every step or generation and keep their
points; IGD is computed afterwards and costs nobody anything. Each seed has a start of its own. A ratio is the median over
seeds, with its 90 % bootstrap interval.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.side_by_side import machine, ratio
from moo_mtl import fronts, problems, rules, trace
from moo_mtl.fronts import in_units
from moo_mtl.problems.problem import Problem
from moo_mtl.randomness import uniforms


class Race(NamedTuple):
    """A problem, a rule with its preferences and settings, and the algorithm it is held against."""

    problem: Problem
    rule: Any
    preferences: Tensor
    steps: int
    lr: float
    algorithm: str
    generations: int
    targets: tuple[float, ...]


class Run(NamedTuple):
    """Seconds of processor time since the start, and the points at that time, ``[N, K]`` each."""

    seconds: list[float]
    points: list[Tensor]


def races() -> list[Race]:
    first = torch.linspace(0.005, 0.995, 100, dtype=torch.float64)
    halves = torch.stack([first, 1 - first], dim=-1)
    rays = fronts.directions.das_dennis(3, 12)
    smooth, ray = rules.get("stch", mu=0.005), rules.get("pbi")
    dtlz2 = problems.get("dtlz2", n_tasks=3)
    return [
        Race(problems.get("zdt1"), smooth, halves, 50, 0.15, "nsga2", 400, (0.05, 0.01, 0.007, 0.005)),
        Race(dtlz2, ray, rays, 60, 0.08, "nsga3", 300, (0.1, 0.07, 0.06, 0.055)),
    ]


def ours(race: Race, seed: int) -> Run:
    """One call; the box is narrowed by 1e-4, where DTLZ's gradients would vanish."""
    run, steps = Run([], []), race.steps
    stepped, _, leave = in_units(race.problem, inset=1e-4)
    begin = uniforms(seed, torch.arange(len(race.preferences)), 0, race.problem.n_dim)
    since = time.process_time()
    path = trace(
        stepped,
        race.rule,
        begin,
        steps=steps,
        lr=lambda step: race.lr * (1 + math.cos(math.pi * step / steps)) / 2,
        optimizer="adam",
        betas=(0.8, 0.8),
        preferences=race.preferences,
        paired=True,
        certify_every=0,
        progress=lambda step: run.seconds.append(time.process_time() - since),
    )
    run.points.extend(race.problem.evaluate(leave(path.x)))
    return run


def theirs(race: Race, seed: int) -> Run:
    """pymoo with its own NumPy problem and default operators."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.moo.nsga3 import NSGA3
    from pymoo.optimize import minimize
    from pymoo.problems import get_problem
    from pymoo.util.ref_dirs import get_reference_directions

    run, since = Run([], []), time.process_time()

    def note(algorithm: Any) -> None:
        run.seconds.append(time.process_time() - since)
        run.points.append(torch.as_tensor(np.asarray(algorithm.opt.get("F"))))

    n = len(race.preferences)
    if race.algorithm == "nsga2":
        algorithm = NSGA2(pop_size=n)
    else:
        algorithm = NSGA3(ref_dirs=get_reference_directions("das-dennis", 3, n_partitions=12))
    minimize(get_problem(race.problem.name), algorithm, ("n_gen", race.generations), seed=seed + 1, callback=note)
    return run


def time_to(run: Run, front: Tensor, target: float) -> float:
    """Seconds until the IGD is first at most the target; infinite if never."""
    for seconds, points in zip(run.seconds, run.points, strict=True):
        if float(fronts.igd(points, front)) <= target:
            return seconds
    return math.inf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}\n\n| problem | IGD | ours, ms | pymoo's, ms | ratio [90 %] |\n|---|---|---|---|---|")
    for race in races():
        front = race.problem.front(1000)
        ours(race, 0)  # warm-up
        pairs = [(ours(race, seed), theirs(race, seed)) for seed in range(arguments.seeds)]
        for target in race.targets:
            mine = np.array([time_to(a, front, target) for a, _ in pairs])
            peers = np.array([time_to(b, front, target) for _, b in pairs])
            fraction = ratio(peers, mine) if np.isfinite(mine).all() and np.isfinite(peers).all() else "-"
            cells = " | ".join(f"{1e3 * float(np.median(some)):.4g}" for some in (mine, peers))
            print(f"| {race.problem.name}, {race.algorithm} | {target} | {cells} | {fraction} |", flush=True)


if __name__ == "__main__":
    main()
