"""Per-task gradients by K backward passes: exact for every model, and the yardstick of the other engines."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moo_mtl.engines.graph import roots
from moo_mtl.engines.look import Look
from moo_mtl.engines.passes import gradients, ones, reentrant


def looped(
    losses: Tensor,
    shared: Sequence[Tensor],
    own: Sequence[Tensor] = (),
    retain_graph: bool = False,
    here: Sequence[bool] | None = None,
    seed: Tensor | None = None,
) -> Look:
    """One backward pass per task, through trunk and heads together.

    Args:
        losses: ``[..., K]``. With batch dimensions every parameter carries the same ones in front (stacked members).
        shared: parameters the tasks share; one that a task does not reach has gradient 0 there.
        own: parameters that are not balanced.
        retain_graph: keep the graph for another use.
        here: for each task whether it is present; one that is not has gradient 0.
        seed: the gradient that each loss has of itself, ``[...]`` or ``[..., K]``: 1, the factor of a gradient scaler, or this
            process's share of the batch; the look carries it.
    """
    batch, n_tasks = losses.shape[:-1], losses.shape[-1]
    rows, parts = empty_rows(shared, batch, n_tasks, losses)
    heads: list[Sequence[Tensor | None]] = []
    starts, one, hidden = roots(losses, here), ones(losses, seed), reentrant(losses)
    for task, start in enumerate(starts):
        if start is None:
            rows[..., task, :] = 0
            heads.append((None,) * len(own))
            continue
        more = retain_graph or any(later is not None for later in starts[task + 1 :])
        found = gradients([start], [*shared, *own], [one[..., task]], retain_graph=more, hidden=hidden)
        for part, gradient in zip(parts, found, strict=False):
            part[..., task, :] = 0 if gradient is None else gradient.reshape(*batch, -1)
        heads.append(found[len(shared) :])
    return Look(
        rows,
        None,
        lambda weights: combined(weights, rows),
        lambda factors: summed(factors, heads, own),
        by_task=lambda: heads,
    )


def empty_rows(shared: Sequence[Tensor], batch: torch.Size, n_tasks: int, losses: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
    """Rows yet to be written, ``[..., K, D]``, and a view of them for each parameter, ``[..., K, D_p]``."""
    dtype = torch.promote_types(losses.dtype, torch.float32)
    for parameter in shared:
        dtype = torch.promote_types(dtype, parameter.dtype)
    widths = [parameter.numel() // max(batch.numel(), 1) for parameter in shared]
    rows = torch.empty(*batch, n_tasks, sum(widths), dtype=dtype, device=losses.device)
    return rows, rows.split(widths, dim=-1)


def combined(weights: Tensor, rows: Tensor) -> Tensor:
    r"""The direction :math:`J^\top w`: ``[..., K]`` and ``[..., K, D]`` to ``[..., D]``."""
    return (weights.to(rows.dtype)[..., None, :] @ rows).squeeze(-2)


def summed(factors: Tensor, gradients: Sequence[Sequence[Tensor | None]], parameters: Sequence[Tensor]) -> list[Tensor | None]:
    """For each parameter the sum of the tasks' gradients with ``factors`` ``[..., K]``; ``None`` where no task reaches it."""
    totals: list[Tensor | None] = []
    for place, parameter in enumerate(parameters):
        total: Tensor | None = None
        for task, found in enumerate(gradients):
            gradient = found[place]
            if gradient is not None:
                factor = factors[..., task].to(gradient.dtype)
                part = factor.reshape(factor.shape + (1,) * (parameter.dim() - factor.dim())) * gradient
                total = part if total is None else total + part
        totals.append(total)
    return totals
