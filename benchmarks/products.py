"""Products with the Gramian against exact engines, at equal processor time, on many regression tasks with one trunk.

    python -m benchmarks.products [--seconds 10] [--seeds 2] [--settings few-active-40 ...]

Targets are those of a random teacher: one shared layer and K read-outs, whose scales span some decades: the more they do, the
fewer tasks are active in MGDA's weights. DualProj's active tasks are those that the mean gradient would let rise. Delta_m is
the mean over tasks of the loss at the end relative to that of the exact engine, less 1: negative where products are ahead.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.side_by_side import machine
from moo_mtl import Balancer, certify, rules
from moo_mtl.engines import ENGINES, Look, looped
from moo_mtl.engines.products import products
from moo_mtl.gramian import gramian


class Setting(NamedTuple):
    """A problem: rule, number of tasks, trunk, decades of the tasks' scales, and the batch."""

    rule: str
    n_tasks: int
    trunk: str = "dense"
    decades: float = 1.0
    batch: int = 128


SETTINGS = {
    "dense-2": Setting("mgda", 2),
    "dense-10": Setting("mgda", 10),
    "dense-40": Setting("mgda", 40),
    "convolutions-40": Setting("mgda", 40, "convolutions"),
    "few-active-40": Setting("mgda", 40, "convolutions", 4.0),
    "dualproj-40": Setting("dualproj", 40, "convolutions"),
    "cagrad-40": Setting("cagrad", 40, "convolutions"),
}


class Case:
    """A student of one teacher, and its data."""

    def __init__(self, setting: Setting, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(2048, 256, generator=generator)
        hidden = torch.tanh(x @ torch.randn(256, 48, generator=generator) / 16)
        scale = torch.logspace(-setting.decades / 2, setting.decades / 2, setting.n_tasks)
        self.y = hidden @ torch.randn(48, setting.n_tasks, generator=generator) / 7 * scale
        torch.manual_seed(seed)
        if setting.trunk == "dense":
            self.x, self.trunk = x, nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU())
        else:
            self.x = x.view(-1, 1, 16, 16)
            self.trunk = nn.Sequential(
                nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 256), nn.ReLU(),
            )  # fmt: skip
        self.heads = nn.ModuleList(nn.Linear(256, 1) for _ in range(setting.n_tasks))

    def losses(self, part: slice | Tensor) -> Tensor:
        z, y = self.trunk(self.x[part]), self.y[part]
        return torch.stack([(head(z).squeeze(-1) - y[:, k]).square().mean() for k, head in enumerate(self.heads)])


class Result(NamedTuple):
    """What one run came to.

    Attributes:
        steps: taken.
        products: asked for in a step, on average.
        active: tasks with a hundredth of MGDA's weight or more, or with that much above 1 / K for the others, on average.
        losses: of all data, ``[K]``, at the end.
        left: mean of the losses over those at the start, in per cent.
        upper: bound on the distance to stationarity.
    """

    steps: int
    products: float
    active: float
    losses: Tensor
    left: float
    upper: float


def run(engine: str, setting: Setting, seed: int, seconds: float) -> Result:
    """SGD with the setting's rule for so many seconds of the processor."""
    case, asked = Case(setting, seed), _counted()
    balancer = Balancer(rules.get(setting.rule), case.trunk, engine=engine)
    optimizer = torch.optim.SGD((*case.trunk.parameters(), *case.heads.parameters()), lr=0.05, momentum=0.9)
    with torch.no_grad():
        first = case.losses(slice(None))
    batches = torch.Generator().manual_seed(seed)
    spent, steps, active, floor = 0.0, 0, 0, 0.0 if setting.rule == "mgda" else 1 / setting.n_tasks
    while spent < seconds:
        part = torch.randperm(len(case.x), generator=batches)[: setting.batch]
        begin = time.process_time()
        report = balancer.backward(case.losses(part))
        optimizer.step()
        spent, steps = spent + time.process_time() - begin, steps + 1
        active += int((report.weights - floor > 0.01).sum())
    values = case.losses(slice(None))
    rows = looped(values, list(case.trunk.parameters())).rows
    assert rows is not None
    values = values.detach()
    left = 100 * float((values / first).mean())
    return Result(steps, asked[0] / steps, active / steps, values, left, float(certify(gramian(rows)).upper))


def _counted() -> list[int]:
    """The number of products that the engine gives from now on."""
    count, plain = [0], products

    def counting(*args: object, **options: object) -> Look:
        look = plain(*args, **options)  # type: ignore[arg-type]

        def product(weights: Tensor) -> Tensor:
            count[0] += 1
            assert look.product is not None
            return look.product(weights)

        return replace(look, product=product)

    ENGINES["products"] = counting
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}; {arguments.seconds:g} s of processor time each, mean of {arguments.seeds} seeds\n")
    columns = (
        "steps",
        "products a step",
        "active tasks",
        "mean loss left, %",
        "Delta_m, %",
        "distance to stationarity at most",
    )
    print(f"| setting | engine | {' | '.join(columns)} |\n|{'---|' * 8}")
    for name in arguments.settings:
        exact: list[Result] = []
        for engine in ("auto", "products"):
            found = [run(engine, SETTINGS[name], seed, arguments.seconds) for seed in range(arguments.seeds)]
            exact = exact or found
            worse = [100 * float((one.losses / two.losses - 1).mean()) for one, two in zip(found, exact, strict=True)]
            steps, asked, active, left, upper = np.mean(
                [(r.steps, r.products, r.active, r.left, r.upper) for r in found], axis=0
            )
            cells = [f"{steps:.0f}", f"{asked:.1f}", f"{active:.1f}", f"{left:.1f}", f"{np.mean(worse):.1f}", f"{upper:.2e}"]
            print(f"| {name} | {engine} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
