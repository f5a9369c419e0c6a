"""How the cost of a trajectory-step grows, as a picture: ``python -m benchmarks.trajectory_scaling --out FIGURE.png``.

Convex quadratics with K tasks in D dimensions: from 1 to 100,000 trajectories in one call with K = 2 and D = 10, from 2 to 16
tasks with 1,000 trajectories and D = 16, from 2 to 300 dimensions with 1,000 trajectories and K = 2. Processor time of one
thread, in float64, Adam, no certificates.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.section import Table
from benchmarks.side_by_side import machine
from benchmarks.trajectories import ours, processor
from moo_mtl import problems
from moo_mtl.plotting import style

RULES = ("equal", "mgda", "upgrad", "cagrad")
MEMBERS, TASKS, DIMENSIONS = 1000, 2, 10


class Axis(NamedTuple):
    """What grows, and the size of each measurement as (trajectories, tasks, dimensions)."""

    label: str
    sizes: dict[int, tuple[int, int, int]]


AXES = (
    Axis("trajectories in one call", {n: (n, TASKS, DIMENSIONS) for n in (1, 10, 100, 1000, 10_000, 100_000)}),
    Axis("tasks K", {K: (MEMBERS, K, 16) for K in (2, 3, 4, 8, 16)}),
    Axis("dimensions D", {D: (MEMBERS, TASKS, D) for D in (2, 10, 30, 100, 300)}),
)


def microseconds(rule: str, n: int, tasks: int, dimensions: int) -> float:
    """Processor time of one step of one trajectory, the median of three."""
    steps = max(1, min(20, 20_000 // n))
    call = ours(problems.get("quadratic", n_tasks=tasks, n_dim=dimensions), rule, n, steps)
    return 1e6 * float(np.median(processor(call))) / (n * steps)


def draw(costs: dict[str, dict[str, dict[int, float]]], path: Path) -> None:
    """A panel for each axis, a line for each rule."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with plt.rc_context(style.rc()):
        figure, panels = plt.subplots(1, len(AXES), figsize=(9.6, 3.2))
        for axis, panel in zip(AXES, panels, strict=True):
            for rule, cost in costs[axis.label].items():
                look = style.look(rule)
                panel.plot(
                    *zip(*cost.items(), strict=True), color=look.colour, linestyle=look.line, marker=look.marker, label=rule
                )
            panel.set(xscale="log", yscale="log", xlabel=axis.label)
            panel.set_xticks(list(axis.sizes), [f"{size // 1000}k" if size >= 1000 else str(size) for size in axis.sizes])
            panel.minorticks_off()
        panels[0].set_ylabel("us a trajectory-step")
        panels[0].legend()
        figure.savefig(path, metadata={"Software": None})
        plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("trajectories.png"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    costs: dict[str, dict[str, dict[int, float]]] = {}
    for axis in AXES:
        costs[axis.label] = {rule: {at: microseconds(rule, *size) for at, size in axis.sizes.items()} for rule in RULES}
        table = Table([axis.label, *RULES])
        table.rows = [[f"{at:,}", *(f"{costs[axis.label][rule][at]:.3g}" for rule in RULES)] for at in axis.sizes]
        print(f"\n{table.markdown()}", flush=True)
    draw(costs, arguments.out)
    print(arguments.out, file=sys.stderr)


if __name__ == "__main__":
    main()
