"""Engines that pass through the heads first and through the trunk from where they meet it: vmapped, gramian, features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from moo_mtl.engines.dense import dense_layers
from moo_mtl.engines.graph import Anatomy, Root, anatomy, roots
from moo_mtl.engines.look import Look
from moo_mtl.engines.looped import combined, empty_rows, summed
from moo_mtl.engines.passes import ones, weighted_sum
from moo_mtl.engines.sweep import Private, common, private, weighted
from moo_mtl.gramian import gramian


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
        losses: ``[K]``.
        shared: parameters the tasks share.
        own: parameters that are not balanced.
        retain_graph: keep the graph for another use.
        here: for each task whether it is present; one that is not has gradient 0.
        seed: the gradient that each loss has of itself, ``[...]`` or ``[..., K]``: 1, the factor of a gradient scaler, or this
            process's share of the batch; the look carries it.
    """
    stage = _Stage(losses, shared, own, retain_graph, here, seed)
    found = common(stage.body, stage.private.at_cuts, stage.reached, batched=True, retain_graph=stage.keep)
    rows, parts = empty_rows(shared, losses.shape[:-1], len(losses), losses)
    stage.fill(parts, dict(zip(map(id, stage.reached), found, strict=True)))
    return Look(rows, None, lambda weights: combined(weights, rows), stage.own_gradients, by_task=stage.own_by_task)


