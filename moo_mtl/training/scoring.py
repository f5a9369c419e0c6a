"""A network's losses and metrics on a part of the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from moo_mtl.data.dataset import Examples, Inputs
from moo_mtl.errors import InputError, unknown
from moo_mtl.training.batches import Data, in_order
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
        data: examples, or an iterable of batches.
        device: where the network is.
        dtype: of its inputs.

    Raises:
        InputError: a task has no output or no target, or there is no example.
    """
    parts: list[list[tuple[Tensor, Tensor]]] = [[] for _ in tasks]
    with evaluating(network):
        for batch in in_order(data, BATCH, device, dtype):
            outputs = outputs_of(network, batch.inputs, tasks)
            for task, kept in zip(tasks, parts, strict=True):
                output, target = outputs[task.output], target_of(batch, task.name)
                if batch.present is not None:
                    seen = batch.present[task.name]
                    output, target = output[seen], target[seen]
                kept.append((output, target))
    losses, metrics = [], {}
    for task, kept in zip(tasks, parts, strict=True):
        if not kept:
            raise InputError("there is no example to score; the data are empty")
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


def target_of(batch: Examples, name: str) -> Tensor:
    """A task's targets.

    Raises:
        InputError: there are none of that name.
    """
    if name not in batch.targets:
        raise unknown("target: the data have none for task", name, batch.targets)
    return batch.targets[name]


def losses_of(network: nn.Module, tasks: Sequence[Task], batch: Examples) -> Tensor:
    """Mean loss of every task on a batch, ``[K]``, in one forward pass.

    Raises:
        InputError: a task has no output or no target, or labels are missing and its loss is not given per example.
    """
    outputs = outputs_of(network, batch.inputs, tasks)
    return torch.stack(
        [
            task.mean_loss(
                outputs[task.output], target_of(batch, task.name), None if batch.present is None else batch.present[task.name]
            )
            for task in tasks
        ]
    )


def labels_in(tasks: Sequence[Task], batch: Examples) -> Tensor | None:
    """How many labels each task has in a batch, ``[K]``; ``None`` where every example has all."""
    if batch.present is None:
        return None
    return torch.stack([batch.present[task.name].sum() for task in tasks])
