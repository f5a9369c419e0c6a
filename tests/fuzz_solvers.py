"""Random Gramians of every kind against every solver: ``python -m tests.fuzz_solvers --cases 1000000``.

A batch mixes ranks from 0 to K, lengths over many decades, units from 1e-290 to 1e290, duplicates, opposite pairs, zero
rows, and denormal entries. What must hold for each member is checked on the whole batch: nothing is raised, no weight is NaN
unless an entry of the Gramian is not finite, ``converged`` comes with its proof (``tests/solver_laws.py``), and a poisoned
neighbour changes nothing. A member of each batch is solved by itself as well, and some with absent tasks.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl import solvers
from moo_mtl.solvers import Solution
from tests.solver_laws import ALPHA, COSINE, RADIUS, broken_laws

LARGEST, SMALLEST = 1e290, 1e-290  # of a Gramian's entries; beyond, a member counts as not finite or as zero
ENTRIES = 1_000_000  # of a batch of Gramians
SOLVERS: dict[str, Callable[..., Solution]] = {
    "min_norm": solvers.min_norm,
    "dualproj": solvers.dualproj,
    "upgrad": solvers.upgrad,
    "nash": solvers.nash,
    "fairgrad": partial(solvers.fairgrad, alpha=ALPHA),
    "cagrad": partial(solvers.cagrad, c=RADIUS),
    "conicgrad": partial(solvers.conicgrad, c=COSINE),
    "aligned": solvers.aligned,
    "config": solvers.config,
    "imtl_g": solvers.imtl_g,
}


class Tally(NamedTuple):
    """Members tried, members that said they did not converge, and sentences about broken laws."""

    cases: int
    unconverged: int
    broken: list[str]


def rows(generator: torch.Generator, batch: int, tasks: int) -> Tensor:
    """Gradients ``[B, K, K]`` of a random kind each, of length about 1 at most."""
    kind = torch.randint(0, 8, (batch,), generator=generator)
    J = torch.randn(batch, tasks, tasks, generator=generator, dtype=torch.float64)
    rank = torch.randint(0, tasks + 1, (batch, 1, 1), generator=generator)
    J = torch.where((kind == 1)[:, None, None] & (torch.arange(tasks) >= rank), 0.0, J)
    spread = torch.rand(batch, tasks, 1, generator=generator, dtype=torch.float64)
    J = torch.where((kind == 2)[:, None, None], J * 10 ** (-12 * spread), J)
    other = J[:, torch.randperm(tasks, generator=generator)]
    J = torch.where((kind == 3)[:, None, None], torch.cat([J[:, :1], J[:, :-1]], dim=1), J)  # neighbours equal their neighbours
    J = torch.where((kind == 4)[:, None, None], torch.where(spread < 0.5, -other, J), J)  # opposite pairs
    J = torch.where((kind == 5)[:, None, None], torch.where(spread < 0.4, 0.0, J), J)
    J = torch.where((kind == 6)[:, None, None], J - J.mean(dim=1, keepdim=True), J)  # the hull holds 0
    return torch.where((kind == 7)[:, None, None], J[:, :1] + 1e-7 * J, J)  # near-duplicates


def gramians(generator: torch.Generator, batch: int, tasks: int) -> Tensor:
    """Gramians ``[B, K, K]`` in units from ``SMALLEST`` to ``LARGEST``."""
    J = rows(generator, batch, tasks)
    G = J @ J.mT
    G = (G + G.mT) / 2
    largest = G.diagonal(dim1=-2, dim2=-1).amax(dim=-1).clamp(min=1e-30)
    exponent = (torch.rand(batch, generator=generator, dtype=torch.float64) - 0.5) * 2 * 289
    plain = torch.rand(batch, generator=generator) < 0.3
    return G / largest[:, None, None] * (10 ** torch.where(plain, 0.0, exponent))[:, None, None]


def with_absent_tasks(name: str, G: Tensor, generator: torch.Generator) -> list[str]:
    """Absent tasks have weight 0, and the others' weights obey the laws of the Gramian without them."""
    present = torch.rand(G.shape[-1], generator=generator) < 0.7
    present[0] = True
    solution = SOLVERS[name](G, present=present)
    left = G[:, present][:, :, present]
    found = broken_laws(name, left, solution._replace(weights=solution.weights[:, present]))
    return found + ([f"{name}: an absent task has a weight"] if bool((solution.weights[:, ~present] != 0).any()) else [])


def poisoned(name: str, G: Tensor, solution: Solution, at: int, value: float) -> list[str]:
    """With one entry not finite, its member is marked, and all others keep their weights to 1e-12."""
    spoilt = G.clone()
    spoilt[at, 0, -1] = value
    again = SOLVERS[name](spoilt)
    others = torch.arange(len(G)) != at
    found = []
    if bool(again.converged[at]) or not bool(again.weights[at].isnan().all()):
        found.append(f"{name}: a member with the entry {value} passes for solved")
    before, after = solution.weights[others], again.weights[others]
    if before.numel() and not bool(((before - after).abs() <= 1e-12 * before.abs().amax(dim=-1, keepdim=True)).all()):
        found.append(f"{name}: a member with the entry {value} changes its neighbours' weights")
    return found


def fuzz(name: str, cases: int, seed: int = 0, smallest: int = 1, largest: int = 12, batch: int = 4096) -> Tally:
    """Batches of random numbers of tasks, the smaller the larger they are, until so many members were solved."""
    generator, done, lost, broken = torch.Generator().manual_seed(seed), 0, 0, []
    while done < cases and len(broken) < 5:
        tasks = int(torch.randint(smallest, largest + 1, (), generator=generator))
        G = gramians(generator, min(batch, cases - done, max(1, cases // 8), max(1, ENTRIES // tasks**2)), tasks)
        solution = SOLVERS[name](G)
        broken += broken_laws(name, G, solution)
        if done == 0 or tasks <= 120:  # each by itself takes other code, and the whole batch's time again
            broken += broken_laws(name, G[:1], Solution(*(field.unsqueeze(0) for field in SOLVERS[name](G[0]))))
            broken += with_absent_tasks(name, G[:64], generator)
        value = (float("nan"), float("inf"), -float("inf"))[done % 3]
        broken += poisoned(name, G[:64], SOLVERS[name](G[:64]), done % min(64, len(G)), value)
        done, lost = done + len(G), lost + int((~solution.converged).sum())
    return Tally(done, lost, broken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smallest", type=int, default=1, help="tasks, at least")
    parser.add_argument("--largest", type=int, default=12, help="tasks, at most")
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--solvers", nargs="+", choices=SOLVERS, default=list(SOLVERS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    wrong: Counter[str] = Counter()
    print("| solver | cases | did not converge | laws broken | seconds |\n|---|---|---|---|---|")
    for name in arguments.solvers:
        begin = time.perf_counter()
        tally = fuzz(name, arguments.cases, arguments.seed, arguments.smallest, arguments.largest, arguments.batch)
        wrong[name] = len(tally.broken)
        seconds = time.perf_counter() - begin
        print(f"| {name} | {tally.cases:,} | {tally.unconverged:,} | {len(tally.broken)} | {seconds:.0f} |", flush=True)
        for sentence in tally.broken:
            print(sentence[:1500], file=sys.stderr)
    sys.exit(1 if sum(wrong.values()) else 0)


if __name__ == "__main__":
    main()
