"""Solvers side by side with TorchJD, CVXPY and quadprog, in one run: ``python -m benchmarks.solvers``.

Contenders take turns (A B C, A B C, ...), so that a noisy machine slows all of them; what is reported is the median over
rounds of the ratio within a round, with the 90 % bootstrap interval of that median. Ours are the compiled programs where Numba
is installed, unless ``--torch-only`` is given. Single problems are timed one call at a
time, from the Gramian to the weights; batches of B against the contender's loop over ``LOOP`` of them. Peers that are not
installed are named and left out: ``pip install torchjd[full]==0.18.0 quadprog`` in an environment of its own.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from moo_mtl import solvers
from moo_mtl.solvers import fast

LOOP = 20  # problems a peer without batches is looped over; its time per problem does not depend on the batch
SPAN = 0.01  # seconds a timed block lasts at least
Solve = Callable[[Tensor], object]


@dataclass(frozen=True)
class Case:
    """One line of a table: our call against one peer's, and the ratio asked for."""

    program: str
    tasks: int
    batch: int  # 1: a single problem
    peer: str
    ours: Solve
    theirs: Solve
    target: float


def problems(tasks: int, count: int, seed: int = 0) -> Tensor:
    """A quarter each: normal rows, a common direction, lengths over six decades, nearly rank three."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, tasks, tasks + 3, generator=generator, dtype=torch.float64)
    kind = torch.arange(count) % 4
    rows[kind == 1] += 2 * torch.randn(int((kind == 1).sum()), 1, tasks + 3, generator=generator, dtype=torch.float64)
    rows[kind == 2] *= 10 ** torch.linspace(-3, 3, tasks, dtype=torch.float64).unsqueeze(-1)
    rows[kind == 3, :, 3:] *= 0.1
    return rows @ rows.mT


def cases(batch: int) -> list[Case]:
    """The targets of the project, with whatever peers are installed."""
    found: list[Case] = []
    torchjd = _installed("torchjd.aggregation")
    quadprog = _installed("quadprog")
    goals: dict[str, dict[int, tuple[float, float]]] = {  # program -> K -> (single, batch) ratio over TorchJD
        "min_norm": {2: (30, 10_000), 3: (20, 3000), 5: (20, 1000), 10: (10, 300), 20: (10, 80), 40: (10, 0)}
        if not fast.installed()
        else {2: (100, 10_000), 3: (50, 3000), 5: (50, 1000), 10: (20, 300), 20: (10, 80), 40: (10, 0)},
        "upgrad": {2: (3, 200), 3: (3, 100), 5: (3, 40), 10: (3, 0)},
        "dualproj": {2: (7, 0), 3: (7, 0), 5: (7, 0), 10: (7, 0), 20: (7, 0)},
        "cagrad": {2: (20, 250), 3: (20, 250), 5: (20, 250), 10: (20, 250), 20: (20, 0)},
        "nash": {2: (500, 5000), 3: (500, 5000), 5: (500, 5000), 10: (500, 5000)},
    }
    ours: dict[str, Solve] = {
        "min_norm": solvers.min_norm,
        "upgrad": solvers.upgrad,
        "dualproj": solvers.dualproj,
        "cagrad": lambda G: solvers.cagrad(G, 0.4),
        "nash": solvers.nash,
    }
    for program, sizes in goals.items():
        for tasks, (single, batched) in sizes.items():
            if torchjd is not None:
                theirs = _torchjd(torchjd, program, tasks)
                found.append(Case(program, tasks, 1, "torchjd", ours[program], theirs, single))
                if batched:
                    found.append(Case(program, tasks, batch, "torchjd", ours[program], theirs, batched))
    for tasks in (2, 3, 5, 10):
        found.append(Case("min_norm", tasks, 1, "cvxpy", solvers.min_norm, _cvxpy(tasks), 0))
        if quadprog is not None:
            theirs = _quadprog(quadprog)
            found.append(Case("min_norm", tasks, 1, "quadprog", solvers.min_norm, theirs, fast.installed() and tasks <= 5))
            found.append(Case("min_norm", tasks, batch, "quadprog", solvers.min_norm, theirs, 1))
    return found


def measure(case: Case, rounds: int) -> tuple[float, float, Array, float]:
    """Median seconds a problem of ours and of theirs, the rounds' ratios, and our worst relative gap."""
    G = problems(case.tasks, case.batch if case.batch > 1 else 8)
    singles = list(G[: LOOP if case.batch > 1 else 8])
    gap = _worst_gap(case, G)

    def ours() -> None:
        if case.batch > 1:
            case.ours(G)
        else:
            for one in singles:
                case.ours(one)

    def theirs() -> None:
        for one in singles:
            case.theirs(one)

    mine, peers = [], []
    for turn in range(rounds + 1):
        a, b = _seconds(ours) / (case.batch if case.batch > 1 else len(singles)), _seconds(theirs) / len(singles)
        if turn:  # the first round warms up
            mine.append(a)
            peers.append(b)
    return float(np.median(mine)), float(np.median(peers)), np.array(peers) / np.array(mine), gap


Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--only", default="", help="programs to measure, separated by commas")
    parser.add_argument("--torch-only", action="store_true", help="without the compiled programs, though Numba be installed")
    arguments = parser.parse_args()
    if arguments.torch_only:
        vars(fast)["installed"] = bool  # which is False when called without an argument
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    code = "compiled" if fast.installed() else "torch and NumPy alone"
    machine = platform.processor() or platform.machine()
    print(f"{machine}, one thread, torch {torch.__version__}, {code}, {arguments.rounds} rounds\n")
    print("| program | K | batch | ours, us a problem | peer | its us | ratio [90 %] | target | met | worst relative gap |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    wanted = arguments.only.split(",") if arguments.only else []
    for case in cases(arguments.batch):
        if wanted and case.program not in wanted:
            continue
        mine, peer, ratios, gap = measure(case, arguments.rounds)
        low, high = _interval(ratios)
        met = "" if not case.target else ("yes" if high >= case.target else "no")
        print(
            f"| {case.program} | {case.tasks} | {case.batch} | {1e6 * mine:.3g} | {case.peer} | {1e6 * peer:.4g} "
            f"| {np.median(ratios):.3g} [{low:.3g}, {high:.3g}] | {case.target:g} | {met} | {gap:.0e} |",
            flush=True,
        )


def _seconds(run: Callable[[], None]) -> float:
    """Seconds of one call, which is repeated until the block lasts."""
    count, start = 0, time.perf_counter()
    while True:
        run()
        count += 1
        passed = time.perf_counter() - start
        if passed >= SPAN:
            return passed / count


def _interval(ratios: Array) -> tuple[float, float]:
    """90 % bootstrap interval of the median."""
    drawn = np.random.default_rng(0).choice(ratios, size=(2000, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.05, 0.95])
    return float(low), float(high)


def _worst_gap(case: Case, G: Tensor) -> float:
    solution = case.ours(G)
    assert isinstance(solution, solvers.Solution)
    relative = solution.gap if case.program == "nash" else solution.gap / G.diagonal(dim1=-2, dim2=-1).mean(dim=-1)
    return float(relative[solution.converged].max())


def _installed(name: str) -> object | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name.split('.')[0]} is not installed: its lines are left out")
        return None


