"""Trajectories in one call against TorchJD's loop, and how the cost grows: ``python -m benchmarks.trajectories``.

TorchJD follows one trajectory at a time, as its documentation shows: losses, ``backward``, aggregation, ``optimizer.step()``.
Both step with Adam on the same problem in float64, on one thread. Contenders take turns, in processor time; a ratio is the
median over rounds, with its 90 % bootstrap interval. TorchJD is left out where it is not installed:
``pip install torchjd[full]==0.18.0``.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.section import Section, Table, run
from benchmarks.side_by_side import machine, ratio, timed
from moo_mtl import problems, rules, trace
from moo_mtl.problems.problem import Problem

PEER_STEPS = 10
TARGET = 5_000  # times TorchJD's looped cost
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


def processor(call: Callable[[], object], rounds: int = 3) -> np.ndarray:
    """Seconds of processor time, ``[rounds]``."""
    return timed({"alone": call}, rounds=rounds, clock=time.process_time)["alone"]


def measure(quick: bool = False) -> Section:
    """Ours against TorchJD's loop by rule, and ours alone from 1 to 100,000 trajectories."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rounds, steps, batch = 3 if quick else 7, 20, 10_000
    section = Section(
        "Trajectories",
        f"{machine()}. Microseconds of processor time per trajectory and step, Adam, in float64: {batch:,} trajectories in one "
        "call of `trace`, against one trajectory at a time through TorchJD. "
        "libmoon as released has no gradient solver to compare with.",
    )
    against = Table(["problem", "rule", "ours, us", "TorchJD, us", "ratio"])
    chosen = {"two-task-toy": problems.get("two-task-toy"), "vlmop2, D = 10": problems.get("vlmop2")}
    for label, problem in chosen.items():
        for rule in PEERS:
            contenders = {"ours": ours(problem, rule, batch, steps)}
            if importlib.util.find_spec("torchjd"):
                with contextlib.suppress(ImportError):  # NashMTL wants ecos, which not every installation has
                    contenders["torchjd"] = torchjd(problem, rule)
            seconds = timed(contenders, rounds=rounds, clock=time.process_time)
            mine = seconds["ours"] / (steps * batch)
            line = [label, rule, f"{1e6 * np.median(mine):.3g}"]
            if "torchjd" in seconds:
                theirs = seconds["torchjd"] / PEER_STEPS
                found = ratio(theirs, mine)
                line += [f"{1e6 * np.median(theirs):.4g}", str(found)]
                if found.median < TARGET:
                    section.losses.append(f"{label}, {rule}: {found.median:.0f} times, where {TARGET:,} are aimed at.")
            against.rows.append([*line, "-", "-"][:5])
    growth = Table(["trajectories", *(f"{label}, mgda" for label in chosen)])
    growth.caption = "Microseconds per trajectory and step, as the number of trajectories grows."
    for n in (1, 100, 10_000) if quick else (1, 10, 100, 1000, 10_000, 100_000):
        length = max(2, min(50, 200_000 // n))
        alone = (processor(ours(problem, "mgda", n, length)) for problem in chosen.values())
        growth.rows.append([f"{n:,}", *(f"{1e6 * np.median(seconds) / (n * length):.3g}" for seconds in alone)])
    section.tables = [against, growth]
    return section


if __name__ == "__main__":
    run(measure, __doc__)
