"""Seconds to a front, against pymoo's algorithms: ``python -m benchmarks.time_to_front``.

A front is there when its hypervolume is a share of what as many points, spread over the reference front, have.

Ours has one setting for every problem. One ``trace`` call with a point for each preference: smooth Tchebycheff for two tasks,
penalty boundary intersection for more, Adam, a learning rate that falls along a cosine. Then ``fill``, where that left holes;
after each of its rounds ours is as many of the points found as there are preferences, far from each other. pymoo runs its
algorithms with their default operators on its own NumPy problem where it has one, and on ours through ``to_pymoo`` where it has
not. Both sides note the time at every step or generation and keep their points; hypervolumes cost nobody anything. pymoo is
stopped where it has the largest share, or has taken ``LONGEST``.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.section import Section, Table, run
from benchmarks.side_by_side import machine, ratio
from moo_mtl import fronts, problems, rules, trace
from moo_mtl.front_report import spread
from moo_mtl.fronts import in_units
from moo_mtl.fronts.archive import Archive, far_apart
from moo_mtl.fronts.filling import fill
from moo_mtl.fronts.reference import known
from moo_mtl.problems.problem import Problem
from moo_mtl.randomness import uniforms

PROBLEMS = ("zdt1", "zdt2", "zdt3", "zdt6", "vlmop2", "dtlz2", "dtlz5", "re21", "re24", "re37")
SHARES = (0.95, 0.99)
POINTS = 100
STEPS, LR = 80, 0.12
FILLING = 10_000  # evaluations
GENERATIONS = 300
LONGEST = 5.0  # seconds of a run of pymoo's


class Run(NamedTuple):
    """Seconds of processor time since the start, and the losses of all points at that time, ``[N, K]`` each."""

    seconds: list[float]
    losses: list[Tensor]


def ours(problem: Problem, seed: int) -> Run:
    """One call for all preferences, and its holes filled."""
    found, K, fuller = Run([], []), problem.n_tasks, list[Tensor]()
    rule = rules.get("stch", mu=0.01) if K == 2 else rules.get("pbi")
    preferences = spread(POINTS, K)
    since = time.process_time()
    stepped, _, leave = in_units(problem, inset=1e-4)
    path = trace(
        stepped,
        rule,
        uniforms(seed, torch.arange(len(preferences)), 0, problem.n_dim),
        steps=STEPS,
        lr=lambda step: LR * (1 + math.cos(math.pi * step / STEPS)) / 2,
        optimizer="adam",
        betas=(0.8, 0.9),
        preferences=preferences,
        paired=True,
        certify_every=0,
        progress=lambda step: found.seconds.append(time.process_time() - since),
    )
    archive = Archive.of(problem, leave(path.x[-1]))

    def note(filled: Archive) -> None:
        fuller.append(filled.spread(len(preferences)).points)
        found.seconds.append(time.process_time() - since)

    beside = rules.get("soft-modified-tchebycheff", mu=0.05)
    fill(problem, archive, beside, n=len(preferences), evaluations=FILLING, progress=note)
    found.losses.extend([*problem.evaluate(leave(path.x)), *fuller])
    return found


def theirs(problem: Problem, algorithm: str, seed: int, volume: Callable[[Tensor], float]) -> Run:
    """pymoo's loop; the whole population of each generation is kept. The time of ``volume`` is taken out."""
    from pymoo.algorithms.moo.moead import MOEAD
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.moo.nsga3 import NSGA3
    from pymoo.optimize import minimize
    from pymoo.problems import get_problem
    from pymoo.util.ref_dirs import get_reference_directions

    found, K = Run([], []), problem.n_tasks
    rays = get_reference_directions("das-dennis", K, n_partitions=POINTS - 1 if K == 2 else 12)
    made: dict[str, Callable[[], Any]] = {
        "nsga2": lambda: NSGA2(pop_size=POINTS),
        "nsga3": lambda: NSGA3(ref_dirs=rays),
        "moead": lambda: MOEAD(ref_dirs=rays, n_neighbors=15),
    }
    try:
        stated = get_problem(problem.name)
    except Exception:
        stated = fronts.to_pymoo(problem)
    since = time.process_time()

    def note(state: Any) -> None:
        nonlocal since
        begin = time.process_time()
        found.seconds.append(begin - since)
        found.losses.append(torch.as_tensor(np.asarray(state.pop.get("F"))))
        if found.seconds[-1] > LONGEST or volume(found.losses[-1]) >= SHARES[-1]:
            state.termination.terminate()
        since += time.process_time() - begin

    minimize(stated, made[algorithm](), ("n_gen", GENERATIONS), seed=seed + 1, callback=note)
    return found


