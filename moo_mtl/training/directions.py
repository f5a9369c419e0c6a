"""From weights to the gradients that are written: the shared direction, and what the tasks' own parameters receive."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moo_mtl.engines import Gradients
from moo_mtl.errors import InputError
from moo_mtl.rules.rule import Weighing
from moo_mtl.training.parameters import Columns


def combined(
    found: Gradients, weighing: Weighing, columns: Columns, on_heads: Tensor, own: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor | None]]:
    """The direction from rows at hand, and the heads' gradients."""
    rows = found.rows
    if weighing.direction is not None:
        direction = columns.join(weighing.direction)
    elif columns.groups is not None:
        direction = columns.join((weighing.weights.to(rows.dtype)[..., None, :] @ columns.view(rows)).squeeze(-2))
    else:
        direction = (weighing.weights.to(rows.dtype)[..., None, :] @ rows).squeeze(-2)
    on_own: list[Tensor | None] = []
    for place, parameter in enumerate(own):
        total: Tensor | None = None
        for task, gradients in enumerate(found.own):
            gradient = gradients[place]
            if gradient is not None:
                factor = on_heads[..., task].reshape(on_heads.shape[:-1] + (1,) * (parameter.dim() - on_heads.dim() + 1))
                total = factor * gradient if total is None else total + factor * gradient
        on_own.append(total)
    return direction, on_own


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
