"""Time and memory of a step's per-task gradients: every engine and torchjd on the same models, as ratios to one backward pass.

    python benchmarks/engines.py [--models lenet mlp-32] [--tasks 2 10] [--memory]

A contender's call is what comes after the forward pass: gradients of K tasks, the weights of a fixed rule (MGDA),
`.grad` filled. The forward pass is made anew for each call and timed by itself, and the floor is one backward pass
of the summed loss.
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
from side_by_side import machine, ratio
from torch import Tensor, nn

from moo_mtl import Balancer, rules, solvers

MODELS = ("lenet", "mlp-256", "mlp-32", "resnet")
TASKS = (2, 5, 10, 40)
ENGINES = ("looped", "vmapped", "gramian", "features", "products", "auto")
BY_HAND = "LibMTL's loop"
PEERS = ("torchjd", "torchjd chunk=1", "torchjd autogram")


class Residual(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.skip = nn.Identity() if before == after else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.skip(x))


class Case:
    """A trunk with K heads and a batch."""

    def __init__(self, model: str, n_tasks: int) -> None:
        torch.manual_seed(0)
        if model == "lenet":
            self.trunk: nn.Module = nn.Sequential(
                nn.Conv2d(1, 10, 9), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(10, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                nn.Linear(500, 50), nn.ReLU(),
            )  # fmt: skip
            self.inputs, width = torch.randn(256, 1, 36, 36), 50
        elif model.startswith("mlp"):
            self.trunk = nn.Sequential(
                nn.Linear(256, 600), nn.ReLU(), nn.Linear(600, 600), nn.ReLU(), nn.Linear(600, 600), nn.ReLU()
            )
            self.inputs, width = torch.randn(int(model.split("-")[1]), 256), 600
        else:
            self.trunk = nn.Sequential(
                nn.Conv2d(3, 64, 3, 1, 1), nn.BatchNorm2d(64), nn.ReLU(), Residual(64, 64, 1), Residual(64, 128, 2),
                Residual(128, 256, 2), Residual(256, 256, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            )  # fmt: skip
            self.inputs, width = torch.randn(32, 3, 16, 16), 256
        self.heads = nn.ModuleList(nn.Linear(width, 10) for _ in range(n_tasks))
        self.optimizer = torch.optim.SGD((*self.trunk.parameters(), *self.heads.parameters()), lr=1e-4)
        self.labels = torch.randint(0, 10, (n_tasks, len(self.inputs)))

    def forward(self) -> tuple[Tensor, list[Tensor]]:
        z = self.trunk(self.inputs)
        pairs = zip(self.heads, self.labels, strict=True)
        return z, [nn.functional.cross_entropy(head(z), label) for head, label in pairs]

    def clear(self) -> None:
        for parameter in (*self.trunk.parameters(), *self.heads.parameters()):
            parameter.grad = None


def contender(name: str, case: Case) -> Callable[[Tensor, list[Tensor]], None]:
    """From the features and losses of a forward pass to filled gradients."""
    if name == "floor":
        return lambda z, losses: sum(losses).backward()
    if name in ENGINES:
        balancer = Balancer(rules.mgda(), case.trunk, engine=name, heads="raw")
        return lambda z, losses: balancer.backward(torch.stack(losses)) and None
    if name == BY_HAND:
        return lambda z, losses: _by_hand(case, losses)
    return _torchjd(name, case)


def _by_hand(case: Case, losses: list[Tensor]) -> None:
    """What LibMTL does (a backward pass per task, rows copied out of `.grad`), with this project's solver."""
    shared = list(case.trunk.parameters())
    rows = torch.zeros(len(losses), sum(p.numel() for p in shared))
    for task, loss in enumerate(losses):
        loss.backward(retain_graph=True)
        rows[task] = torch.cat([p.grad.reshape(-1) for p in shared])
        for p in shared:
            p.grad.zero_()
    weights = solvers.min_norm((rows @ rows.T).double()).weights.float()
    direction = weights @ rows
    for p, part in zip(shared, direction.split([p.numel() for p in shared]), strict=True):
        p.grad = part.view_as(p).clone()


def _torchjd(name: str, case: Case) -> Callable[[Tensor, list[Tensor]], None]:
    from torchjd.aggregation import MGDA
    from torchjd.autojac import jac_to_grad, mtl_backward

    if name == "torchjd autogram":
        from torchjd.aggregation import MGDAWeighting
        from torchjd.autogram import Engine

        engine, weighting = Engine(case.trunk, batch_dim=None), MGDAWeighting()

        def by_gramian(z: Tensor, losses: list[Tensor]) -> None:
            stacked = torch.stack(losses)
            stacked.backward(weighting(engine.compute_gramian(stacked)))

        return by_gramian
    chunk, aggregator = (1 if "chunk" in name else None), MGDA()

    def by_rows(z: Tensor, losses: list[Tensor]) -> None:
        mtl_backward(losses, features=z, parallel_chunk_size=chunk)
        jac_to_grad(case.trunk.parameters(), aggregator)

    return by_rows


