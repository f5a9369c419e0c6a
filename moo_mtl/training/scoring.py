"""A network's losses and metrics on a part of the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from moo_mtl.data.dataset import Examples, Inputs
from moo_mtl.errors import InputError, unknown
from moo_mtl.training.batches import Batch, Data, Domains, in_order
from moo_mtl.training.precision import FULL, Precision
from moo_mtl.training.task import Task

BATCH = 1024  # examples at once; no result depends on it


class Scores(NamedTuple):
    """What a network is worth.

    Attributes:
        losses: mean over the examples, ``[K]`` float64.
        metrics: by ``task/metric``.
    """

    losses: Tensor
    metrics: dict[str, float]


@torch.no_grad()
def score(network: nn.Module, tasks: Sequence[Task], data: Data, *, device: torch.device, dtype: torch.dtype) -> Scores:
    """Losses and metrics over all examples, in evaluation mode; the network is left in the mode it was in.

    Args:
        network: inputs to outputs by task.
        tasks: what to score.
        data: examples, or an iterable of batches, or one of these for each task.
        device: where the network is.
        dtype: of its inputs.

    Raises:
        InputError: a task has no output or no target, or there is no example.
    """
    parts: list[list[tuple[Tensor, Tensor]]] = [[] for _ in tasks]
    with evaluating(network):
        for batch in in_order(data, BATCH):
            for (task, output, examples), kept in zip(
                per_task(network, tasks, batch.to(device, dtype), FULL), parts, strict=True
            ):
                if output is not None and examples is not None:
                    target, seen = examples.targets[task.name], present_of(examples, task.name)
                    kept.append((output, target) if seen is None else (output[seen], target[seen]))
    losses, metrics = [], {}
    for task, kept in zip(tasks, parts, strict=True):
        if not kept:
            raise InputError(f"there is no example of task {task.name!r} to score; the data are empty")
        output, target = (torch.cat(pieces) for pieces in zip(*kept, strict=True))
        losses.append(task.criterion(output, target).double().mean())
        for metric in task.measures:
            value = float(metric.function(output, target))
            metrics[f"{task.name}/{metric.name}"] = value * task.scale if metric.has_unit else value
    return Scores(torch.stack(losses).cpu(), metrics)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def outputs_of(network: nn.Module, inputs: Inputs, tasks: Sequence[Task]) -> Mapping[str, Tensor]:
    """The network's outputs, by task.

    Raises:
        InputError: it gives something else than a mapping, or lacks a task.
    """
    outputs: Any = network(inputs)
    if not isinstance(outputs, Mapping):
        raise InputError(f"the network gave a {type(outputs).__name__}; it must return a mapping from task names to outputs")
    for task in tasks:
        if task.output not in outputs:
            raise unknown("output: the network has none for task", task.output, outputs)
    return outputs


def require_targets(batch: Examples, tasks: Sequence[Task], all_of_them: bool = False) -> None:
    """Refuse targets that are not called as the tasks are. A loader's batch may leave a task out, which is then absent.

    Raises:
        InputError: a task has no target, and there are targets of no task, or tasks must not be left out; or the number of
            targets is not that of the inputs.
    """
    for name, target in batch.targets.items():
        if len(target) != len(batch):
            raise InputError(f"task {name!r} has {len(target)} targets, and there are {len(batch)} inputs")
    known = {task.name for task in tasks}
    missing = [task.name for task in tasks if task.name not in batch.targets]
    if missing and (all_of_them or not known & batch.targets.keys() or batch.targets.keys() - known):
        raise unknown("target: the data have none for task", missing[0], batch.targets)


def per_task(
    network: nn.Module, tasks: Sequence[Task], batch: Batch, precision: Precision
) -> Iterator[tuple[Task, Tensor | None, Examples | None]]:
    """Each task's output on a batch, and the examples it is to be held against; ``None`` for those of an absent task.

    There is one forward pass, or where every task has inputs of its own one for each.

    Raises:
        InputError: the network gives no output of that name, or targets are not called as the tasks are.
    """
    if isinstance(batch, Domains):
        for task in tasks:
            examples = batch.of.get(task.name)
            if examples is None:
                yield task, None, None
            else:
                yield from per_task(network, (task,), examples, precision)
        return
    require_targets(batch, tasks)
    with precision.forward():
        outputs = outputs_of(network, batch.inputs, tasks)
    outputs = precision.outputs(outputs)
    for task in tasks:
        yield task, outputs[task.output], batch if task.name in batch.targets else None


def losses_of(network: nn.Module, tasks: Sequence[Task], batch: Batch, precision: Precision = FULL) -> Tensor:
    """Mean loss of every task on a batch, ``[K]``; 0, still connected to the network, for a task without labels there.

    Raises:
        InputError: a task has no output, targets are not called as the tasks are, or labels are missing and the loss is not
            given per example.
    """
    losses: list[Tensor | None] = []
    for task, output, examples in per_task(network, tasks, batch, precision):
        if output is None:
            losses.append(None)
        elif examples is None or len(examples) == 0:
            losses.append(output[:0].sum())
        else:
            losses.append(task.mean_loss(output, examples.targets[task.name], present_of(examples, task.name)))
    like = next(loss for loss in losses if loss is not None)
    return torch.stack([torch.zeros_like(like.detach()) if loss is None else loss for loss in losses])


def present_of(examples: Examples, name: str) -> Tensor | None:
    """Whose label of a task is there, ``[N]`` bool; ``None`` where everyone's is."""
    return None if examples.present is None else examples.present[name]


def labels_in(tasks: Sequence[Task], batch: Batch) -> Tensor | None:
    """How many labels each task has in a batch, ``[K]``; ``None`` where every example has all."""
    if isinstance(batch, Examples):
        if batch.present is None and all(task.name in batch.targets for task in tasks):
            return None
        return torch.stack([_labels(task.name, batch) for task in tasks])
    return torch.stack([_labels(task.name, batch.of.get(task.name)) for task in tasks])


def _labels(name: str, examples: Examples | None) -> Tensor:
    if examples is None or name not in examples.targets:
        return torch.tensor(0)
    seen = present_of(examples, name)
    return torch.tensor(len(examples)) if seen is None else seen.sum()
