"""Rows by one batched backward pass through the trunk."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from moo_mtl.engines.look import Look
from moo_mtl.engines.looped import combined
from moo_mtl.engines.stage import Stage
from moo_mtl.engines.sweep import at_once


def vmapped(
    losses: Tensor,
    shared: Sequence[Tensor],
    own: Sequence[Tensor] = (),
    retain_graph: bool = False,
    here: Sequence[bool] | None = None,
    seed: Tensor | None = None,
) -> Look:
    """Rows by one batched pass through the common part, for models of small layers that a single task leaves idle.

    Args:
        losses, shared, own, retain_graph, here, seed: those of an ``Engine``, of one network.

    Raises:
        NotBatchedError: an operation of the model cannot be batched; the graph can still be used.
    """
    stage = Stage(losses, shared, own, retain_graph, here, seed)
    rows, views = stage.rows(losses, shared)
    for parameter, gradient in zip(stage.reached, at_once(stage.body, stage.private.at_cuts, stage.reached), strict=True):
        view = views[id(parameter)]
        if gradient is None:
            view.zero_()
        else:
            view.copy_(gradient.reshape(view.shape))
    stage.complete(views)
    return Look(rows, None, lambda weights: combined(weights, rows), stage.own_gradients, by_task=stage.own_by_task)
