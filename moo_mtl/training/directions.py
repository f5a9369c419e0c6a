"""From weights to the gradients that are written: the shared direction, and what the tasks' own parameters receive."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moo_mtl.engines import Look
from moo_mtl.errors import InputError
from moo_mtl.rules.rule import Weighing
from moo_mtl.training.parameters import Columns


def combined(
    found: Look, weighing: Weighing, columns: Columns, on_heads: Tensor, own: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor | None]]:
    """The direction ``[..., D]`` from gradients at hand, and the gradients of the tasks' own parameters."""
    if weighing.direction is not None:
        direction = columns.join(weighing.direction)
    elif columns.groups is not None and found.rows is not None:
        direction = columns.join((weighing.weights.to(found.rows.dtype)[..., None, :] @ columns.view(found.rows)).squeeze(-2))
    else:
        direction = found.direction(weighing.weights)
    return direction, found.own(on_heads)


def one_pass(
    values: Tensor, weighing: Weighing, columns: Columns, on_heads: Tensor, own: Sequence[Tensor], retain_graph: bool
) -> tuple[Tensor, list[Tensor | None]]:
    """One backward pass of the weighted sum; a second, through the heads alone, where they have other factors."""
    weights = weighing.weights
    if columns.groups is not None:
        raise InputError("Balancer: groups= needs a rule that looks at gradients; this one gives every group the same weights")
    shared = list(columns.shared)
    together = bool(own) and weights is on_heads
    wanted = [*shared, *own] if together else shared
    alone = bool(own) and not together
    found = torch.autograd.grad((weights * values).sum(), wanted, retain_graph=retain_graph or alone, allow_unused=True)
    on_own: list[Tensor | None] = list(found[len(shared) :])
    if alone:
        on_own = list(torch.autograd.grad((on_heads * values).sum(), own, retain_graph=retain_graph, allow_unused=True))
    batch = columns.batch
    parts = [
        (torch.zeros_like(parameter) if gradient is None else gradient).reshape(*batch, -1)
        for parameter, gradient in zip(shared, found, strict=False)
    ]
    return torch.cat(parts, dim=-1), on_own
