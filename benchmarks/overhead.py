"""What a step costs besides its gradients: the rule itself, and with it the checks, the report, and writing ``.grad``.

    python -m benchmarks.overhead [--rules mgda upgrad]

Time inside the engine and inside the weighted sum is taken out of each step; what is left is put in relation to the whole
iteration (forward pass, step, SGD). Times are of the processor, on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.contenders import Case
from benchmarks.side_by_side import machine
from moo_mtl import Balancer, rules
from moo_mtl.training import step as module
from moo_mtl.training.looking import Looking

RULES = (
    "db-mtl", "bmtl", "ema", "task-tensioner",
    "mgda", "upgrad", "cagrad", "nash-mtl", "aligned-mtl", "imtl-g", "pcgrad", "gradnorm",
)  # fmt: skip


class Clock:
    """Seconds spent inside the functions it wraps."""

    def __init__(self) -> None:
        self.inside = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.inside += time.process_time() - begin

        return timed


def share(n_tasks: int, name: str, gradients: Clock, rule: Clock, steps: int = 9) -> str:
    """Median shares of an iteration of LeNet, in per cent: of the rule, and of all that is no gradient."""
    case = Case("lenet", n_tasks)
    balancer = Balancer(rules.get(name), case.trunk)
    shares = []
    for _ in range(steps):
        case.clear()
        first = time.process_time()
        _, losses = case.forward()
        stacked, gradients.inside, rule.inside = torch.stack(losses), 0.0, 0.0
        begin = time.process_time()
        balancer.backward(stacked)
        beside = time.process_time() - begin - gradients.inside
        case.optimizer.step()
        whole = time.process_time() - first
        shares.append((100 * rule.inside / whole, 100 * beside / whole))
    alone, everything = np.median(shares[3:], axis=0)
    return f"{alone:.2f} / {everything:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rules", nargs="+", default=list(RULES))
    chosen = parser.parse_args().rules
    torch.set_num_threads(1)
    gradients, rule = Clock(), Clock()
    Looking.look = gradients.around(Looking.look)  # type: ignore[method-assign]
    module.one_pass = gradients.around(module.one_pass)  # type: ignore[attr-defined]
    module.combined = gradients.around(module.combined)  # type: ignore[attr-defined]
    module.ask = rule.around(module.ask)  # type: ignore[attr-defined]
    print(f"{machine()}; per cent of an iteration of LeNet, batch 256: the rule / all that is no gradient\n")
    tasks = (2, 10, 40)
    print("| rule | " + " | ".join(f"K = {k}" for k in tasks) + " |\n|---|" + "---|" * len(tasks))
    for name in chosen:
        print(f"| {name} | " + " | ".join(share(k, name, gradients, rule) for k in tasks) + " |", flush=True)


if __name__ == "__main__":
    main()
