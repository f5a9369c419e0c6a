"""Per-task gradients by K backward passes: exact for every model, and the yardstick of the other engines."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moo_mtl.engines.graph import Behind, roots
from moo_mtl.engines.look import Look
from moo_mtl.engines.passes import gradients, ones, strided


def looped(
    losses: Tensor,
    shared: Sequence[Tensor],
    own: Sequence[Tensor] = (),
    retain_graph: bool = False,
    here: Sequence[bool] | None = None,
    seed: Tensor | None = None,
    into: Tensor | None = None,
    hidden: bool | None = None,
) -> Look:
    """One backward pass per task, through trunk and heads together.

    Args:
        losses, shared, own, retain_graph, here, seed: those of an ``Engine``.
        into: the rows of a look that nobody looks at any more, to be written over: asking for K x D fresh numbers at every
            step can cost more than the passes.
        hidden: what ``Behind`` says of the losses; ``None`` to find out.
    """
    hidden = Behind.of(losses).hidden if hidden is None else hidden
    batch, n_tasks = losses.shape[:-1], losses.shape[-1]
    rows = empty_rows(shared, batch, n_tasks, losses, into)
    heads: list[Sequence[Tensor | None]] = []
    starts, one = roots(losses, here), ones(losses, seed)
    for task, start in enumerate(starts):
        if start is None:
            rows[..., task, :] = 0
            heads.append((None,) * len(own))
            continue
        more = retain_graph or any(later is not None for later in starts[task + 1 :])
        found = gradients([start], [*shared, *own], [one[..., task]], retain_graph=more, hidden=hidden)
        parts = [torch.zeros_like(p) if g is None else strided(g) for p, g in zip(shared, found, strict=False)]
        torch.cat([part.reshape(*batch, -1) for part in parts], dim=-1, out=rows[..., task, :])
        heads.append(found[len(shared) :])
    return Look(
        rows,
        None,
        lambda weights: combined(weights, rows),
        lambda factors: summed(factors, heads, own),
        by_task=lambda: heads,
    )


def empty_rows(shared: Sequence[Tensor], batch: torch.Size, n_tasks: int, losses: Tensor, into: Tensor | None = None) -> Tensor:
    """Rows yet to be written, ``[..., K, D]``; in ``into`` if it fits."""
    dtype = torch.promote_types(losses.dtype, torch.float32)
    for parameter in shared:
        dtype = torch.promote_types(dtype, parameter.dtype)
    shape = (*batch, n_tasks, sum(parameter.numel() for parameter in shared) // max(batch.numel(), 1))
    fits = into is not None and into.shape == shape and into.dtype == dtype and into.device == losses.device
    return into if into is not None and fits else torch.empty(shape, dtype=dtype, device=losses.device)


def combined(weights: Tensor, rows: Tensor) -> Tensor:
    r"""The direction :math:`J^\top w`: ``[..., K]`` and ``[..., K, D]`` to ``[..., D]``."""
    return (weights.to(rows.dtype)[..., None, :] @ rows).squeeze(-2)


def summed(factors: Tensor, gradients: Sequence[Sequence[Tensor | None]], parameters: Sequence[Tensor]) -> list[Tensor | None]:
    """For each parameter the sum of the tasks' gradients with ``factors`` ``[..., K]``; ``None`` where no task reaches it."""
    totals: list[Tensor | None] = []
    each, stacked = factors.unbind(dim=-1), factors.dim() > 1
    for parameter, by_task in zip(parameters, zip(*gradients, strict=True), strict=True):
        total: Tensor | None = None
        for factor, gradient in zip(each, by_task, strict=True):
            if gradient is not None:
                factor = factor.to(gradient.dtype)
                if stacked:
                    factor = factor.reshape(factor.shape + (1,) * (parameter.dim() - factor.dim()))
                part = factor * gradient
                total = part if total is None else total.add_(part)
        totals.append(total)
    return totals
