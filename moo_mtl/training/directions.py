"""From weights to the gradients that are written: the shared direction, and what the tasks' own parameters receive."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from moo_mtl.engines import Look, Processes
from moo_mtl.engines.graph import Behind, roots
from moo_mtl.engines.passes import strided, unspent, weighted_sum
from moo_mtl.errors import InputError
from moo_mtl.rules.rule import Weighing
from moo_mtl.training.accumulation import Batch
from moo_mtl.training.parameters import Columns

Heads = Literal["paper", "raw", "loss", "weighted"]


def on_heads(weighing: Weighing, option: Heads, columns: Columns, dtype: torch.dtype) -> Tensor:
    """Factors on the tasks' own parameters, ``[..., K]``; a task's groups count alike."""
    ones = torch.ones_like(weighing.weights)
    slope = ones if weighing.slope is None else weighing.slope
    paper = weighing.weights if weighing.heads is None else weighing.heads
    factors = {"paper": paper, "raw": ones, "loss": slope, "weighted": weighing.weights}[option]
    return (factors if columns.groups is None else factors.mean(dim=-2)).to(dtype)


def combined(
    found: Look, weighing: Weighing, columns: Columns, heads: Tensor, scale: Tensor | None
) -> tuple[Tensor, list[Tensor | None]]:
    """The direction ``[..., D]`` from gradients at hand, and the gradients of the tasks' own parameters.

    Args:
        found: a look at the losses, or at the losses times ``scale``.
        weighing: what the rule says of the losses as they are.
        columns: the layout of the shared parameters.
        heads: factors on the own parameters, ``[..., K]``.
        scale: of a gradient scaler; the results carry it.
    """
    if weighing.direction is not None:
        direction = columns.join(weighing.direction if scale is None else weighing.direction * scale)
    elif columns.groups is not None and found.rows is not None:
        direction = columns.join((weighing.weights.to(found.rows.dtype)[..., None, :] @ columns.view(found.rows)).squeeze(-2))
    else:
        direction = found.direction(weighing.weights)
    return direction, found.own(heads)


@unspent()
def one_pass(
    batch: Batch, weighing: Weighing, columns: Columns, heads: Tensor, across: Processes | None, retain_graph: bool
) -> tuple[Tensor, list[Tensor | None]]:
    """Gradients for a rule that looks at losses alone: one backward pass, and a second through heads with factors of their own.

    Raises:
        InputError: there are groups, whose weights differ; or the graph has been used up.
    """
    if columns.groups is not None:
        raise InputError("Balancer: groups= needs a rule that looks at gradients; this one gives every group the same weights")
    shared, own, starts = list(columns.shared), list(batch.own), roots(batch.graph, batch.here)
    hidden, dtype = Behind.of(batch.graph).hidden if batch.hidden is None else batch.hidden, batch.graph.dtype
    weights = weighing.weights.to(dtype)
    together, alone = (own, []) if weighing.weights is heads else ([], own)
    if batch.seed is not None:
        weights, heads = weights * batch.seed.to(dtype), heads * batch.seed.to(dtype)
    found = weighted_sum(starts, weights, [*shared, *together], retain_graph=retain_graph or bool(alone), hidden=hidden)
    on_own = found[len(shared) :] + weighted_sum(starts, heads, alone, retain_graph=retain_graph, hidden=hidden)
    parts = [
        (torch.zeros_like(parameter) if gradient is None else strided(gradient)).reshape(*columns.batch, -1)
        for parameter, gradient in zip(shared, found, strict=False)
    ]
    direction = torch.cat(parts, dim=-1)
    if across is not None:
        return across.sum(direction), across.sums(on_own, own)
    return direction, on_own
