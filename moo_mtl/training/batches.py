"""The order in which a network sees its examples: of all tasks together, or of each task from a source of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, TypeAlias

import torch
from torch import Tensor

from moo_mtl.data.dataset import Examples
from moo_mtl.data.graphs import Graphs
from moo_mtl.errors import InputError
from moo_mtl.randomness import uniforms

# Tensors that fit on the device, or anything that yields batches: Examples, (inputs, targets) or (inputs, targets, present).
Source: TypeAlias = Examples | Iterable[Any]
Data: TypeAlias = Source | Mapping[str, Source]  # for all tasks, or one for each by its name
_STREAM = -1  # of the run's random numbers; the members of a batch are counted from 0


@dataclass(frozen=True)
class Domains:
    """A batch of several tasks, each with inputs of its own.

    Attributes:
        of: the examples of each task; one whose source is exhausted is left out.
    """

    of: Mapping[str, Examples]

    def __len__(self) -> int:
        """Number of examples of the task that has the fewest."""
        return min(len(examples) for examples in self.of.values())

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Domains:
        """On another device; floating-point inputs and targets in another dtype."""
        return Domains({task: examples.to(device, dtype) for task, examples in self.of.items()})


Batch: TypeAlias = Examples | Domains


def batches(data: Data, batch_size: int | None, *, seed: int, epoch: int) -> Iterator[Batch]:
    """One epoch of batches, wherever the data lie.

    Examples are visited in an order that depends on (seed, epoch) alone, the same on every device; a loader's order is its own.
    Where every task has its own source, the epoch is as long as the longest, and the others begin anew, in a new order.

    Args:
        data: examples, or an iterable of batches, or one of these for each task.
        batch_size: of examples; the last batch may be smaller. ``None``: all of them at once, in their own order.
        seed: of the run.
        epoch: counted from 1.

    Raises:
        InputError: a loader yields something that is not a batch, or nothing.
    """
    if isinstance(data, Mapping):
        return _domains(data, batch_size, seed, epoch)
    return _pass(data, batch_size, seed, epoch, _STREAM)


def in_order(data: Data, batch_size: int) -> Iterator[Batch]:
    """All examples once, for evaluation; fewer at once than ``batch_size`` where they are large."""
    if isinstance(data, Mapping):
        streams = {task: _in_order(source, batch_size) for task, source in data.items()}
        while found := {task: batch for task, stream in streams.items() if (batch := next(stream, None)) is not None}:
            yield Domains(found)
    else:
        yield from _in_order(data, batch_size)


def visiting_order(n: int, seed: int, epoch: int, device: torch.device, stream: int = _STREAM) -> Tensor:
    """A permutation of ``n`` examples, the same on every device."""
    return uniforms(seed, torch.tensor(stream, device=device), epoch, n).argsort(stable=True)


def split(batch: Batch, parts: int) -> list[Any]:
    """A batch in so many parts, in order, as even as can be; the first are larger, and the last may be empty."""
    if isinstance(batch, Domains):
        pieces = {task: split(examples, parts) for task, examples in batch.of.items()}
        return [Domains({task: pieces[task][part] for task in pieces}) for part in range(parts)]
    ends = [-(-len(batch) * part // parts) for part in range(parts + 1)]
    return [batch[start:end] for start, end in pairwise(ends)]


def skip(iterator: Iterator[Batch], count: int) -> None:
    """Pass over batches that an interrupted run has seen already."""
    next(islice(iterator, count, count), None)


def _pass(source: Source, batch_size: int | None, seed: int, epoch: int, stream: int) -> Iterator[Examples]:
    if not isinstance(source, Examples):
        if not isinstance(source, Iterable):
            raise InputError(f"the data are a {type(source).__name__}, expected Examples or a loader of batches")
        for batch in source:
            yield _examples(batch)
    elif batch_size is None:
        yield source
    else:
        order = visiting_order(len(source), seed, epoch, source.inputs.device, stream)
        for index in torch.split(order, int(batch_size)):
            yield source[index]


def _domains(data: Mapping[str, Source], batch_size: int | None, seed: int, epoch: int) -> Iterator[Domains]:
    passes = dict.fromkeys(data, 0)

    def again(place: int, task: str) -> Iterator[Examples]:
        stream = _STREAM - 1 - place - len(data) * passes[task]
        return _pass(data[task], batch_size, seed, epoch, stream)

    streams = {task: again(place, task) for place, task in enumerate(data)}
    while True:
        found = {}
        for place, task in enumerate(data):
            batch = next(streams[task], None)
            if batch is None:
                passes[task] += 1
                if all(passes.values()):
                    return
                streams[task] = again(place, task)
                batch = next(streams[task], None)
            if batch is None:
                raise InputError(f"the loader of task {task!r} is empty when it is gone through again; give one that can be")
            found[task] = batch
        yield Domains(found)


def _in_order(source: Source, batch_size: int) -> Iterator[Examples]:
    if isinstance(source, Examples):
        size = min(batch_size, _at_once(source))
        for start in range(0, len(source), size):
            yield source[start : start + size]
    else:
        yield from _pass(source, None, 0, 1, _STREAM)


def _at_once(examples: Examples) -> int:
    """How many examples have 2^20 numbers together; more at once would be too much, since layers hold many times as many."""
    inputs = examples.inputs
    numbers = inputs.nodes.numel() if isinstance(inputs, Graphs) else inputs.numel()
    return max(1, 2**20 * len(examples) // max(1, numbers))


def _examples(batch: Any) -> Examples:
    if isinstance(batch, Examples):
        return batch
    if isinstance(batch, (tuple, list)) and len(batch) in (2, 3):
        inputs, targets, *present = batch
        if isinstance(inputs, Tensor | Graphs) and isinstance(targets, dict):
            return Examples(inputs, targets, *present)
    raise InputError(
        f"a loader gave a {type(batch).__name__}; it must yield Examples, (inputs, {{task: targets}}) or the same with "
        "{task: present} as a third item"
    )
