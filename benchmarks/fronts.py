"""The table that LibMOON calls "VLMOP1", with the exact answer beside both: ``python -m benchmarks.fronts``.

The problem is ``fonseca`` (the class names VLMOP1 and VLMOP2 are swapped in LibMOON), K = 8 preferences (a, 1 - a) with a from
0.01 to 0.99, reference point (1, 1). Each rule is one call of ``trace``: every preference from a start of its own, uniform in
[-1/sqrt(n), 1/sqrt(n)]^n, for three seeds at once, which are the means given. Plain descent with learning rate 1e-2.

*Exact* is the solution the method is defined by: the point of the front on the preference's ray (EPO, PMGDA), the minimiser of
the scalarization over the Pareto set (Agg-), the eight points of largest hypervolume (HVGrad).
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from moo_mtl import fronts, problems, rules, trace
from moo_mtl.observation import Needs
from moo_mtl.randomness import uniforms
from moo_mtl.rules import preference as scalarizations

N_DIM, SEEDS = 10, 3
PROBLEM = problems.get("fonseca", n_dim=N_DIM)
FIRST = torch.linspace(0.01, 0.99, 8, dtype=torch.float64)
PREFERENCES = torch.stack([FIRST, 1 - FIRST], dim=-1)
COLUMNS = ("Lmin", "soft Lmin", "HV", "IP", "angle", "PBI")


class Method(NamedTuple):
    """One line of the published table: its numbers, our rule, the preferences in its sense, and the exact solution."""

    published: tuple[float, ...]
    rule: str
    parameters: dict[str, Any]
    preferences: Tensor = PREFERENCES
    exact: Callable[[], Tensor] | None = None


def front(t: Tensor) -> Tensor:
    """The exact front, t from 1 to -1."""
    return -torch.expm1(-torch.stack([(t - 1).square(), (t + 1).square()], dim=-1))


def on_rays(rays: Tensor) -> Tensor:
    """Points of the front on rays, by bisection, ``[N, 2] -> [N, 2]``."""
    low, high = -torch.ones(len(rays), dtype=torch.float64), torch.ones(len(rays), dtype=torch.float64)
    for _ in range(60):
        middle = (low + high) / 2
        points = front(middle)
        above = points[:, 0] * rays[:, 1] > points[:, 1] * rays[:, 0]  # too much of loss 1: nearer to t = 1
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return front((low + high) / 2)


def minimisers(function: scalarizations.Scalarization, preferences: Tensor = PREFERENCES) -> Tensor:
    """Minimisers of a scalarization over a fine grid of the Pareto set, ``[8, 2]``."""
    points = front(torch.linspace(-1, 1, 40_001, dtype=torch.float64))
    here = torch.ones_like(points, dtype=torch.bool)
    return torch.stack([points[function.value(points, p.expand_as(points), here).argmin()] for p in preferences])


def of_largest_hypervolume() -> Tensor:
    """Eight points of the front of largest hypervolume: ascent from even spacing."""
    t = torch.linspace(0.8, -0.8, 8, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [t], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        points = front(t)
        right = torch.cat([points[1:, 0], torch.ones(1, dtype=torch.float64)])
        area = ((right - points[:, 0]) * (1 - points[:, 1])).sum()
        (-area).backward()
        return -area

    optimizer.step(closure)
    return front(t.detach())


UNIT = PREFERENCES / PREFERENCES.norm(dim=-1, keepdim=True)
METHODS = {
    "EPO": Method((0.162, 0.061, 0.283, 0.776, 0.046, 0.930), "epo", {}, 1 / PREFERENCES, lambda: on_rays(PREFERENCES)),
    "PMGDA": Method((0.150, 0.055, 0.283, 0.775, 0.318, 0.952), "pmgda", {}, exact=lambda: on_rays(PREFERENCES)),
    "MGDA-UB": Method((0.012, -0.098, 0.228, 0.606, 31.28, 2.986), "mgda", {}),
    "MOO-SVGD": Method((0.060, -0.077, 0.212, 0.633, 29.65, 2.963), "moo-svgd", {}),
    "PMTL": Method((0.014, -0.068, 0.260, 0.706, 15.04, 1.993), "pmtl", {}),
    "HVGrad": Method(
        (0.182, 0.067, 0.286, 0.578, 34.09, 3.062), "hypervolume", {"reference": (1.0, 1.0)}, exact=of_largest_hypervolume
    ),
    "Agg-LS": Method(
        (0.000, -0.159, 0.043, 0.227, 71.17, 4.764), "linear", {}, exact=lambda: minimisers(scalarizations.power_norm(1.0))
    ),
    "Agg-Tche": Method(
        (0.158, 0.061, 0.283, 0.348, 55.17, 3.889), "tchebycheff", {}, exact=lambda: minimisers(scalarizations.chebyshev)
    ),
    "Agg-PBI": Method(
        (0.113, 0.032, 0.281, 0.657, 11.37, 1.434),
        "pbi",
        {"theta": 1.0},
        exact=lambda: minimisers(scalarizations.boundary_intersection(1.0)),
    ),
    "Agg-COSMOS": Method(
        (0.141, 0.045, 0.285, 0.771, 1.085, 1.011),
        "cosmos",
        {"strength": 10.0},
        UNIT,
        lambda: minimisers(scalarizations.cosine_penalty(10.0), UNIT),
    ),
    "Agg-SoftTche": Method(
        (0.004, -0.074, 0.244, 0.276, 63.11, 4.253), "stch", {}, exact=lambda: minimisers(scalarizations.smooth_chebyshev(0.1))
    ),
}


def traced(method: Method, steps: int) -> tuple[Tensor, Tensor]:
    """Ends ``[SEEDS, 8, 2]`` and certificates ``[SEEDS, 8]``."""
    rule = rules.get(method.rule, **method.parameters)
    reach = 1 / math.sqrt(N_DIM)
    starts = (2 * uniforms(0, torch.arange(SEEDS * 8), 0, N_DIM) - 1).reshape(SEEDS, 8, N_DIM) * reach
    follows = Needs.PREFERENCE in rule.needs
    wanted = method.preferences.expand(SEEDS, 8, 2) if follows else None
    path = trace(
        PROBLEM, rule, starts, steps=steps, lr=1e-2, preferences=wanted, paired=follows, record_every=steps, certify_every=0
    )
    return path.losses[-1], path.upper[-1]


def indicators(points: Tensor) -> tuple[float, ...]:
    """The columns of the table, means over seeds."""
    preferences = PREFERENCES.expand_as(points)
    assert PROBLEM.ref_point is not None
    values = (
        fronts.min_distance(points),
        fronts.soft_min_distance(points),
        fronts.hypervolume(points, PROBLEM.ref_point),
        fronts.inner_product(points, preferences),
        fronts.angle(points, preferences),
        fronts.pbi(points, preferences),
    )
    return tuple(float(value.mean()) for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--only", default="", help="methods, separated by commas")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"| method | | {' | '.join(COLUMNS)} | certificate, largest | seconds |")
    print("|---|---|" + "---|" * (len(COLUMNS) + 2))
    for name, method in METHODS.items():
        if arguments.only and name not in arguments.only.split(","):
            continue
        begin = time.process_time()
        points, upper = traced(method, arguments.steps)
        seconds = time.process_time() - begin
        print(f"| {name} | published | {_cells(method.published)} | | |")
        print(
            f"| | ours, {method.rule} | {_cells(indicators(points))} | {float(upper.max()):.1e} | {seconds:.1f} |", flush=True
        )
        if method.exact is not None:
            print(f"| | exact | {_cells(indicators(method.exact()[None]))} | | |", flush=True)


def _cells(values: tuple[float, ...]) -> str:
    return " | ".join(f"{value:.3f}" for value in values)


if __name__ == "__main__":
    main()
