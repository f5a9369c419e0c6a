"""``kind = "front"``: a front of networks on a data set; all preferences, seeds and learning rates are one program."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moo_mtl import data, fronts, models, runs, storage
from moo_mtl.certificate import certify
from moo_mtl.config import Choice, FrontRun
from moo_mtl.data import Dataset
from moo_mtl.engines import looped
from moo_mtl.errors import InputError
from moo_mtl.gramian import gramian
from moo_mtl.kinds import resolving
from moo_mtl.models.conditioned import conditioned
from moo_mtl.models.multi_head import shared_parameters
from moo_mtl.models.stack import Stack
from moo_mtl.runs import Run
from moo_mtl.tensors import require_device
from moo_mtl.training import tasks_of
from moo_mtl.training.sampling import Dirichlet
from moo_mtl.training.stack_history import StackHistory
from moo_mtl.training.stack_trainer import StackTrainer
from moo_mtl.training.task import Task

CLOSEST = 5e-3  # radians between the outermost preferences and the axes: some rules divide by a share


@dataclass(frozen=True, eq=False)
class NetworkFronts:
    """Fronts of S seeds with P preferences for K tasks, on the test part, at the learning rate that validation prefers.

    Attributes:
        points: measures as published tables take them, ``[S, P, K]``.
        losses: the losses that were trained, over the whole part at once, ``[S, P, K]``.
        preferences: ``[P, K]``.
        rates: the learning rates, ``[L]``.
        validation: best hypervolume on the validation part, ``[L, S]``.
        chosen: the learning rate taken, its place in ``rates``.
        median: the seed whose front has the median hypervolume.
        lower: for that seed's points, bounds on their distance to Pareto-stationarity on the training part, ``[P]``.
        upper: likewise.
    """

    points: Tensor
    losses: Tensor
    preferences: Tensor
    rates: Tensor
    validation: Tensor
    chosen: Tensor
    median: Tensor
    lower: Tensor
    upper: Tensor

    def save(self, path: str | Path) -> None:
        """Write all tensors to one ``.npz`` file, readable by NumPy."""
        with open(path, "wb") as file:
            np.savez_compressed(file, **{field.name: getattr(self, field.name).numpy() for field in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> NetworkFronts:
        """Read what ``save`` wrote.

        Raises:
            InputError: the file is not one of saved fronts.
        """
        try:
            with open(path, "rb") as source, np.load(source, allow_pickle=False) as file:
                return cls(**{field.name: torch.from_numpy(file[field.name]) for field in fields(cls)})
        except Exception as error:  # a damaged archive raises whatever its decoder meets first
            raise InputError(
                f"{path} holds no saved fronts ({type(error).__name__}: {error}); delete it and train again"
            ) from error


def check(config: FrontRun) -> None:
    """Build everything that training will use.

    Raises:
        MooMtlError: a name, a parameter, a shape, a device or a data file is not what it should be.
    """
    _trainer(config, data.get(config.data.name, **config.data.parameters))


def length(config: FrontRun) -> tuple[int, str]:
    """How many of what the run takes."""
    return config.epochs, "epoch"


def perform(config: FrontRun, run: Run, advance: Callable[[int], None]) -> dict[str, Any]:
    """Train, from the checkpoint if there is one; the fronts are written, hypervolumes on the test part are returned."""
    dataset = data.get(config.data.name, **config.data.parameters)
    trainer = _trainer(config, dataset)
    history = trainer.fit(
        dataset.train,
        dataset.validation,
        checkpoint=run.checkpoint,
        checkpoint_interval=runs.CHECKPOINT_EVERY,
        progress=advance,
    )
    found = _fronts(config, trainer, history, dataset)
    storage.write(run.result, found.save)
    return _metrics(config, trainer, history, found)


def result(run: Run) -> NetworkFronts:
    """The arrays of a finished run."""
    return NetworkFronts.load(run.result)


def rays(n: int, n_tasks: int) -> Tensor:
    """``n`` preferences, ``[n, K]``: for two tasks at equal angles, as COSMOS spreads them; otherwise of low Riesz energy.

    Raises:
        InputError: there are fewer preferences than tasks.
    """
    if n < n_tasks:
        raise InputError(f"{n} preferences are too few for {n_tasks} tasks; give at least one for each")
    if n_tasks > 2:
        inner = fronts.directions.riesz(n, n_tasks).clamp(min=CLOSEST)
    else:
        angles = torch.linspace(CLOSEST, math.pi / 2 - CLOSEST, n, dtype=torch.float64)
        inner = torch.stack([angles.cos(), angles.sin()], dim=-1)
    return inner / inner.sum(dim=-1, keepdim=True)


def _trainer(config: FrontRun, dataset: Dataset) -> StackTrainer:
    tasks = tasks_of(dataset)
    if len(config.reference) != len(tasks):
        raise InputError(f"reference has {len(config.reference)} numbers, expected one for each of the {len(tasks)} tasks")
    how = config.rule.parameters.get("condition")
    rule = Choice.model_validate({"name": config.rule.name, **_but(config.rule.parameters, "condition")})
    seeds, rates = torch.arange(config.seed, config.seed + config.seeds), _rates(config)
    directions = rays(config.rays, len(tasks))
    shape = (len(rates), len(seeds), *(() if how else (len(directions),)))
    networks = [
        _network(config, dataset, seed, place)
        for _ in rates
        for seed in seeds.tolist()
        for place in range(shape[-1] if not how else 1)
    ]
    ones = (1,) * (len(shape) - 2)
    return StackTrainer(
        Stack(networks, shape).to(device=require_device(config.device), dtype=getattr(torch, config.dtype)),
        tasks,
        resolving.rule(rule, dataset.name, None),
        epochs=config.epochs,
        batch_size=config.batch_size,
        lr=rates.reshape(-1, 1, *ones),
        seeds=seeds.reshape(1, -1, *ones),
        preference=Dirichlet(config.alpha) if how else directions[None, None],
        rays=directions,
        select=lambda losses: -_hypervolume(losses, config),
        validate_every=config.validate_every,
        measures=[_measured(task) for task in tasks],
        measured_in=config.measured_in,
    )


def _rates(config: FrontRun) -> Tensor:
    return config.lr * torch.tensor(config.rates, dtype=torch.float64)


def _network(config: FrontRun, dataset: Dataset, seed: int, place: int) -> torch.nn.Module:
    """Members start apart: a population of equal ones would have equal gradients for ever."""
    how, start = config.rule.parameters.get("condition"), 1000 * seed + place
    if how is None:
        return models.get(config.model.name, dataset, seed=start, **config.model.parameters)
    return conditioned(config.model.name, dataset, how, seed=start, **config.model.parameters)


def _measured(task: Task) -> Task:
    """What tables report of a task; of equal opportunity they count, since COSMOS."""
    return replace(task, loss="counted-opportunity") if task.loss == "equal-opportunity" else task


def _hypervolume(points: Tensor, config: FrontRun) -> Tensor:
    return fronts.hypervolume(points, torch.tensor(config.reference))


def _fronts(config: FrontRun, trainer: StackTrainer, history: StackHistory, dataset: Dataset) -> NetworkFronts:
    validation = _hypervolume(history.validation, config).amax(dim=0)
    chosen = validation.mean(dim=1).argmax()
    points = trainer.losses(dataset.test)[chosen].cpu()
    median = _hypervolume(points, config).argsort()[(config.seeds - 1) // 2]
    losses = trainer.losses(dataset.test, as_trained=True)[chosen].cpu()
    lower, upper = _certified(trainer, dataset, (int(chosen), int(median)))
    directions = rays(config.rays, len(trainer.tasks))
    return NetworkFronts(points, losses, directions, _rates(config), validation, chosen, median, lower, upper)


def _certified(trainer: StackTrainer, dataset: Dataset, place: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Bounds for the points of one front, from the gradients of the training losses of all examples at once."""
    like = next(trainer.stack.parameters())
    train, bounds = dataset.train.to(like.device, like.dtype), []
    for p, ray in enumerate(trainer.rays if trainer.rays is not None else ()):
        network = trainer.stack.member(*place, *(() if trainer.conditioned else (p,))).eval()
        outputs = network(train.inputs, ray) if trainer.conditioned else network(train.inputs)
        losses = [task.mean_loss(outputs[task.output], train.targets[task.name]) for task in trainer.tasks]
        rows = looped(torch.stack(losses), shared_parameters(network)).rows
        assert rows is not None
        bounds.append(certify(gramian(rows)))
    return torch.stack([bound.lower for bound in bounds]).cpu(), torch.stack([bound.upper for bound in bounds]).cpu()


def _metrics(config: FrontRun, trainer: StackTrainer, history: StackHistory, found: NetworkFronts) -> dict[str, Any]:
    volumes = _hypervolume(found.points, config)
    on_losses = _hypervolume(found.losses, config)
    metrics: dict[str, Any] = {
        "HV": float(volumes.mean()),
        "HV sd": float(volumes.std()) if config.seeds > 1 else None,
        "HV of losses": float(on_losses.mean()),
        "validation HV": float(found.validation[found.chosen].mean()),
        "lr": float(found.rates[found.chosen]),
        "median bound": float(found.upper.median()),
        "ms per step": 1000 * history.seconds,
        "test": {f"HV, seed {seed}": float(volume) for seed, volume in enumerate(volumes, start=config.seed)},
        "training": {
            "steps": history.steps,
            "parameters": sum(p.numel() for p in trainer.stack.parameters()) // (len(config.rates) * config.seeds),
            "best epochs": history.best_epoch[found.chosen].tolist(),
        },
    }
    plain: dict[str, Any] = resolving.plain(metrics)
    return plain


def _but(parameters: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name != key}
