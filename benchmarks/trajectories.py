"""Trajectories in one call against TorchJD's loop, and how the cost grows: ``python benchmarks/trajectories.py``.

TorchJD follows one trajectory at a time, as its documentation shows: losses, ``backward``, aggregation, ``optimizer.step()``.
Both step with Adam on the same problem in float64, on one thread. Contenders take turns; a ratio is the median over rounds,
with its 90 % bootstrap interval. TorchJD is left out where it is not installed: ``pip install torchjd[full]==0.18.0``.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.side_by_side import machine, ratio, timed
from moo_mtl import problems, rules, trace
from moo_mtl.problems.problem import Problem

PEER_STEPS = 10
PEERS = {"mgda": ("MGDA", ()), "upgrad": ("UPGrad", ()), "cagrad": ("CAGrad", (0.4,)), "nash-mtl": ("NashMTL", (2,))}
OURS = {"cagrad": {"c": 0.4}}


def starts(problem: Problem, n: int) -> Tensor:
    """Uniform in the box, or in [-9, 9] where there is none, ``[n, D]``."""
    low, high = problem.bounds or (torch.tensor(-9.0), torch.tensor(9.0))
    drawn = torch.rand(n, problem.n_dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return low + (high - low) * drawn


def ours(problem: Problem, rule: str, n: int, steps: int) -> Callable[[], object]:
    """All trajectories at once."""
    begin, chosen = starts(problem, n), rules.get(rule, **OURS.get(rule, {}))
    return lambda: trace(problem, chosen, begin, steps=steps, lr=1e-3, optimizer="adam", record_every=steps, certify_every=0)


def torchjd(problem: Problem, rule: str) -> Callable[[], object]:
    """One trajectory of ``PEER_STEPS`` steps."""
    autojac, aggregation = importlib.import_module("torchjd.autojac"), importlib.import_module("torchjd.aggregation")
    name, arguments = PEERS[rule]
    aggregator, begin = getattr(aggregation, name)(*arguments), starts(problem, 1)[0]

    def follow() -> None:
        x = begin.clone().requires_grad_()
        optimizer = torch.optim.Adam([x], lr=1e-3)
        for _ in range(PEER_STEPS):
            autojac.backward(problem.evaluate(x), inputs=[x])
            autojac.jac_to_grad([x], aggregator)
            optimizer.step()
            optimizer.zero_grad()

    return follow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=10_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"{machine()}\n\n| problem | rule | ours, us a trajectory-step | TorchJD's | ratio [90 %] |\n|---|---|---|---|---|")
    chosen = {"two-task-toy": problems.get("two-task-toy"), "vlmop2, D = 10": problems.get("vlmop2")}
    steps = 20
    for label, problem in chosen.items():
        for rule in PEERS:
            contenders = {"ours": ours(problem, rule, arguments.batch, steps)}
            if importlib.util.find_spec("torchjd"):
                contenders["torchjd"] = torchjd(problem, rule)
            seconds = timed(contenders, rounds=arguments.rounds)
            mine = seconds["ours"] / (steps * arguments.batch)
            theirs = seconds["torchjd"] / PEER_STEPS if "torchjd" in seconds else np.full_like(mine, np.nan)
            print(
                f"| {label} | {rule} | {1e6 * np.median(mine):.3g} | {1e6 * np.median(theirs):.4g} | {ratio(theirs, mine)} |",
                flush=True,
            )
    print("\n| trajectories | " + " | ".join(f"{label}, mgda" for label in chosen) + " |\n|---|---|---|")
    for n in (1, 10, 100, 1000, 10_000, 100_000):
        length = max(2, min(50, 200_000 // n))
        cells = []
        for problem in chosen.values():
            alone = timed({"ours": ours(problem, "mgda", n, length)}, rounds=3)["ours"]
            cells.append(f"{1e6 * np.median(alone) / (n * length):.3g}")
        print(f"| {n} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
