"""P preferences x S seeds as one stack against as many trainings of their own: ``python benchmarks/stacks.py``.

Wall time of whole trainings of the 88-60-25-1 network of the fairness experiments on made data, contenders taking turns; the
separate ones are timed on a few members and counted up.
"""

from __future__ import annotations

import time
from statistics import median

import torch

from moo_mtl import models, rules
from moo_mtl.data import Dataset, Examples, Target
from moo_mtl.data.fairness import equal_opportunity
from moo_mtl.models import Stack
from moo_mtl.training import StackTrainer, Trainer, tasks_of

EXAMPLES, BATCH, EPOCHS, SEEDS, TIMED, TURNS = 2048, 256, 2, 3, 3, 3


def made() -> Dataset:
    torch.manual_seed(0)
    inputs, labels = torch.randn(EXAMPLES, 88), (torch.rand(EXAMPLES) < 0.3).float()
    opportunity, pairs = equal_opportunity("income", labels, (torch.rand(EXAMPLES) < 0.4).float())
    splits = {part: torch.arange(EXAMPLES) for part in ("train", "validation", "test")}
    targets = {"income": labels, opportunity.name: pairs}
    return Dataset("made", Examples(inputs, targets), splits, (Target("income", "binary"), opportunity))


def together(dataset: Dataset, rule: str, preferences: torch.Tensor) -> float:
    networks = [models.get("mlp", dataset, seed=n, widths=[60, 25]) for n in range(SEEDS * len(preferences))]
    trainer = StackTrainer(
        Stack(networks, (SEEDS, len(preferences))),
        tasks_of(dataset),
        rules.get(rule),
        epochs=EPOCHS,
        batch_size=BATCH,
        lr=1e-3,
        seeds=torch.arange(SEEDS)[:, None],
        preference=preferences[None],
    )
    begin = time.perf_counter()
    trainer.fit(dataset.train)
    return time.perf_counter() - begin


def apart(dataset: Dataset, rule: str, preferences: torch.Tensor) -> float:
    spent = 0.0
    for n in range(TIMED):
        network = models.get("mlp", dataset, seed=n, widths=[60, 25])
        trainer = Trainer(
            network,
            tasks_of(dataset),
            rules.get(rule),
            epochs=EPOCHS,
            batch_size=BATCH,
            lr=1e-3,
            preference=preferences[n % len(preferences)].tolist(),
        )
        history = trainer.fit(dataset.train)
        spent += float(history.seconds.sum()) * EXAMPLES / BATCH  # steps alone: no certificates
    return spent * SEEDS * len(preferences) / TIMED


def main() -> None:
    torch.set_num_threads(1)
    dataset = made()
    print(f"{'rule':8} {'networks':>8} {'one stack, s':>13} {'apart, s':>9} {'ratio':>6}")
    for rule in ("linear", "epo", "mgda"):
        for n in (4, 25):
            angles = torch.linspace(0.05, 1.52, n, dtype=torch.float64)
            preferences = torch.stack([angles.cos(), angles.sin()], dim=-1)
            turns = [(together(dataset, rule, preferences), apart(dataset, rule, preferences)) for _ in range(TURNS)]
            ours, theirs = (median(column) for column in zip(*turns, strict=True))
            ratio = median(b / a for a, b in turns)
            print(f"{rule:8} {SEEDS * n:8} {ours:13.2f} {theirs:9.2f} {ratio:6.1f}", flush=True)


if __name__ == "__main__":
    main()
