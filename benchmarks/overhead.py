"""What a step costs besides its gradients: the rule, the checks, the report, and writing ``.grad``.

    python benchmarks/overhead.py

Time inside the engine and inside the weighted sum is taken out of each step; what is left is put in relation to the whole
iteration (forward pass, step, SGD).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from engines import Case
from side_by_side import machine

from moo_mtl import Balancer, rules
from moo_mtl.training import balancer as module
from moo_mtl.training.looking import Looking


class Clock:
    """Seconds spent inside the functions it wraps."""

    def __init__(self) -> None:
        self.inside = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.inside += time.perf_counter() - begin

        return timed


def share(model: str, n_tasks: int, name: str, clock: Clock, steps: int = 15) -> float:
    """Median share of the iteration, in per cent."""
    case = Case(model, n_tasks)
    balancer = Balancer(rules.get(name), case.trunk)
    shares = []
    for _ in range(steps):
        case.clear()
        first = time.perf_counter()
        _, losses = case.forward()
        stacked, clock.inside = torch.stack(losses), 0.0
        begin = time.perf_counter()
        balancer.backward(stacked)
        beside = time.perf_counter() - begin - clock.inside
        case.optimizer.step()
        shares.append(beside / (time.perf_counter() - first))
    return 100 * float(np.median(shares[3:]))


def main() -> None:
    torch.set_num_threads(1)
    clock = Clock()
    Looking.look = clock.around(Looking.look)  # type: ignore[method-assign]
    module.combined = clock.around(module.combined)  # type: ignore[attr-defined]
    print(f"{machine()}; per cent of an iteration of LeNet, batch 256\n")
    tasks = (2, 5, 10)
    print("| rule | " + " | ".join(f"K = {k}" for k in tasks) + " |\n|---|" + "---|" * len(tasks))
    for name in ("mgda", "upgrad", "cagrad", "nash-mtl", "db-mtl"):
        print(f"| {name} | " + " | ".join(f"{share('lenet', k, name, clock):.2f}" for k in tasks) + " |", flush=True)


if __name__ == "__main__":
    main()