def seconds_to(found: Run, share: float, volume: Callable[[Tensor], float]) -> float:
    """Seconds until the hypervolume first reaches the share; infinite if never."""
    for seconds, losses in zip(found.seconds, found.losses, strict=True):
        if volume(losses) >= share:
            return seconds
    return math.inf


def measure(quick: bool = False) -> Section:
    """A table of times, ours and each of pymoo's algorithms, at each share."""
    torch.set_num_threads(1)
    seeds = 2 if quick else 5
    about = (
        f"{machine()}. Milliseconds of processor time (median of {seeds} seeds) until {POINTS} points (91 for three tasks) "
        "have a share of the hypervolume of as many points spread over the reference front, in units of that front with "
        "reference point 1.1. "
        f"Ours: {STEPS} steps, then {FILLING} evaluations; pymoo: at most {GENERATIONS} generations and {LONGEST:g} s; *never* "
        "is not within that. "
        "Indicator time is nobody's."
    )
    section = Section("Time to a front", about)
    table = Table(["problem", "share", "ours, ms", "NSGA-II", "NSGA-III", "MOEA/D", "fastest of theirs over ours"])
    for name in PROBLEMS[:4] if quick else PROBLEMS:
        problem = problems.get(name)
        reference = known(problem)
        if reference is None:
            table.rows.append([name, "", "no reference front at hand", "", "", "", ""])
            continue
        low, high = reference.points.amin(dim=0), reference.points.amax(dim=0)
        one = torch.full((problem.n_tasks,), 1.1, dtype=torch.float64)
        scaled = (reference.points - low) / (high - low)
        whole = float(fronts.hypervolume(scaled[far_apart(scaled, len(spread(POINTS, problem.n_tasks)))], one))

        def volume(losses: Tensor, low: Tensor = low, high: Tensor = high, one: Tensor = one, whole: float = whole) -> float:
            return float(fronts.hypervolume((losses - low) / (high - low), one)) / whole

        ours(problem, 0)  # warm-up
        runs = [
            {"ours": ours(problem, seed), **{a: theirs(problem, a, seed, volume) for a in ("nsga2", "nsga3", "moead")}}
            for seed in range(seeds)
        ]
        print(f"{name} done, {time.process_time():.0f} s in all", file=sys.stderr)
        for share in SHARES:
            times = {
                way: np.array([seconds_to(one_run[way], share, volume) for one_run in runs])
                for way in ("ours", "nsga2", "nsga3", "moead")
            }
            medians = {way: float(np.median(values)) for way, values in times.items()}
            best = min(("nsga2", "nsga3", "moead"), key=lambda way: medians[way])
            comparable = np.isfinite(times["ours"]).all() and np.isfinite(times[best]).all()
            found = ratio(times[best], times["ours"]) if comparable else None
            cells = [_shown(medians[way]) for way in ("ours", "nsga2", "nsga3", "moead")]
            table.rows.append([name, f"{share:g}", *cells, "-" if found is None else str(found)])
            if medians["ours"] > medians[best]:
                section.losses.append(f"{name} to {share:g}: ours {cells[0]} ms, {best} {_shown(medians[best])} ms.")
    section.tables = [table]
    return section


def _shown(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}" if math.isfinite(seconds) else "never"


if __name__ == "__main__":
    run(measure, __doc__)
