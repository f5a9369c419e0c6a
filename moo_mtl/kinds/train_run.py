"""``kind = "train"``: a network on a data set, from a configuration to numbers in the run's folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from moo_mtl import data, launch, models, runs, storage
from moo_mtl.config import TrainRun
from moo_mtl.data import Dataset, Examples
from moo_mtl.errors import InputError, LostError, MooMtlError, unknown
from moo_mtl.kinds import resolving, single_run
from moo_mtl.runs import Run
from moo_mtl.tensors import require_device
from moo_mtl.training import History, Trainer, schedules, tasks_of
from moo_mtl.training.batches import Data


def check(config: TrainRun) -> None:
    """Build everything that training will use.

    Raises:
        MooMtlError: a name, a parameter, a shape, a device or a data file is not what it should be.
    """
    if launch.launched() and config.processes not in (1, launch.size()):
        raise InputError(
            f"processes is {config.processes}, and torchrun has started {launch.size()}; start as many, or this command alone"
        )
    if config.processes > 1 and config.device.startswith("cuda:"):
        raise InputError(f'processes is {config.processes} and device {config.device!r} is one; "cuda" gives each its own')
    if config.processes > 1 and config.device == "cuda":
        require_device(f"cuda:{config.processes - 1}")
    _trainer(config, _dataset(config))


def length(config: TrainRun) -> tuple[int, str]:
    """How many of what the run takes, at most."""
    return config.epochs, "epoch"


def perform(config: TrainRun, run: Run, advance: Callable[[int], None]) -> dict[str, Any]:
    """Train, from the checkpoint if there is one; the result is written, the metrics on the test part are returned."""
    if launch.launched():
        launch.tell(config)
    dataset = _dataset(config)
    trainer = _trainer(config, dataset, launch.launched())
    history = trainer.fit(
        *_parts(config, dataset),
        checkpoint=run.checkpoint,
        checkpoint_interval=runs.CHECKPOINT_EVERY,
        log=run.folder if config.log_every else None,
        progress=advance,
    )
    storage.write(run.result, history.save)
    return _metrics(trainer, history, dataset)


def take_part(config: TrainRun) -> None:
    """What another process does while the first performs a run: the same steps, on its part of the batches."""
    single_run.settle(config)
    try:
        dataset = _dataset(config)
        _trainer(config, dataset, distributed=True).fit(*_parts(config, dataset))
    except LostError:
        raise
    except MooMtlError:
        pass  # the first process meets it at the same step, and reports it


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


def _parts(config: TrainRun, dataset: Dataset) -> list[Data]:
    """Data for training and for validation."""
    parts = ("train", "validation")
    return [dataset.by_task(part) if config.loaders == "per-task" else dataset[part] for part in parts]


def _trainer(config: TrainRun, dataset: Dataset, distributed: bool = False) -> Trainer:
    same = ("epochs", "batch_size", "optimizer", "momentum", "weight_decay", "seed", "heads", "engine", "every")
    also = ("preference", "clip", "certify_every", "until", "select", "patience", "accumulate", "precision", "average")
    logs = ("log_every", "tensorboard")
    scheduler = config.scheduler
    return Trainer(
        models.get(config.model.name, dataset, seed=config.seed, **config.model.parameters),
        tasks_of(dataset),
        resolving.rule(config.rule, dataset.name, None),
        **{key: getattr(config, key) for key in (*same, *also, *logs)},
        scheduler=None if scheduler is None else schedules.get(scheduler.name, config.epochs, **scheduler.parameters),
        distributed=distributed,
        lr=resolving.number_or_function("lr", config.lr),
        device=require_device(launch.device(config.device)),
        dtype=getattr(torch, config.dtype),
    )


def _metrics(trainer: Trainer, history: History, dataset: Dataset) -> dict[str, Any]:
    """Metrics of the epoch kept: each task's first on the test part, and the certificates; then everything else by group.

    The validation score is what the epoch was chosen by, lower is better; settings are to be chosen by it as well, never by the
    test part.
    """
    scores, validation = trainer.score(dataset.test), trainer.score(dataset.validation)
    measures = {f"{task.name}/{metric.name}": metric for task in trainer.tasks for metric in task.measures}
    first = [f"{task.name}/{task.measures[0].name}" for task in trainer.tasks if task.measures]
    headline: dict[str, Any] = {key.replace("/", " "): scores.metrics[key] for key in first}
    headline |= {f"{part} bound": float(upper) for part, (_, upper) in history.certificates.items()}
    if trainer.until is not None:
        epochs = zip(history.tasks, history.converged.tolist(), strict=True)
        headline |= {f"{name} converged at": epoch or None for name, epoch in epochs}
    groups = {
        "test": scores.metrics,
        "better": {key: "higher" if metric.higher_is_better else "lower" for key, metric in measures.items()},
        "test loss": dict(zip(history.tasks, scores.losses.tolist(), strict=True)),
        "validation": validation.metrics,
        "validation loss": dict(zip(history.tasks, validation.losses.tolist(), strict=True)),
        "lower bound": {part: float(lower) for part, (lower, _) in history.certificates.items()},
        "training": {
            "epochs": history.epochs,
            "best epoch": history.best_epoch,
            "steps": history.steps,
            "skipped steps": history.skipped,
            "ms per step": 1000 * float(history.seconds.mean()),
            "validation score": trainer.select(validation, trainer.tasks),
        },
    }
    metrics: dict[str, Any] = resolving.plain({**headline, **groups})
    return metrics
