"""The order in which a network sees its examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeAlias

import torch
from torch import Tensor

from moo_mtl.data.dataset import Examples
from moo_mtl.data.graphs import Graphs
from moo_mtl.errors import InputError
from moo_mtl.randomness import uniforms

# Tensors that fit on the device, or anything that yields batches: Examples, (inputs, targets) or (inputs, targets, present).
Data: TypeAlias = Examples | Iterable[Any]
_STREAM = -1  # of the run's random numbers; the members of a batch are counted from 0


def batches(
    data: Data, batch_size: int | None, *, seed: int, epoch: int, device: torch.device, dtype: torch.dtype
) -> Iterator[Examples]:
    """One epoch of batches on the device.

    Examples are visited in an order that depends on (seed, epoch) alone, the same on every device; a loader's order is its own.

    Args:
        data: examples, or an iterable of batches.
        batch_size: of examples; the last batch may be smaller. ``None``: all of them at once, in their own order.
        seed: of the run.
        epoch: counted from 1.
        device: where the batches are wanted.
        dtype: of their floating-point tensors.

    Raises:
        InputError: a loader yields something that is not a batch.
    """
    if not isinstance(data, Examples):
        for batch in data:
            yield _examples(batch).to(device, dtype)
    elif batch_size is None:
        yield data.to(device, dtype)
    else:
        order = visiting_order(len(data), seed, epoch, data.inputs.device)
        for index in torch.split(order, batch_size):
            yield data[index].to(device, dtype)


def visiting_order(n: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    """A permutation of ``n`` examples, the same on every device."""
    return uniforms(seed, torch.tensor(_STREAM, device=device), epoch, n).argsort(stable=True)


def in_order(data: Data, batch_size: int, device: torch.device, dtype: torch.dtype) -> Iterator[Examples]:
    """All examples once, for evaluation."""
    if isinstance(data, Examples):
        for start in range(0, len(data), batch_size):
            yield data[start : start + batch_size].to(device, dtype)
    else:
        yield from batches(data, None, seed=0, epoch=1, device=device, dtype=dtype)


def skip(iterator: Iterator[Examples], count: int) -> None:
    """Pass over batches that an interrupted run has seen already."""
    next(islice(iterator, count, count), None)


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
