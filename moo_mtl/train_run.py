"""``kind = "train"``: a network on a data set, from a configuration to numbers in the run's folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from moo_mtl import data, models, resolving, runs
from moo_mtl.config import TrainRun
from moo_mtl.data import Dataset, Examples
from moo_mtl.errors import unknown
from moo_mtl.runs import Run
from moo_mtl.training import History, Trainer, tasks_of


def check(config: TrainRun) -> None:
    """Build everything that training will use.

    Raises:
        MooMtlError: a name, a parameter, a shape, a device or a data file is not what it should be.
    """
    _trainer(config, _dataset(config))


def length(config: TrainRun) -> tuple[int, str]:
    """How many of what the run takes, at most."""
    return config.epochs, "epoch"


def perform(config: TrainRun, run: Run, advance: Callable[[int], None]) -> dict[str, Any]:
    """Train, from the checkpoint if there is one; the result is written, the metrics on the test part are returned."""
    dataset = _dataset(config)
    trainer = _trainer(config, dataset)
    history = trainer.fit(
        dataset.train,
        dataset.validation,
        checkpoint=run.checkpoint,
        checkpoint_interval=runs.CHECKPOINT_EVERY,
        progress=advance,
    )
    runs.write(run.result, history.save)
    return _metrics(trainer, history, dataset)


def result(run: Run) -> History:
    """The arrays of a finished run."""
    return History.load(run.result)


def _dataset(config: TrainRun) -> Dataset:
    """The data set, cut down to the tasks that are trained."""
    dataset = data.get(config.data.name, **config.data.parameters)
    if config.tasks is None:
        return dataset
    targets = {target.name: target for target in dataset.tasks}
    for name in config.tasks:
        if name not in targets:
            raise unknown(f"task of {dataset.name}:", name, targets)
    whole = dataset.examples
    present = None if whole.present is None else {name: whole.present[name] for name in config.tasks}
    examples = Examples(whole.inputs, {name: whole.targets[name] for name in config.tasks}, present)
    return replace(dataset, examples=examples, tasks=tuple(targets[name] for name in config.tasks))


def _trainer(config: TrainRun, dataset: Dataset) -> Trainer:
    same = ("epochs", "batch_size", "optimizer", "momentum", "weight_decay", "seed", "heads", "engine", "every")
    also = ("preference", "clip", "certify_every", "until", "select")
    return Trainer(
        models.get(config.model.name, dataset, seed=config.seed, **config.model.parameters),
        tasks_of(dataset),
        resolving.rule(config.rule, dataset.name, None),
        **{key: getattr(config, key) for key in (*same, *also)},
        lr=resolving.number_or_function("lr", config.lr),
        device=resolving.device(config.device),
        dtype=getattr(torch, config.dtype),
    )


def _metrics(trainer: Trainer, history: History, dataset: Dataset) -> dict[str, Any]:
    """Test losses and metrics of the epoch kept, certificates, epochs; which way each metric is better."""
    scores = trainer.score(dataset.test)
    losses = {f"{name} loss": value for name, value in zip(history.tasks, scores.losses.tolist(), strict=True)}
    numbers = {key.replace("/", " "): value for key, value in scores.metrics.items()}
    bounds = {f"{part} bound": float(bound[1]) for part, bound in history.certificates.items()}
    time = {"epochs": history.epochs, "ms per step": 1000 * float(history.seconds.mean())}
    converged = {}
    if trainer.until is not None:
        converged = {
            f"{name} converged at": epoch or None for name, epoch in zip(history.tasks, history.converged.tolist(), strict=True)
        }
    better = {
        f"{task.name} {metric.name}": "higher" if metric.higher_is_better else "lower"
        for task in trainer.tasks
        for metric in task.measures
    }
    metrics: dict[str, Any] = resolving.plain({**numbers, **losses, **bounds, **converged, **time, "better": better})
    return metrics
