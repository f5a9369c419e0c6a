"""Memory over many steps is flat, or something is kept at each: ``python -m tests.flat_memory --steps 100000``.

A loop is looked at after its first steps and at the end: the tensors alive, the memory of the process, and with ``--python``,
for few steps because it makes them slow, the bytes that Python holds.
"""

from __future__ import annotations

import argparse
import gc
import re
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from moo_mtl import Balancer, Needs, Task, Trainer, problems, rules, trace
from moo_mtl.engines import ENGINES
from moo_mtl.errors import NonFiniteError
from moo_mtl.models import MultiHead, Stack
from moo_mtl.properties import stateless
from moo_mtl.rules import ZOO
from moo_mtl.training.report import StepReport

STATEFUL = [name for name in ZOO if stateless not in ZOO[name].holds]
SCALER = torch.amp.GradScaler("cpu", init_scale=1.0)
FIRST = 300  # steps after which nothing should be added

Loop = Callable[[Iterator[int]], object]  # takes one step for each number that it draws


class Memory(NamedTuple):
    """Tensors alive, MiB of this process, and bytes that Python holds where they are traced."""

    tensors: int
    private: float
    python: int

    @classmethod
    def now(cls) -> Memory:
        gc.collect()
        alive = sum(type(thing) in (Tensor, nn.Parameter) for thing in gc.get_objects())
        lines = [line.split() for line in Path("/proc/self/status").read_text().splitlines()]
        private = sum(int(line[1]) for line in lines if line[0] in ("RssAnon:", "VmSwap:"))  # no files: these come and go
        return cls(alive, private / 1024, tracemalloc.get_traced_memory()[0])

    def since(self, before: Memory) -> Memory:
        return Memory(self.tensors - before.tensors, self.private - before.private, self.python - before.python)


def grown(loop: Loop, steps: int) -> Memory:
    """What ``loop`` holds more after its first steps and ``steps`` others than after the first."""
    looks: list[Memory] = []

    def numbers() -> Iterator[int]:
        yield from range(FIRST)
        looks.append(Memory.now())
        yield from range(FIRST, FIRST + steps)
        looks.append(Memory.now())

    loop(numbers())
    first, last = looks
    return last.since(first)


class Tiny:
    """A dense trunk with a head for each task, in float64; for a population two of them. A step takes about a millisecond."""

    def __init__(self, n_tasks: int, population: bool = False) -> None:
        torch.manual_seed(0)
        self.names = tuple("abcd"[:n_tasks])
        networks = [MultiHead(self._trunk(), {name: nn.Linear(3, 1) for name in self.names}).double() for _ in range(2)]
        self.network: Any = Stack(networks) if population else networks[0]
        self.x = torch.randn(4, 3, dtype=torch.float64)
        self.y = dict(zip(self.names, torch.randn(n_tasks, 4, dtype=torch.float64), strict=True))

    @staticmethod
    def _trunk() -> nn.Module:
        return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 3))

    def losses(self, examples: slice = slice(None)) -> Tensor:
        """``[K]``, for a population ``[2, K]``; all above 1, because some rules take their logarithm."""
        found = self.network(self.x[examples])
        return torch.stack([(found[name] - y[examples]).square().mean(dim=-1) + 1 for name, y in self.y.items()], dim=-1)


Step = Callable[[Balancer, Tiny, Mapping[str, Any]], StepReport]


def whole(balancer: Balancer, tiny: Tiny, more: Mapping[str, Any]) -> StepReport:
    return balancer.backward(tiny.losses(), **more)


def in_parts(balancer: Balancer, tiny: Tiny, more: Mapping[str, Any]) -> StepReport:
    balancer.backward(tiny.losses(slice(2)), counts=2, accumulate=True, **more)
    return balancer.backward(tiny.losses(slice(2, 4)), counts=2, **more)


def scaled(balancer: Balancer, tiny: Tiny, more: Mapping[str, Any]) -> StepReport:
    return balancer.backward(tiny.losses(), scaler=SCALER, **more)


def spoilt(balancer: Balancer, tiny: Tiny, more: Mapping[str, Any]) -> StepReport:
    """A loss that is not finite, and then the step as it should be."""
    with suppress(NonFiniteError):
        balancer.backward(tiny.losses() * torch.tensor([1.0, torch.nan]), **more)
    return balancer.backward(tiny.losses(), **more)


def saved(balancer: Balancer, tiny: Tiny, more: Mapping[str, Any]) -> StepReport:
    report = balancer.backward(tiny.losses(), **more)
    balancer.load_state_dict(balancer.state_dict())
    return report


