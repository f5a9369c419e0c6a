"""Every solver over sizes, geometries and batches, beside what TorchJD answers: ``python -m benchmarks.solver_grid``.

Time per problem, accuracy and failures. Accuracy is the relative duality gap of ours (Nash, FairGrad and the closed forms:
their own residual); a peer's answer is put to the same program, and what it lies above our value is its error. A batch of
ours is one call, cut to the problems that ``LONGEST`` seconds suffice for; a peer without batches is looped over a few of the
problems, and timed once where one takes longer than ``PATIENCE`` seconds.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers import available
from benchmarks.section import Section, Table, run
from benchmarks.side_by_side import machine, ratio, timed
from moo_mtl import solvers
from moo_mtl.solvers import Solution, fast

TASKS = (2, 3, 5, 10, 20, 40, 100)
BATCHES = (1, 100, 10_000)
LONGEST = 0.1
LOOP = 4  # problems that a peer is looped over, if that takes no longer
PATIENCE = 0.5  # seconds of a peer's call, above which it is timed once
GEOMETRIES = ("well-conditioned", "ill-conditioned", "near-duplicate")


def gramians(geometry: str, tasks: int, batch: int) -> Tensor:
    """Gramians ``[B, K, K]`` of normal rows, of lengths over six decades, or of rows that differ by a millionth in pairs."""
    generator = torch.Generator().manual_seed(tasks)
    rows = torch.randn(batch, tasks, tasks + 3, generator=generator, dtype=torch.float64)
    if geometry == "ill-conditioned":
        rows *= 10 ** torch.linspace(-3, 3, tasks, dtype=torch.float64).unsqueeze(-1)
    if geometry == "near-duplicate":
        half = tasks // 2
        rows[:, half : 2 * half] = rows[:, :half] + 1e-6 * rows[:, half : 2 * half]
    return rows @ rows.mT


@dataclass(frozen=True)
class Program:
    """A solver, TorchJD's weighting of the same rule, and the objective that weights are compared by, if there is one."""

    solve: Callable[[Tensor], Solution]
    torchjd: Callable[[object], Callable[[Tensor], Tensor]] | None = None
    value: Callable[[Tensor, Tensor], Tensor] | None = None


def _squared_norm(G: Tensor, w: Tensor) -> Tensor:
    return torch.einsum("...i,...ij,...j->...", w, G, w)


PROGRAMS: dict[str, Program] = {
    "min_norm": Program(solvers.min_norm, lambda peer: peer.MGDAWeighting(), _squared_norm),  # type: ignore[attr-defined]
    "dualproj": Program(solvers.dualproj, lambda peer: peer.DualProjWeighting(), _squared_norm),  # type: ignore[attr-defined]
    "upgrad": Program(solvers.upgrad, lambda peer: peer.UPGradWeighting(), _squared_norm),  # type: ignore[attr-defined]
    "nash": Program(solvers.nash),
    "fairgrad": Program(lambda G: solvers.fairgrad(G, 2.0), lambda peer: peer.FairGradWeighting(2.0)),  # type: ignore[attr-defined]
    "cagrad": Program(lambda G: solvers.cagrad(G, 0.4), lambda peer: peer.CAGradWeighting(0.4)),  # type: ignore[attr-defined]
    "conicgrad": Program(lambda G: solvers.conicgrad(G, 0.5)),
    "aligned": Program(solvers.aligned, lambda peer: peer.AlignedMTLWeighting()),  # type: ignore[attr-defined]
    "config": Program(solvers.config),
    "imtl_g": Program(solvers.imtl_g, lambda peer: peer.IMTLGWeighting()),  # type: ignore[attr-defined]
}


