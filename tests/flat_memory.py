"""Memory over many steps of a rule is flat, or something is kept at each: ``python -m tests.flat_memory --steps 100000``."""

from __future__ import annotations

import argparse
import gc
from pathlib import Path

import torch
from torch import Tensor, nn

from moo_mtl import Balancer, Needs, rules
from moo_mtl.properties import stateless
from moo_mtl.rules import ZOO

STATEFUL = [name for name in ZOO if stateless not in ZOO[name].holds]
FIRST = 200  # steps after which nothing should be added


def resident() -> float:
    """Memory of this process, MiB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def tensors() -> int:
    """Tensors alive."""
    gc.collect()
    return sum(type(thing) in (Tensor, nn.Parameter) for thing in gc.get_objects())


def measured(name: str, steps: int) -> tuple[int, int, float]:
    """Tensors alive after the first steps, those more at the end, and the growth in MiB.

    Two parameters, so that a graph or a tensor kept at each step would show: 100,000 of them take 50 MiB at the least. A
    population has two members.
    """
    rule = rules.get(name)
    x = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    if Needs.POPULATION in rule.needs:
        x = nn.Parameter(torch.tensor([[1.0, -2.0], [-1.0, 1.0]], dtype=torch.float64))
    preference = torch.tensor([0.3, 0.7], dtype=torch.float64) if Needs.PREFERENCE in rule.needs else None
    balancer, sgd = Balancer(rule, [x]), torch.optim.SGD([x], lr=1e-4)

    def losses() -> Tensor:
        return torch.stack([(x - 1).square().sum(dim=-1) + 1, (x + 1).square().sum(dim=-1) + 1], dim=-1)

    def train(number: int) -> None:
        for _ in range(number):
            sgd.zero_grad()
            balancer.backward(losses(), independent=(losses(),) if Needs.CROSS in rule.needs else (), preference=preference)
            sgd.step()
            balancer.observe(losses().detach())

    train(FIRST)
    alive, before = tensors(), resident()
    train(steps)
    return alive, tensors() - alive, resident() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--rules", nargs="+", default=STATEFUL)
    arguments = parser.parse_args()
    print("| rule | tensors alive | more after the steps | MiB more |\n|---|---|---|---|")
    for name in arguments.rules:
        alive, more, grown = measured(name, arguments.steps)
        print(f"| {name} | {alive} | {more} | {grown:.2f} |", flush=True)


if __name__ == "__main__":
    main()