def by_balancer(name: str, numbers: Iterator[int], *, step: Step = whole, **options: Any) -> None:
    """The loop of somebody who has a Balancer, with all that any rule wants."""
    rule = rules.get(name)
    tiny = Tiny(max(2, ZOO[name].min_tasks), Needs.POPULATION in rule.needs)
    shared = tiny.network.shared_parameters()
    parts = {"gramian_of": shared[2:], "groups": [shared[:2], shared[2:]]}
    balancer = Balancer(rule, shared, **{key: parts.get(key, value) for key, value in options.items()})
    sgd = torch.optim.SGD(tiny.network.parameters(), lr=1e-4)
    preference = torch.linspace(1, 2, len(tiny.names), dtype=torch.float64)
    follows = {"preference": preference / preference.sum()} if Needs.PREFERENCE in rule.needs else {}
    for number in numbers:
        balancer.epoch = 1 + number // 100
        sgd.zero_grad()
        step(balancer, tiny, follows | ({"independent": (tiny.losses(),)} if Needs.CROSS in rule.needs else {}))
        sgd.step()
        if Needs.AFTER in rule.needs:
            balancer.observe(tiny.losses().detach())


class Batches:
    """A loader with a batch for each number, and one for whoever looks at it again."""

    def __init__(self, tiny: Tiny, numbers: Iterator[int]) -> None:
        self.batch, self.numbers = (tiny.x, tiny.y), numbers

    def __iter__(self) -> Iterator[Any]:
        yield self.batch
        for _ in self.numbers:
            yield self.batch


def by_trainer(name: str, numbers: Iterator[int], **options: Any) -> None:
    """One epoch of a Trainer."""
    tiny = Tiny(2)
    tasks = [Task(key, lambda output, y: (output - y).square().mean() + 1) for key in tiny.names]
    trainer = Trainer(tiny.network, tasks, rules.get(name), epochs=1, lr=1e-4, **options)
    trainer.fit(Batches(tiny, numbers))


def by_trace(name: str, numbers: Iterator[int]) -> None:
    """A trace, two steps for each number; the room for its records is there from the start."""
    problem = problems.get("two-task-toy")
    assert problem.starts is not None

    def progress(_: int) -> None:
        next(numbers)

    with suppress(StopIteration):  # the numbers end before the trace does
        trace(problem, rules.get(name), problem.starts, steps=400_000, lr=1e-4, record_every=2, progress=progress)


LOOPS: dict[str, Loop] = {
    **{f"mgda, engine {engine}": partial(by_balancer, "mgda", engine=engine) for engine in ENGINES},
    **{f"db-mtl, engine {engine}": partial(by_balancer, "db-mtl", engine=engine) for engine in ("looped", "vmapped")},
    **{f"{rule}, accumulate": partial(by_balancer, rule, step=in_parts) for rule in ("mgda", "db-mtl", "uw")},
    **{f"{rule}, every=5": partial(by_balancer, rule, every=5) for rule in ("mgda", "gradnorm")},
    **{f"{rule}, certify_every=1": partial(by_balancer, rule, certify_every=1) for rule in ("mgda", "uw")},
    "mgda, gramian_of": partial(by_balancer, "mgda", gramian_of=True),
    "mgda, groups": partial(by_balancer, "mgda", groups=True),
    "mgda, scaler": partial(by_balancer, "mgda", step=scaled),
    "mgda, losses refused": partial(by_balancer, "mgda", step=spoilt),
    "mgda, losses skipped": partial(by_balancer, "mgda", step=spoilt, nonfinite="skip"),
    "db-mtl, saved and loaded": partial(by_balancer, "db-mtl", step=saved),
    **{f"{rule}, Trainer": partial(by_trainer, rule) for rule in ("mgda", "famo", "modo", "db-mtl")},
    "mgda, Trainer with accumulate=2": partial(by_trainer, "mgda", accumulate=2),
    "mgda, trace": partial(by_trace, "mgda"),
}
LOOPS |= {name: partial(by_balancer, name) for name in ZOO}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--python", action="store_true", help="trace the memory that Python holds")
    parser.add_argument("--loops", default="stateful", help="a regular expression; or stateful")
    arguments = parser.parse_args()
    if arguments.python:
        tracemalloc.start()
    print("| loop | steps | tensors more | MiB more | bytes more in Python | us a step |\n|---|---|---|---|---|---|")
    for name, loop in LOOPS.items():
        if name in STATEFUL if arguments.loops == "stateful" else re.search(arguments.loops, name):
            started = time.process_time()
            more = grown(loop, arguments.steps)
            each = (time.process_time() - started) / (FIRST + arguments.steps) * 1e6
            held = f"{more.python}" if arguments.python else "-"
            print(f"| {name} | {arguments.steps:,} | {more.tensors} | {more.private:.2f} | {held} | {each:.0f} |", flush=True)


if __name__ == "__main__":
    main()
