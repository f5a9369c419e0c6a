"""A step's gradients on five kinds of network, as ratios to one backward pass: ``python -m benchmarks.steps``.

The rule is MGDA for everybody. ``docs/results/engines.md`` has every engine; here the one that is chosen (``auto``) stands
beside torchjd in its three ways and LibMTL's own class. Times are of the processor.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
import torch

from benchmarks.contenders import MODELS, PEERS, Case
from benchmarks.engines import iteration, peak_memory, times
from benchmarks.peers import available, libmtl_rule
from benchmarks.section import Section, Table, run
from benchmarks.side_by_side import machine, ratio
from moo_mtl import Balancer, rules

TASKS = (2, 10, 40)
RULES = ("equal", "db-mtl", "bmtl", "ema", "task-tensioner", "mgda", "upgrad", "cagrad", "nash-mtl", "pcgrad", "imtl-g")


def measure(quick: bool = False) -> Section:
    """Times of every model and K, peak memory at K = 10, and the rules' own cost on LeNet."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    models, tasks, budget = (("lenet", "mlp-32"), (10,), 4.0) if quick else (MODELS, TASKS, 8.0)
    peers = [name for name in PEERS if _there(name)]
    section = Section(
        "Steps",
        f"{machine()}. Time from losses to filled gradients over the time of one backward pass of their sum; the same network, "
        "batch and rule (MGDA) for everybody. An error stands where a peer cannot do it.",
    )
    speed = Table(["network", "K", "auto", *peers, "best peer over auto"])
    for model in models:
        for k in tasks:
            found = times(model, k, ["floor", "auto", *peers], budget)
            floor = np.asarray(found["floor"])[0]
            cells = [_cell(found[name], floor) for name in ("auto", *peers)]
            arrays = {name: found[name][0] for name in peers if not isinstance(found[name], str) and len(found[name][0]) > 1}
            best = min(arrays, key=lambda name: float(np.median(arrays[name])), default=None)
            lead = None if best is None else ratio(arrays[best], np.asarray(found["auto"])[0])
            speed.rows.append([model, str(k), *cells, "-" if lead is None else f"{lead}, {best}"])
            print(f"{model}, K = {k} done, {time.process_time():.0f} s in all", file=sys.stderr)
            if lead is not None and lead.high < 1:
                section.losses.append(f"{model}, K = {k}: {best} takes {lead} of the time.")
    memory = Table(["network", *(("floor", "auto", "torchjd") if "torchjd" in peers else ("floor", "auto"))])
    memory.caption = "Peak memory of forward pass and gradients at K = 10, MiB over the idle model, in processes of their own."
    for model in models:
        memory.rows.append([model, *(f"{peak_memory(model, 10, name):.1f}" for name in memory.header[1:])])
    section.tables = [speed, memory, _rules(budget)]
    return section


def _rules(budget: float) -> Table:
    """Whole iterations of LeNet with ten tasks, by rule, over those of the summed loss."""
    table = Table(["rule", "iteration over that of the plain sum"])
    table.caption = "Forward pass, step and SGD on LeNet with ten tasks, over the same with the sum of the losses."
    cases = {name: Case("lenet", 10) for name in ("sum", *RULES)}
    balancers = {name: Balancer(rules.get(name), cases[name].trunk) for name in RULES}
    steps = {"sum": lambda z, losses: sum(losses).backward()}
    steps |= {name: lambda z, losses, name=name: balancers[name].backward(torch.stack(losses)) for name in RULES}
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(4 if budget < 5 else 8):
        for name, step in steps.items():
            whole = iteration(cases[name], step)[1]
            if turn:
                taken[name].append(whole)
    for name in RULES:
        table.rows.append([name, str(ratio(np.array(taken[name]), np.array(taken["sum"])))])
    return table


def _cell(value: object, floor: np.ndarray) -> str:
    if isinstance(value, str):
        return value.replace("|", "\\|")
    seconds = np.asarray(value)[0]
    return (
        str(ratio(seconds, floor)) if len(seconds) == len(floor) else f"{seconds[0] / float(np.median(floor)):.3g} (one call)"
    )


def _there(name: str) -> bool:
    if name == "LibMTL":
        return libmtl_rule("MGDA") is not None
    return available("torchjd") is not None


if __name__ == "__main__":
    run(measure, __doc__)