def _torchjd(aggregation: object, program: str, tasks: int) -> Solve:
    """TorchJD's weighting of the same rule with its default settings; Nash has an aggregator only, and gets the rows."""
    if program == "nash":
        aggregator = aggregation.NashMTL(n_tasks=tasks)  # type: ignore[attr-defined]

        def nash(G: Tensor) -> object:
            aggregator.reset()
            return aggregator(rows[id(G)] if id(G) in rows else rows.setdefault(id(G), torch.linalg.cholesky(G + ridge)))

        rows: dict[int, Tensor] = {}
        ridge = 1e-12 * torch.eye(tasks, dtype=torch.float64)
        return nash
    names = {
        "min_norm": "MGDAWeighting",
        "upgrad": "UPGradWeighting",
        "dualproj": "DualProjWeighting",
        "cagrad": "CAGradWeighting",
    }
    weighting = getattr(aggregation, names[program])
    solve: Solve = weighting(0.4) if program == "cagrad" else weighting()
    return solve


def _cvxpy(tasks: int) -> Solve:
    """One parametrised program, compiled once, as CVXPY recommends for repeated solves."""
    import cvxpy as cp

    root, w = cp.Parameter((tasks, tasks)), cp.Variable(tasks)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(root @ w)), [w >= 0, cp.sum(w) == 1])

    def solve(G: Tensor) -> object:
        values, vectors = np.linalg.eigh(G.numpy())
        root.value = np.sqrt(np.clip(values, 0, None))[:, None] * vectors.T
        problem.solve(solver=cp.CLARABEL)
        return torch.from_numpy(np.asarray(w.value))

    return solve


def _quadprog(quadprog: object) -> Solve:
    def solve(G: Tensor) -> object:
        K = G.shape[-1]
        H = G.numpy() / (float(G.trace()) / K) + 1e-12 * np.eye(K)
        constraints = np.vstack([np.ones(K), np.eye(K)]).T
        bounds = np.zeros(K + 1)
        bounds[0] = 1.0
        return torch.from_numpy(quadprog.solve_qp(H, np.zeros(K), constraints, bounds, meq=1)[0])  # type: ignore[attr-defined]

    return solve


if __name__ == "__main__":
    main()