def times(model: str, n_tasks: int, names: list[str], rounds: int) -> dict[str, np.ndarray | str]:
    """Seconds of one call and of the whole iteration around it (forward, call, SGD), ``[2, rounds]``, interleaved.

    A contender that raises is recorded with its error.
    """
    cases: dict[str, Case] = {}  # one each: hooks that a contender leaves on its model must slow down nobody else
    steps: dict[str, Callable[[Tensor, list[Tensor]], None]] = {}
    found: dict[str, list[tuple[float, float]]] = {}
    failed: dict[str, np.ndarray | str] = {}
    for name in names:
        case = cases[name] = Case(model, n_tasks)
        try:
            step = contender(name, case)
            for _ in range(2):
                case.clear()
                step(*case.forward())
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:70]}"
        else:
            steps[name], found[name] = step, []
    for _ in range(rounds):
        for name, step in steps.items():
            case, total, whole, calls = cases[name], 0.0, 0.0, 0
            while total < 0.02 or calls < 1:
                case.clear()
                first = time.perf_counter()
                z, losses = case.forward()
                begin = time.perf_counter()
                step(z, losses)
                total, calls = total + time.perf_counter() - begin, calls + 1
                case.optimizer.step()
                whole += time.perf_counter() - first
            found[name].append((total / calls, whole / calls))
    return failed | {name: np.array(values).T for name, values in found.items()}


def peak_memory(model: str, n_tasks: int, name: str) -> float:
    """Mebibytes that one forward pass and one call add to an idle model, in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", model, str(n_tasks), name]
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


def page(rounds: int, models: tuple[str, ...], tasks: tuple[int, ...]) -> str:
    """The tables of times as Markdown."""
    peers = list(PEERS) if importlib.util.find_spec("torchjd") else []
    names = ["floor", *ENGINES, BY_HAND, *peers]
    lines = [f"Measured on {machine()}.", "" if peers else "torchjd is not installed here, so its rows are missing.", ""]
    for model in models:
        columns: dict[str, list[str]] = {name: [] for name in names[1:]}
        columns |= {name: [] for name in _VERSUS if peers}
        for k in tasks:
            found = times(model, k, names, rounds)
            floor = np.asarray(found["floor"])[0]
            for name in names[1:]:
                value = found[name]
                columns[name].append(value if isinstance(value, str) else str(ratio(value[0], floor)))
            for name in _VERSUS if peers else ():
                columns[name].append(_versus(name, found, peers))
            print(f"{model} K={k} done", file=sys.stderr)
        lines += [f"### {model}", "", *_table("time / floor", tasks, columns), ""]
    return "\n".join(lines)


_VERSUS = ("**torchjd : auto**", "**best peer : auto**", "**whole iteration, torchjd : auto**")


def _versus(name: str, found: dict[str, np.ndarray | str], peers: list[str]) -> str:
    """How many times longer a peer takes than ``auto``, in the same rounds."""
    arrays = {who: value for who, value in found.items() if not isinstance(value, str)}
    if "torchjd" not in arrays:
        return "-"
    if "iteration" in name:
        return str(ratio(arrays["torchjd"][1], arrays["auto"][1]))
    if "best" in name:
        best = min(
            (arrays[who][0] for who in (*peers, BY_HAND) if who in arrays), key=lambda seconds: float(np.median(seconds))
        )
        return str(ratio(best, arrays["auto"][0]))
    return str(ratio(arrays["torchjd"][0], arrays["auto"][0]))


def memory_page(models: tuple[str, ...], tasks: tuple[int, ...]) -> str:
    """The table of peak memory as Markdown."""
    names = ["floor", *ENGINES, BY_HAND, *(PEERS if importlib.util.find_spec("torchjd") else ())]
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
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="three rounds, K = 2 and 10")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of times")
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.memory_of:
        model, n_tasks, name = arguments.memory_of
        print(_measure_memory(model, int(n_tasks), name))
        return
    models, tasks = tuple(arguments.models), (2, 10) if arguments.quick else tuple(arguments.tasks)
    print(memory_page(models, tasks) if arguments.memory else page(3 if arguments.quick else arguments.rounds, models, tasks))


if __name__ == "__main__":
    main()
