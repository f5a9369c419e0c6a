"""The exact Gramian, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from moo_mtl.engines.convolution import Convolution, narrow_convolutions
from moo_mtl.engines.dense import Dense, dense_layers
from moo_mtl.engines.graph import Root
from moo_mtl.engines.look import Look
from moo_mtl.engines.looped import combined
from moo_mtl.engines.stage import Stage
from moo_mtl.engines.sweep import at_once, one_by_one
from moo_mtl.gramian import gramian


def layered(
    losses: Tensor,
    shared: Sequence[Tensor],
    own: Sequence[Tensor] = (),
    retain_graph: bool = False,
    here: Sequence[bool] | None = None,
    seed: Tensor | None = None,
    batched: bool | None = None,
) -> Look:
    r"""The exact Gramian, without the rows of dense layers.

    For a dense layer with inputs A ``[B, n]`` and output gradients :math:`\delta_k` ``[B, m]`` the inner products of
    the tasks' weight gradients :math:`\delta_k^\top A` are :math:`\langle A A^\top \delta_k, \delta_l \rangle`,
    which for :math:`B \ll n` costs far less than the gradients themselves; one weight gradient, of the weighted
    :math:`\delta`, is formed at the end. A convolution of few channels gives its rows from the output gradients too, those of
    all tasks in one product. Layers where that would cost more, and all others, give their rows as ever.

    Args:
        losses, shared, own, retain_graph, here, seed: those of an ``Engine``, of one network.
        batched: one pass through the common part for all tasks; by default where nothing is convolved.

    Raises:
        NotBatchedError: an operation of the model cannot be batched; the graph can still be used.
    """
    stage = Stage(losses, shared, own, retain_graph, here, seed)
    if batched is None:
        batched = all("Convolution" not in node.name() for node in stage.body.nodes)
    dense = dense_layers(stage.body, shared, len(losses))
    narrow = narrow_convolutions(stage.body, shared, len(losses))
    without_rows = {id(parameter) for layer in dense for parameter in layer.parameters}
    held = [parameter for parameter in shared if id(parameter) not in without_rows]
    rows, views = stage.rows(losses, held)
    deltas = _passes(stage, [*dense, *narrow], views, batched)
    for layer in reversed(narrow):
        _convolved(layer, deltas.pop(), views)
    stage.complete(views)
    total = gramian(rows)
    for linear, delta in zip(dense, deltas, strict=True):
        total = total if delta is None else total + linear.gramian(delta)

    def direction(weights: Tensor) -> Tensor:
        whole = torch.empty(sum(parameter.numel() for parameter in shared), dtype=rows.dtype, device=rows.device)
        places = dict(zip(map(id, shared), whole.split([parameter.numel() for parameter in shared]), strict=True))
        pieces = combined(weights, rows).split([parameter.numel() for parameter in held])
        for parameter, piece in zip(held, pieces, strict=True):
            places[id(parameter)].copy_(piece)
        for layer, delta in zip(dense, deltas, strict=True):
            if delta is None:
                for parameter in layer.parameters:
                    places[id(parameter)].zero_()
            else:
                layer.write(weights, delta, places)
        return whole

    return Look(None, total, direction, stage.own_gradients)


def _passes(
    stage: Stage, layers: Sequence[Dense | Convolution], views: dict[int, Tensor], batched: bool
) -> list[Tensor | None]:
    """Gradients at the outputs of ``layers``, ``[K, ...]`` each; those of all other parameters are written to ``views``."""
    covered = {id(parameter) for layer in layers for parameter in layer.parameters}
    ordinary = [parameter for parameter in stage.reached if id(parameter) not in covered]
    wanted: list[Root] = [*(GradientEdge(layer.node, 0) for layer in layers), *ordinary]
    at_cuts, n_tasks, n_layers = stage.private.at_cuts, len(stage.body.roots), len(layers)
    if batched:
        found = at_once(stage.body, at_cuts, wanted)
        for parameter, gradient in zip(ordinary, found[n_layers:], strict=True):
            _put(views[id(parameter)], gradient)
        return found[:n_layers]
    deltas: list[Tensor | None] = [None] * n_layers
    for task, passed in enumerate(one_by_one(stage.body, at_cuts, wanted, stage.keep)):
        for place, delta in enumerate(passed[:n_layers]):
            if delta is not None:
                stack = deltas[place]
                deltas[place] = stack = delta.new_zeros(n_tasks, *delta.shape) if stack is None else stack
                stack[task] = delta
        for parameter, gradient in zip(ordinary, passed[n_layers:], strict=True):
            _put(views[id(parameter)][task], gradient)
    return deltas


def _convolved(layer: Convolution, delta: Tensor | None, views: dict[int, Tensor]) -> None:
    gradients = [None] * len(layer.parameters) if delta is None else layer.rows(delta)
    for parameter, gradient in zip(layer.parameters, gradients, strict=True):
        _put(views[id(parameter)], gradient)


def _put(place: Tensor, gradient: Tensor | None) -> None:
    if gradient is None:
        place.zero_()
    else:
        place.copy_(gradient.reshape(place.shape))
