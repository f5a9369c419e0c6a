"""Dense layers in an autograd graph, and their share of the Gramian without their gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moo_mtl.engines.graph import Anatomy, Node
from moo_mtl.gramian import cross_gramian


@dataclass(frozen=True)
class Dense:
    """A layer :math:`Y = A W^T + b` whose parameters nothing else uses.

    Attributes:
        node: the operation, whose first output is Y.
        weight: ``[m, n]``.
        bias: ``[m]``, or ``None``.
        inputs: A, ``[B, n]``, as the forward pass saved it.
    """

    node: Node
    weight: Tensor
    bias: Tensor | None
    inputs: Tensor

    @property
    def parameters(self) -> list[Tensor]:
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def gramian(self, delta: Tensor) -> Tensor:
        """Inner products of the tasks' gradients from the gradients at the output, ``[K, B, m]`` to ``[K, K]`` float64."""
        if delta.numel() == 0:
            return delta.new_zeros(len(delta), len(delta)).double()
        wide = torch.promote_types(delta.dtype, torch.float32)  # sums of bfloat16 numbers keep float32's digits
        inputs, delta = self.inputs.to(wide), delta.to(wide)
        between = inputs @ inputs.mT + (0 if self.bias is None else 1)
        product = cross_gramian((between @ delta).flatten(1), delta.flatten(1))
        return (product + product.mT) / 2

    def write(self, weights: Tensor, delta: Tensor, places: dict[int, Tensor]) -> None:
        """Write the gradients of the weighted sum of the tasks to ``places``, flat, by ``id`` of the parameter."""
        if delta.numel() == 0:
            return
        place = places[id(self.weight)].view_as(self.weight)
        total = (weights.to(place.dtype) @ delta.to(place.dtype).flatten(1)).reshape(delta.shape[1:])
        torch.mm(total.mT, self.inputs.to(place.dtype), out=place)
        if self.bias is not None:
            torch.sum(total, dim=0, out=places[id(self.bias)])


def dense_layers(body: Anatomy, shared: Sequence[Tensor], n_tasks: int) -> list[Dense]:
    """The dense layers of the common part that are cheaper this way than through K weight gradients."""
    ours = {id(parameter) for parameter in shared}
    parents = Counter(below for node in body.nodes for below, _ in node.next_functions)
    found = []
    for node in body.nodes:
        layer = _dense(node)
        if layer is None or not all(id(p) in ours and body.uses[id(p)] == 1 for p in layer.parameters):
            continue
        turned = node.next_functions[-1][0]
        if parents[turned] == 1 and _pays(layer, n_tasks):
            found.append(layer)
    return found


def _dense(node: Node) -> Dense | None:
    if node.name() == "AddmmBackward0":
        if node._saved_alpha != 1 or node._saved_beta != 1:
            return None
        bias, weight = _leaf(node.next_functions[0][0]), _turned_leaf(node.next_functions[2][0])
        if bias is None or weight is None or bias.shape != weight.shape[:1]:
            return None
        return Dense(node, weight, bias, node._saved_mat1.detach())
    if node.name() == "MmBackward0":
        weight = _turned_leaf(node.next_functions[1][0])
        return None if weight is None else Dense(node, weight, None, node._saved_self.detach())
    return None


def _leaf(node: Node) -> Tensor | None:
    return getattr(node, "variable", None)


def _turned_leaf(node: Node) -> Tensor | None:
    return _leaf(node.next_functions[0][0]) if node is not None and node.name() == "TBackward0" else None


def _pays(layer: Dense, n_tasks: int) -> bool:
    """Multiplications of this way against those of K weight gradients and their products."""
    (batch, n), m, K = layer.inputs.shape, layer.weight.shape[0], n_tasks
    here = batch * batch * n + K * batch * batch * m + K * K * batch * m + batch * n * m
    rows = K * batch * n * m + K * K * n * m
    return here < rows
