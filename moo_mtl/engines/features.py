"""The gradients at the shared representation in place of those at the parameters: the MGDA-UB bound."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moo_mtl.engines.graph import roots
from moo_mtl.engines.look import Look
from moo_mtl.engines.passes import ones, weighted_sum
from moo_mtl.engines.stage import Stage
from moo_mtl.engines.sweep import weighted
from moo_mtl.gramian import gramian


def features(
    losses: Tensor,
    shared: Sequence[Tensor],
    own: Sequence[Tensor] = (),
    retain_graph: bool = False,
    here: Sequence[bool] | None = None,
    seed: Tensor | None = None,
    representation: Tensor | None = None,
) -> Look:
    r"""The Gramian of the gradients with respect to the shared representation of every sample (MGDA-UB), and one
    pass through the trunk.

    :math:`\lVert J^\top w \rVert \le \lVert \partial z / \partial \theta \rVert \, \lVert J_z^\top w \rVert`:
    weights that make the right side small make the left one small, but they are not the weights of the exact
    Gramian. Source: Sener and Koltun (2018), section 3.3. The representation is found in the graph: it is where the
    tasks' own parts meet the common one.

    Args:
        losses, shared, own, retain_graph, here, seed: those of an ``Engine``, of one network.
        representation: where to look, instead of where the graph is seen to divide.
    """
    if representation is not None:
        return _at(representation, losses, shared, own, retain_graph, here, ones(losses, seed))
    stage = Stage(losses, shared, own, True, here, seed)
    rows = torch.cat([_flat(cut) for cut in stage.private.at_cuts] or [_beside(stage, losses)], dim=-1)

    def direction(weights: Tensor) -> Tensor:
        totals = stage.beside(weights, shared)
        passed = weighted(stage.body, stage.private.at_cuts, weights, stage.reached, retain_graph or bool(stage.others))
        for parameter, through in zip(stage.reached, passed, strict=True):
            if through is not None:
                totals[id(parameter)] = totals[id(parameter)] + through if id(parameter) in totals else through
        return torch.cat([totals.get(id(p), torch.zeros_like(p)).reshape(-1) for p in shared])

    return Look(None, gramian(rows), direction, stage.own_gradients)


def _at(
    representation: Tensor,
    losses: Tensor,
    shared: Sequence[Tensor],
    own: Sequence[Tensor],
    retain_graph: bool,
    here: Sequence[bool] | None,
    one: Tensor,
) -> Look:
    """The look at a representation that the caller names; whatever reaches the parameters past it is not seen."""
    starts = roots(losses, here)
    found = [
        weighted_sum([start], own_one, [representation], retain_graph=True)[0]
        for start, own_one in zip(starts, one.split(1), strict=True)
    ]
    rows = torch.stack([torch.zeros_like(representation) if g is None else g for g in found]).flatten(1)

    def direction(weights: Tensor) -> Tensor:
        passed = weighted_sum(starts, weights.to(losses.dtype) * one, shared, retain_graph=retain_graph or bool(own))
        return torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for p, g in zip(shared, passed, strict=True)])

    def own_gradients(factors: Tensor) -> list[Tensor | None]:
        return weighted_sum(starts, factors.to(losses.dtype) * one, own, retain_graph=retain_graph)

    return Look(None, gramian(rows), direction, own_gradients)


def _beside(stage: Stage, losses: Tensor) -> Tensor:
    """All there is where tasks share no operation: rows of the parameters themselves."""
    rows, views = stage.rows(losses, stage.shared)
    stage.complete(views)
    return rows


def _flat(gradients: Sequence[Tensor | None]) -> Tensor:
    like = next(gradient for gradient in gradients if gradient is not None)
    return torch.stack([torch.zeros_like(like).reshape(-1) if g is None else g.reshape(-1) for g in gradients])
