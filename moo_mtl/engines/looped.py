"""Per-task gradients by K backward passes: exact for every model, and the yardstick of the other engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl.engines.graph import roots


class Gradients(NamedTuple):
    """Gradients of the K losses.

    Attributes:
        rows: with respect to the shared parameters, flattened and joined, ``[..., K, D]``.
        own: with respect to each task's own parameters: for each task a tuple in their order, ``None`` where a task
            does not reach one.
    """

    rows: Tensor
    own: tuple[tuple[Tensor | None, ...], ...]


def looped(losses: Tensor, shared: Sequence[Tensor], own: Sequence[Tensor] = (), retain_graph: bool = False) -> Gradients:
    """One backward pass per task, through trunk and heads together.

    Args:
        losses: ``[..., K]``. With batch dimensions every parameter carries the same ones in front (stacked members).
        shared: parameters the tasks share; one that a task does not reach has gradient 0 there.
        own: parameters that are not balanced.
        retain_graph: keep the graph for another use.
    """
    batch, n_tasks = losses.shape[:-1], losses.shape[-1]
    dtype = torch.promote_types(losses.dtype, torch.float32)
    for parameter in shared:
        dtype = torch.promote_types(dtype, parameter.dtype)
    widths = [parameter.numel() // max(batch.numel(), 1) for parameter in shared]
    rows = torch.zeros(*batch, n_tasks, sum(widths), dtype=dtype, device=losses.device)
    parts = rows.split(widths, dim=-1)
    heads: list[tuple[Tensor | None, ...]] = []
    starts, one = roots(losses), torch.ones_like(losses[..., 0])
    for k, start in enumerate(starts):
        if start is None:
            heads.append((None,) * len(own))
            continue
        more = retain_graph or any(later is not None for later in starts[k + 1 :])
        found = torch.autograd.grad(start, [*shared, *own], one, retain_graph=more, allow_unused=True)
        for part, gradient in zip(parts, found, strict=False):
            if gradient is not None:
                part[..., k, :] = gradient.reshape(*batch, -1)
        heads.append(found[len(shared) :])
    return Gradients(rows, tuple(heads))