def measure(quick: bool = False) -> Section:
    """The grid; ``quick`` takes fewer sizes and rounds."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    tasks, batches, rounds = ((2, 5, 20), (1, 10_000), 3) if quick else (TASKS, BATCHES, 7)
    code = "compiled with Numba where there is a compiled program" if fast.installed() else "torch and NumPy alone"
    about = (
        f"{machine()}, {code}. Microseconds of processor time per problem, medians of {rounds} rounds in "
        "turn; *gap* is the worst of the batch, *failed* counts members that report `converged=False`; a ratio is TorchJD's "
        "time over ours with its 90 % interval; "
        f"a call of TorchJD's that lasts more than {PATIENCE:g} s is timed once."
    )
    section, peer = Section("Solvers", about), available("torchjd.aggregation")
    for name, program in PROGRAMS.items():
        table = Table(["K", "batch", "geometry", "us a problem", "gap", "failed", "TorchJD, us", "ratio", "TorchJD's error"])
        table.caption = f"**{name}**"
        for K in tasks:
            for batch in batches:
                for geometry in GEOMETRIES:
                    cells, slower = _cell(program, peer, geometry, K, batch, rounds)
                    table.rows.append(cells)
                    if slower:
                        section.losses.append(f"{name}, K = {K}, batch {batch}, {geometry}: TorchJD is {slower} times as fast.")
        section.tables.append(table)
        print(f"{name} done, {time.process_time():.0f} s in all", file=sys.stderr)
    return section


def _cell(program: Program, peer: object | None, geometry: str, K: int, batch: int, rounds: int) -> tuple[list[str], str]:
    """One line of a table, and by how much TorchJD is faster if it is."""
    sample = gramians(geometry, K, min(batch, 64, max(2, 20_000 // K**2)))
    program.solve(sample)
    begin = time.process_time()
    program.solve(sample)
    batch = min(batch, max(1, int(LONGEST * len(sample) / (time.process_time() - begin))))
    G = gramians(geometry, K, batch)
    one = G[0] if batch == 1 else G
    solution = program.solve(one)
    worst = solution.gap / (one.diagonal(dim1=-2, dim2=-1).mean(dim=-1) if program.value is not None else 1)
    finite = worst[worst.isfinite()]
    gap = f"{float(finite.max()):.0e}" if finite.numel() else "-"
    failed = int((~solution.converged).sum())
    contenders: dict[str, Callable[[], object]] = {"ours": lambda: program.solve(one)}
    theirs = None if peer is None or program.torchjd is None else program.torchjd(peer)
    few = list(G[:LOOP])
    try:
        if theirs is not None:
            theirs(torch.eye(2, dtype=G.dtype))  # whatever is imported at a first call
            begin = time.process_time()
            theirs(G[0])
            once = time.process_time() - begin
            few = few[: max(1, int(LONGEST / once))]
            if once < PATIENCE:
                contenders["torchjd"] = lambda: [theirs(G) for G in few]
        seconds = timed(contenders, rounds=rounds, at_least=0.005, clock=time.process_time)
        if theirs is not None:
            seconds.setdefault("torchjd", np.full(rounds, once))
    except Exception as error:  # a peer that breaks on a problem is a line of the table
        seconds = timed({"ours": contenders["ours"]}, rounds=rounds, at_least=0.005, clock=time.process_time)
        cells = ["-", type(error).__name__, "-"]
        return [str(K), str(batch), geometry, f"{1e6 * np.median(seconds['ours']) / batch:.3g}", gap, str(failed), *cells], ""
    mine = seconds["ours"] / batch
    line = [str(K), str(batch), geometry, f"{1e6 * np.median(mine):.3g}", gap, str(failed)]
    if theirs is None:
        return [*line, "-", "-", "-"], ""
    other = seconds["torchjd"] / len(few)
    found = ratio(other, mine)
    slower = f"{1 / found.median:.2g}" if found.high < 1 else ""
    return [*line, f"{1e6 * np.median(other):.4g}", str(found), _error(program, few, theirs)], slower


def _error(program: Program, few: list[Tensor], theirs: Callable[[Tensor], Tensor]) -> str:
    """What TorchJD's weights lie from ours: above our value relative to trace G / K, or in the direction, relative."""
    errors = []
    for G in few:
        ours, other = program.solve(G).weights, theirs(G).double()
        if program.value is not None:
            errors.append(float((program.value(G, other) - program.value(G, ours)).abs() / (G.trace() / len(G))))
        else:
            a, b = (w / _squared_norm(G, w).clamp(min=1e-300).sqrt() for w in (ours, other))
            errors.append(float(_squared_norm(G, a - b).clamp(min=0).sqrt()))
    return f"{max(errors):.0e}"


if __name__ == "__main__":
    run(measure, __doc__)
