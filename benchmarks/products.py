"""Products with the Gramian against exact engines, at equal processor time: MGDA on many regression tasks with one trunk.

    python -m benchmarks.products [--seconds 10] [--seeds 2] [--decades 3 --batch 2048]

Targets are those of a random teacher: one shared layer and K read-outs, whose scales span some decades: the more they do, the
fewer tasks are active in MGDA's weights. A batch of 2048 is all the data, so that weights move slowly.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.side_by_side import machine
from moo_mtl import Balancer, certify, rules
from moo_mtl.engines import looped
from moo_mtl.gramian import gramian


class Case:
    """A student of one teacher, and its data."""

    def __init__(self, n_tasks: int, seed: int, decades: float) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(2048, 64, generator=generator)
        features = torch.tanh(self.x @ torch.randn(64, 48, generator=generator) / 8)
        scale = torch.logspace(-decades / 2, decades / 2, n_tasks)
        self.y = features @ torch.randn(48, n_tasks, generator=generator) / 7 * scale
        torch.manual_seed(seed)
        self.trunk = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU())
        self.heads = nn.ModuleList(nn.Linear(256, 1) for _ in range(n_tasks))

    def losses(self, part: slice | Tensor) -> Tensor:
        z, y = self.trunk(self.x[part]), self.y[part]
        return torch.stack([(head(z).squeeze(-1) - y[:, k]).square().mean() for k, head in enumerate(self.heads)])


def run(
    engine: str, n_tasks: int, seed: int, seconds: float, decades: float, batch: int
) -> tuple[int, float, float, float, float]:
    """Steps taken, mean loss against that at the start in per cent, largest likewise, the certificate's upper bound, and the
    mean number of tasks with a hundredth of the weight or more.
    """
    case = Case(n_tasks, seed, decades)
    balancer = Balancer(rules.mgda(), case.trunk, engine=engine)
    optimizer = torch.optim.SGD((*case.trunk.parameters(), *case.heads.parameters()), lr=0.05, momentum=0.9)
    with torch.no_grad():
        first = case.losses(slice(None))
    batches = torch.Generator().manual_seed(seed)
    spent, steps, active = 0.0, 0, 0
    while spent < seconds:
        part = torch.randperm(len(case.x), generator=batches)[:batch]
        begin = time.process_time()
        report = balancer.backward(case.losses(part))
        optimizer.step()
        spent, steps = spent + time.process_time() - begin, steps + 1
        active += int((report.weights > 0.01).sum())
    values = case.losses(slice(None))
    rows = looped(values, list(case.trunk.parameters())).rows
    assert rows is not None
    share = values.detach() / first
    return steps, 100 * float(share.mean()), 100 * float(share.max()), float(certify(gramian(rows)).upper), active / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 10, 40])
    parser.add_argument("--decades", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}; {arguments.seconds:g} s of processor time each, mean of {arguments.seeds} seeds\n")
    print("| K | engine | steps | active tasks | mean loss left, % | largest loss left, % | distance to stationarity at most |")
    print("|---|---|---|---|---|---|---|")
    for n_tasks in arguments.tasks:
        for engine in ("gramian", "looped", "products"):
            setting = arguments.seconds, arguments.decades, arguments.batch
            found = np.mean([run(engine, n_tasks, seed, *setting) for seed in range(arguments.seeds)], axis=0)
            columns = (f"{found[0]:.0f}", f"{found[4]:.1f}", f"{found[1]:.1f}", f"{found[2]:.1f}", f"{found[3]:.2e}")
            print(f"| {n_tasks} | {engine} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
