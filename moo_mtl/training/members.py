"""What the members of a stack answer, and what their answers cost them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from moo_mtl.data.dataset import Examples
from moo_mtl.errors import InputError, unknown
from moo_mtl.models.stack import Stack, over_members
from moo_mtl.training.scoring import BATCH
from moo_mtl.training.task import Task


def answers(stack: Stack, tasks: Sequence[Task], batch: Examples, preference: Tensor | None) -> dict[str, Tensor]:
    """Outputs ``[..., B, ...]`` by name.

    Args:
        stack: with leading dimensions ``[...]``.
        tasks: that the networks must answer for.
        batch: whose tensors have those dimensions in front, 1 where members share.
        preference: ``[..., K]``, for networks that take one.

    Raises:
        InputError: the inputs are no tensor, or a task has no output.
    """
    if not isinstance(batch.inputs, Tensor):
        raise InputError("a stack of networks takes tensors, and these inputs are graphs; train each network with Trainer")
    found = stack(batch.inputs, *(() if preference is None else (preference.to(batch.inputs),)), own_inputs=True)
    if not isinstance(found, Mapping):
        raise InputError(f"a network gave a {type(found).__name__}; it must return a mapping from task names to outputs")
    for task in tasks:
        if task.output not in found:
            raise unknown("output: the networks have none for task", task.output, found)
    return dict(found)


def judged(stack: Stack, tasks: Sequence[Task], outputs: Mapping[str, Tensor], batch: Examples) -> Tensor:
    """Each member's losses, ``[..., K]``; outputs and batch as in ``answers``."""

    def losses(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([task.mean_loss(outputs[task.output], targets[task.name], present.get(task.name)) for task in tasks])

    found: Tensor = over_members(losses, stack.shape, outputs, batch.targets, batch.present or {})
    return found


def scores(
    stack: Stack,
    tasks: Sequence[Task],
    answering: Sequence[Task],
    data: Examples,
    preference: Tensor | None = None,
    *,
    batch_size: int | None = None,
) -> Tensor:
    """Each member's losses on all examples, ``[..., K]`` float64.

    Args:
        stack: in the mode in which it is to answer.
        tasks: that judge.
        answering: tasks that the networks must answer for.
        data: without leading dimensions.
        preference: ``[K]``, for networks that take one.
        batch_size: mean over consecutive batches of this size, each counted alike; ``None``: all at once.
    """
    n_dims, wanted = len(stack.shape), None
    if preference is not None:
        wanted = preference[(None,) * n_dims]
    parts = [
        answers(stack, answering, for_all(data[start : start + BATCH], n_dims), wanted) for start in range(0, len(data), BATCH)
    ]
    outputs = {name: torch.cat([part[name] for part in parts], dim=n_dims) for name in parts[0]}
    size = batch_size or len(data)
    found = []
    for start in range(0, len(data), size):
        part = slice(start, start + size)
        some = {name: output[(slice(None),) * n_dims + (part,)] for name, output in outputs.items()}
        found.append(judged(stack, tasks, some, for_all(data[part], n_dims)).double())
    return torch.stack(found).mean(dim=0)


def for_all(batch: Examples, n_dims: int) -> Examples:
    """The batch with ``n_dims`` leading dimensions of 1, which all members share."""
    if not isinstance(batch.inputs, Tensor):
        raise InputError("a stack of networks takes tensors, and these inputs are graphs; train each network with Trainer")
    here = (None,) * n_dims
    present = None if batch.present is None else {name: mask[here] for name, mask in batch.present.items()}
    return Examples(batch.inputs[here], {name: target[here] for name, target in batch.targets.items()}, present)
