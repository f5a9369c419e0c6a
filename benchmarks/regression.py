"""Whether a hot path became slower than it was: ``python -m benchmarks.regression [--keep]``.

Every entry is a ratio of our call to a fixed piece of work on the same machine in the same minute (a LAPACK call, one backward
pass, one evaluation of the losses), so that it means the same on another machine. More than ``ALLOWED`` times the kept ratio,
again after a second measurement, is a failure. ``--keep`` writes ``regression.json`` anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.side_by_side import timed
from benchmarks.solver_grid import PROGRAMS, gramians
from moo_mtl import Balancer, problems, rules, trace

FILE = Path(__file__).with_name("regression.json")
ALLOWED = 2.0
Pair = tuple[Callable[[], object], Callable[[], object]]  # ours, and the fixed work


def pairs() -> dict[str, Callable[[], Pair]]:
    """Every path that is watched, built on demand."""
    watched: dict[str, Callable[[], Pair]] = {}
    for name in ("min_norm", "upgrad", "cagrad", "nash", "aligned"):
        watched[f"{name}, one of 10 tasks"] = lambda name=name: _single(name)  # type: ignore[misc]
        watched[f"{name}, 1,000 of 5 tasks"] = lambda name=name: _batch(name, 5, 1000)  # type: ignore[misc]
    for name in ("upgrad", "cagrad"):
        watched[f"{name}, 1,000 of 2 tasks"] = lambda name=name: _batch(name, 2, 1000)  # type: ignore[misc]
    watched["conicgrad, 4 of 10 tasks"] = lambda: _batch("conicgrad", 10, 4)
    watched["Balancer, MLP of 10 tasks"] = _step
    watched["trace, 1,000 trajectories"] = _trajectories
    return watched


def measured(pair: Pair) -> float:
    """Median over rounds of ours against the fixed work."""
    seconds = timed({"ours": pair[0], "fixed": pair[1]}, rounds=7, at_least=0.02)
    return float(np.median(seconds["ours"] / seconds["fixed"]))


def _single(name: str) -> Pair:
    G, solve = gramians("well-conditioned", 10, 1)[0], PROGRAMS[name].solve
    matrix = G.numpy()
    return lambda: solve(G), lambda: np.linalg.eigh(matrix)


def _batch(name: str, tasks: int, members: int) -> Pair:
    G, solve = gramians("well-conditioned", tasks, members), PROGRAMS[name].solve
    return lambda: solve(G), lambda: torch.linalg.cholesky_ex(G)


def _step() -> Pair:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(256, 600), nn.ReLU(), nn.Linear(600, 600), nn.ReLU())
    heads = nn.ModuleList(nn.Linear(600, 10) for _ in range(10))
    inputs, labels = torch.randn(32, 256), torch.randint(0, 10, (10, 32))
    balancer = Balancer(rules.upgrad(), trunk)

    def losses() -> torch.Tensor:
        z = trunk(inputs)
        return torch.stack([nn.functional.cross_entropy(head(z), y) for head, y in zip(heads, labels, strict=True)])

    return lambda: balancer.backward(losses()), lambda: losses().sum().backward()


def _trajectories() -> Pair:
    problem, steps = problems.get("vlmop2"), 20
    starts = torch.rand(1000, problem.n_dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def evaluations() -> None:
        for _ in range(steps):
            problem.jacobian(starts)

    return lambda: trace(problem, rules.mgda(), starts, steps=steps, lr=1e-3, record_every=steps, certify_every=0), evaluations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--keep", action="store_true", help="write regression.json anew")
    keep = parser.parse_args().keep
    torch.set_num_threads(1)
    known = {} if keep else json.loads(FILE.read_text(encoding="utf-8"))
    found, slower = {}, []
    for name, build in pairs().items():
        ratio = measured(build())
        if not keep and ratio > ALLOWED * known[name]:
            ratio = min(ratio, measured(build()))
        found[name] = float(f"{ratio:.3g}")
        print(f"{name}: {ratio:.3g} times the fixed work" + ("" if keep else f", {known[name]:g} kept"), flush=True)
        if not keep and ratio > ALLOWED * known[name]:
            slower.append(name)
    if keep:
        FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if slower:
        sys.exit(
            f"more than {ALLOWED:g} times as slow as it was: {', '.join(slower)}; mend it, or keep the new ratios (--keep)"
        )


if __name__ == "__main__":
    main()