def layered(
    losses: Tensor,
    shared: Sequence[Tensor],
    own: Sequence[Tensor] = (),
    retain_graph: bool = False,
    here: Sequence[bool] | None = None,
    seed: Tensor | None = None,
    batched: bool | None = None,
) -> Look:
    r"""The exact Gramian, layer by layer, without the rows of dense layers.

    For a dense layer with inputs A ``[B, n]`` and output gradients :math:`\delta_k` ``[B, m]`` the inner products of
    the tasks' weight gradients :math:`\delta_k^\top A` are :math:`\langle A A^\top \delta_k, \delta_l \rangle`,
    which for :math:`B \ll n` costs far less than the gradients themselves; one weight gradient, of the weighted
    :math:`\delta`, is formed at the end. Layers where that would cost more, and all that are not dense, give their
    rows as ever.

    Args:
        losses: ``[K]``.
        shared: parameters the tasks share.
        own: parameters that are not balanced.
        retain_graph: keep the graph for another use.
        here: for each task whether it is present; one that is not has gradient 0.
        seed: the gradient that each loss has of itself, ``[...]`` or ``[..., K]``: 1, the factor of a gradient scaler, or this
            process's share of the batch; the look carries it.
        batched: one pass through the common part for all tasks; by default where every layer is dense.
    """
    stage = _Stage(losses, shared, own, retain_graph, here, seed)
    layers = dense_layers(stage.body, shared, len(losses))
    if batched is None:
        batched = all("Convolution" not in node.name() for node in stage.body.nodes)
    covered = {id(parameter) for layer in layers for parameter in layer.parameters}
    ordinary = [parameter for parameter in stage.reached if id(parameter) not in covered]
    wanted: list[Root] = [*(GradientEdge(layer.node, 0) for layer in layers), *ordinary]
    found = common(stage.body, stage.private.at_cuts, wanted, batched, stage.keep)
    deltas, plain = found[: len(layers)], dict(zip(map(id, ordinary), found[len(layers) :], strict=True))

    held = [parameter for parameter in shared if id(parameter) not in covered]
    rows, parts = empty_rows(held, losses.shape[:-1], len(losses), losses)
    stage.fill(parts, plain, held)
    total = gramian(rows)
    for layer, delta in zip(layers, deltas, strict=True):
        total = total + layer.gramian(delta)

    def direction(weights: Tensor) -> Tensor:
        whole = torch.empty(sum(parameter.numel() for parameter in shared), dtype=rows.dtype, device=rows.device)
        places = dict(zip(map(id, shared), whole.split([parameter.numel() for parameter in shared]), strict=True))
        pieces = combined(weights, rows).split([parameter.numel() for parameter in held])
        for parameter, piece in zip(held, pieces, strict=True):
            places[id(parameter)].copy_(piece)
        for layer, delta in zip(layers, deltas, strict=True):
            layer.write(weights, delta, places)
        return whole

    return Look(None, total, direction, stage.own_gradients)


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
        losses: ``[K]``.
        shared: parameters the tasks share.
        own: parameters that are not balanced.
        retain_graph: keep the graph for another use.
        here: for each task whether it is present; one that is not has gradient 0.
        seed: the gradient that each loss has of itself, ``[...]`` or ``[..., K]``: 1, the factor of a gradient scaler, or this
            process's share of the batch; the look carries it.
        representation: where to look, instead of where the graph is seen to divide.
    """
    if representation is not None:
        return _features_at(representation, losses, shared, own, retain_graph, here, ones(losses, seed))
    stage = _Stage(losses, shared, own, True, here, seed)
    rows = torch.cat([_flat(gradients, losses) for gradients in stage.private.at_cuts] or [stage.rows_beside()], dim=-1)

    def direction(weights: Tensor) -> Tensor:
        passed = weighted(stage.body, stage.private.at_cuts, weights, stage.reached, retain_graph or bool(stage.others))
        through = {id(p): g for p, g in zip(stage.reached, passed, strict=True) if g is not None}
        beside = summed(weights, [[found.get(id(p)) for p in shared] for found in stage.private.of_leaves], shared)
        total = [
            sum((part for part in (through.get(id(p)), extra) if part is not None), torch.zeros_like(p))
            for p, extra in zip(shared, beside, strict=True)
        ]
        return torch.cat([part.reshape(-1) for part in total])

    return Look(None, gramian(rows), direction, stage.own_gradients)


def _features_at(
    representation: Tensor,
    losses: Tensor,
    shared: Sequence[Tensor],
    own: Sequence[Tensor],
    retain_graph: bool,
    here: Sequence[bool] | None,
    one: Tensor,
) -> Look:
    """The same where the caller names the representation; tasks that pass it by are seen as if they did not."""
    starts = roots(losses, here)
    found = [
        weighted_sum([start], own_one, [representation], retain_graph=True)[0]
        for start, own_one in zip(starts, one.split(1), strict=True)
    ]
    rows = torch.stack([torch.zeros_like(representation) if g is None else g for g in found]).flatten(1)

    def direction(weights: Tensor) -> Tensor:
        passed = weighted_sum(starts, weights.to(losses.dtype) * one, shared, retain_graph=retain_graph or bool(own))
        parts = [torch.zeros_like(p) if g is None else g for p, g in zip(shared, passed, strict=True)]
        return torch.cat([part.reshape(-1) for part in parts])

    def own_gradients(factors: Tensor) -> list[Tensor | None]:
        return weighted_sum(starts, factors.to(losses.dtype) * one, own, retain_graph=retain_graph)

    return Look(None, gramian(rows), direction, own_gradients)


class _Stage:
    """The first stage, common to these engines: the graph's anatomy and the passes through the tasks' own parts."""

    def __init__(
        self,
        losses: Tensor,
        shared: Sequence[Tensor],
        own: Sequence[Tensor],
        retain_graph: bool,
        here: Sequence[bool] | None,
        seed: Tensor | None,
    ) -> None:
        self.body: Anatomy = anatomy(losses, here)
        self.shared, self.own, self.retain_graph = shared, own, retain_graph
        ours, below = {id(parameter) for parameter in shared}, {id(leaf) for leaf in self.body.common}
        self.reached = [parameter for parameter in shared if id(parameter) in below]
        self.others = [leaf for leaf in own if id(leaf) in below and id(leaf) not in ours]
        self.keep = retain_graph or bool(self.others)
        self.private: Private = private(self.body, ones(losses, seed), retain_graph)

    def fill(self, parts: Sequence[Tensor], through: dict[int, Tensor], parameters: Sequence[Tensor] | None = None) -> None:
        """Write into the rows what came through the common part, and what came beside it."""
        for part, parameter in zip(parts, self.shared if parameters is None else parameters, strict=True):
            if id(parameter) in through:
                part.copy_(through[id(parameter)].reshape(part.shape))
            else:
                part.zero_()
            for task, beside in enumerate(self.private.of_leaves):
                if id(parameter) in beside:
                    part[task] += beside[id(parameter)].reshape(-1)

    def rows_beside(self) -> Tensor:
        """Rows from what came beside the common part alone; all there is where tasks share no operation."""
        rows, parts = empty_rows(self.shared, torch.Size(), len(self.body.roots), self.shared[0])
        self.fill(parts, {})
        return rows

    def own_gradients(self, factors: Tensor, again: bool = False) -> list[Tensor | None]:
        """Parameters that are not shared: from the tasks' own passes, and from one more where they lie in the common part."""
        beside = summed(factors, [[found.get(id(p)) for p in self.own] for found in self.private.of_leaves], self.own)
        if not self.others:
            return beside
        passed = weighted(self.body, self.private.at_cuts, factors, self.others, self.retain_graph or again)
        through = {id(p): g for p, g in zip(self.others, passed, strict=True)}
        totals: list[Tensor | None] = []
        for parameter, extra in zip(self.own, beside, strict=True):
            main = through.get(id(parameter))
            totals.append(extra if main is None else main if extra is None else main + extra)
        return totals

    def own_by_task(self) -> list[list[Tensor | None]]:
        """The same, task by task."""
        if not self.others:
            return [[found.get(id(p)) for p in self.own] for found in self.private.of_leaves]
        return [self.own_gradients(unit, again=True) for unit in torch.eye(len(self.body.roots), device=self.shared[0].device)]


def _flat(gradients: list[Tensor | None], losses: Tensor) -> Tensor:
    like = next(gradient for gradient in gradients if gradient is not None)
    return torch.stack([torch.zeros_like(like).reshape(-1) if g is None else g.reshape(-1) for g in gradients])
