"""Time and memory of a step's per-task gradients, in backward passes: every engine, torchjd and LibMTL on the same models.

    python -m benchmarks.engines [--models lenet mlp-32] [--tasks 2 10] [--contenders auto torchjd] [--seconds 25] [--memory]

A contender's call is what comes after the forward pass: gradients of K tasks, the weights of a fixed rule (MGDA),
`.grad` filled. The forward pass is made anew for each call and timed by itself, and the floor is one backward pass
of the summed loss. Times are of the processor, on one thread, so that what others do on the machine matters less.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.contenders import BY_HAND, ENGINES, MODELS, PEERS, PRODUCT, TASKS, Case, contender
from benchmarks.side_by_side import machine, ratio

CONTENDERS = (*ENGINES, PRODUCT, BY_HAND, *PEERS)
LONG = 8.0  # seconds: a contender that takes longer is timed once


def times(model: str, n_tasks: int, names: list[str], budget: float) -> dict[str, np.ndarray | str]:
    """Processor seconds of one call and of the whole iteration around it (forward, call, SGD), ``[2, rounds]``, interleaved.

    As many rounds as ``budget`` seconds hold, from 3 to 9. A contender that raises is recorded with its error, and one whose
    call is ``LONG`` with that one call.
    """
    cases: dict[str, Case] = {}  # one each: hooks that a contender leaves on its model must slow down nobody else
    steps: dict[str, Callable[[Tensor, list[Tensor]], None]] = {}
    found: dict[str, list[tuple[float, float]]] = {}
    failed: dict[str, np.ndarray | str] = {}
    for name in names:
        case = cases[name] = Case(model, n_tasks)
        try:
            step = contender(name, case)
            once = [iteration(case, step) for _ in range(2 if model != "resnet" else 1)][-1]
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:70]}"
            continue
        if once[0] > LONG:
            failed[name] = np.array([once]).T
        else:
            steps[name], found[name] = step, []
    begin, rounds = time.process_time(), 0
    while rounds < 3 or (rounds < 9 and time.process_time() - begin < budget):
        for name, step in steps.items():
            calls = [iteration(cases[name], step)]
            while sum(call for call, _ in calls) < 0.02:
                calls.append(iteration(cases[name], step))
            found[name].append(tuple(np.mean(calls, axis=0)))
        rounds += 1
    return failed | {name: np.array(values).T for name, values in found.items()}


def iteration(case: Case, step: Callable[[Tensor, list[Tensor]], None]) -> tuple[float, float]:
    case.clear()
    first = time.process_time()
    z, losses = case.forward()
    begin = time.process_time()
    step(z, losses)
    end = time.process_time()
    case.optimizer.step()
    return end - begin, time.process_time() - first


def peak_memory(model: str, n_tasks: int, name: str) -> float:
    """Mebibytes that one forward pass and one call add to an idle model, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.engines", "--memory-of", model, str(n_tasks), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(done.stdout.split()[-1]) if done.returncode == 0 else float("nan")


def _measure_memory(model: str, n_tasks: int, name: str) -> float:
    small = Case("mlp-32", n_tasks)  # as many tasks, because solvers import other packages for more
    contender(name, small)(*small.forward())  # imports and first-call buffers are not the step's
    del small
    case = Case(model, n_tasks)
    step = contender(name, case)
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the high-water mark begins anew
    before = _status("VmRSS")
    step(*case.forward())
    return (_status("VmHWM") - before) / 1024


def _status(entry: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(entry))


def page(budget: float, models: tuple[str, ...], tasks: tuple[int, ...], chosen: Sequence[str] = CONTENDERS) -> str:
    """The tables of times as Markdown."""
    peers = [name for name in _installed() if name in chosen]
    names = ["floor", *(name for name in chosen if name not in PEERS), *peers]
    missing = sorted({name.split()[0] for name in PEERS if name in chosen} - {name.split()[0] for name in peers})
    lines = [f"Measured on {machine()}.", f"Not installed: {', '.join(missing)}." if missing else "", ""]
    for model in models:
        columns: dict[str, list[str]] = {name: [] for name in names[1:]}
        columns |= {name: [] for name in _VERSUS if peers}
        for k in tasks:
            found = times(model, k, names, budget)
            floor = np.asarray(found["floor"])[0]
            for name in names[1:]:
                value = found[name]
                columns[name].append(value if isinstance(value, str) else _cell(value[0], floor))
            for name in _VERSUS if peers else ():
                columns[name].append(_versus(name, found, peers))
            print(f"{model} K={k} done, {len(floor)} rounds, {time.process_time():.0f} s in all", file=sys.stderr)
        lines += [f"### {model}", "", *_table("time / floor", tasks, columns), ""]
    return "\n".join(lines)


def _installed() -> list[str]:
    installed = {package: importlib.util.find_spec(package) is not None for package in ("LibMTL", "torchjd")}
    return [name for name in PEERS if installed[name.split()[0]]]


def _cell(seconds: np.ndarray, floor: np.ndarray) -> str:
    return (
        str(ratio(seconds, floor)) if len(seconds) == len(floor) else f"{seconds[0] / float(np.median(floor)):.3g} (one call)"
    )


_VERSUS = ("**torchjd : auto**", "**best peer : auto**", "**whole iteration, torchjd : auto**")


def _versus(name: str, found: dict[str, np.ndarray | str], peers: list[str]) -> str:
    """How many times longer a peer takes than ``auto``, in the same rounds."""
    arrays = {who: value for who, value in found.items() if not isinstance(value, str)}
    if "torchjd" not in arrays or "auto" not in arrays:
        return "-"
    if "iteration" in name:
        return _cell(arrays["torchjd"][1], arrays["auto"][1])
    if "best" in name:
        best = min(
            (arrays[who][0] for who in (*peers, BY_HAND) if who in arrays), key=lambda seconds: float(np.median(seconds))
        )
        return _cell(best, arrays["auto"][0])
    return _cell(arrays["torchjd"][0], arrays["auto"][0])


def memory_page(models: tuple[str, ...], tasks: tuple[int, ...]) -> str:
    """The table of peak memory as Markdown."""
    names = ["floor", "looped", "gramian", "auto", "torchjd"]
    cells = [(model, k) for model in models for k in tasks]
    columns = {name: [f"{peak_memory(model, k, name):.1f}" for model, k in cells] for name in names}
    return "\n".join(_table("peak MiB over idle", [f"{model}, {k}" for model, k in cells], columns))


def _table(corner: str, heads: Sequence[object], columns: dict[str, list[str]]) -> list[str]:
    lines = [f"| {corner} | " + " | ".join(head if isinstance(head, str) else f"K = {head}" for head in heads) + " |"]
    lines.append("|---|" + "---|" * len(heads))
    return lines + [f"| {name} | " + " | ".join(row) + " |" for name, row in columns.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--tasks", nargs="+", type=int, default=list(TASKS))
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--seconds", type=float, default=25.0, help="of the processor for each model and K, warm-up apart")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of times")
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.memory_of:
        model, n_tasks, name = arguments.memory_of
        print(_measure_memory(model, int(n_tasks), name))
        return
    models, tasks = tuple(arguments.models), tuple(arguments.tasks)
    print(memory_page(models, tasks) if arguments.memory else page(arguments.seconds, models, tasks, arguments.contenders))


if __name__ == "__main__":
    main()
