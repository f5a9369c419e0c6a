"""Dense layers in an autograd graph, and their share of the Gramian without their gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moo_mtl.engines.graph import Anatomy, Node
from moo_mtl.gramian import BLOCK


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
        wide = torch.promote_types(delta.dtype, torch.float32)  # sums of bfloat16 numbers keep float32's digits
        inputs, delta = self.inputs.to(wide), delta.to(wide)
        between = inputs @ inputs.mT + (0 if self.bias is None else 1)
        product = _products((between @ delta).flatten(1), delta.flatten(1))
        return (product + product.mT) / 2

    def write(self, weights: Tensor, delta: Tensor, places: dict[int, Tensor]) -> None:
        """Write the gradients of the weighted sum of the tasks to ``places``, flat, by ``id`` of the parameter."""
        place = places[id(self.weight)].view_as(self.weight)
        total = (weights.to(place.dtype) @ delta.to(place.dtype).flatten(1)).reshape(delta.shape[1:])
        torch.mm(total.mT, self.inputs.to(place.dtype), out=place)
        if self.bias is not None:
            torch.sum(total, dim=0, out=places[id(self.bias)])


def _products(left: Tensor, right: Tensor) -> Tensor:
    """``[K, D]`` twice to ``[K, K]`` float64. What is multiplied has been rounded on its way here, so blocks in its own
    precision, added in float64, lose nothing more and cost a tenth.
    """
    blocks = zip(left.split(BLOCK, dim=-1), right.split(BLOCK, dim=-1), strict=True)
    return torch.stack([(a @ b.mT).double() for a, b in blocks]).sum(dim=0)


def dense_layers(body: Anatomy, shared: Sequence[Tensor], n_tasks: int) -> list[Dense]:
    """The dense layers of the common part that are cheaper this way than through K weight gradients."""
    ours = {id(parameter) for parameter in shared}
    parents = Counter(below for node in body.nodes for below, _ in node.next_functions)
    found = []
    for node in body.nodes:
        layer = dense_at(node)
        if layer is None or not all(id(p) in ours and body.uses[id(p)] == 1 for p in layer.parameters):
            continue
        turned = node.next_functions[-1][0]
        if parents[turned] == 1 and saved(layer, n_tasks) > 0:
            found.append(layer)
    return found


def dense_at(node: Node) -> Dense | None:
    """The dense layer that the operation ``node`` is; ``None`` if it is another, or its parameters are no leaves."""
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


def saved(layer: Dense, n_tasks: int) -> int:
    """What this way costs less than K weight gradients and their products, in multiplications of a matrix product.

    Entries that are only passed over (converted, added, written) are limited by memory: one costs what 40 multiplications
    do, and one of the rows, which are multiplied in float64, 150. Measured on one core, K = 10 and 40, B = 32 and 256.
    """
    (batch, n), m, K = layer.inputs.shape, layer.weight.shape[0], n_tasks
    here = batch * batch * n + K * batch * batch * m + 40 * K * batch * m + batch * n * m
    rows = K * batch * n * m + 150 * K * n * m
    return rows - here


def multiplications(body: Anatomy) -> float:
    """Multiplications of the dense layers in one pass through the common part, per operation; 0 where nothing is dense."""
    layers = [layer for layer in map(dense_at, body.nodes) if layer is not None]
    return sum(layer.inputs.numel() * len(layer.weight) for layer in layers) / max(len(body.nodes), 1)
