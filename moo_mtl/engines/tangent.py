"""How the output of a dense layer or a convolution moves with its parameters, from what the forward pass saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moo_mtl.engines.convolution import convolution_at
from moo_mtl.engines.dense import dense_at
from moo_mtl.engines.graph import Node

Changes = Mapping[int, Tensor]  # of parameters, by ``id``


@dataclass(frozen=True)
class Tangent:
    """One use of parameters, linear in each of them.

    Attributes:
        node: the operation, whose first output is Y.
        parameters: weight, and bias where there is one.
        moved: from changes of the parameters to the change of Y while the operation's inputs stay as they are.
    """

    node: Node
    parameters: Sequence[Tensor]
    moved: Callable[[Changes], Tensor]


def tangents(nodes: Iterable[Node], shared: Sequence[Tensor]) -> list[Tangent]:
    """The uses of all parameters in ``shared`` that dense layers and convolutions alone use."""
    found, uses, ours = [], Counter[int](), {id(parameter) for parameter in shared}
    for node in nodes:
        uses.update(id(below.variable) for below, _ in node.next_functions if hasattr(below, "variable"))
        found += [tangent for tangent in (_dense(node), _convolution(node)) if tangent is not None]
    while True:
        seen = Counter(id(parameter) for tangent in found for parameter in tangent.parameters)
        kept = [t for t in found if all(id(p) in ours and seen[id(p)] == uses[id(p)] for p in t.parameters)]
        if len(kept) == len(found):
            return kept
        found = kept


def _dense(node: Node) -> Tangent | None:
    layer = dense_at(node)
    if layer is None:
        return None

    def moved(changes: Changes) -> Tensor:
        along = layer.inputs @ changes[id(layer.weight)].mT
        return along if layer.bias is None else along + changes[id(layer.bias)]

    return Tangent(node, layer.parameters, moved)


def _convolution(node: Node) -> Tangent | None:
    layer = convolution_at(node)
    if layer is None:
        return None

    def moved(changes: Changes) -> Tensor:
        bias = None if layer.bias is None else changes[id(layer.bias)]
        return torch.convolution(layer.inputs, changes[id(layer.weight)], bias, *layer.geometry)

    return Tangent(node, layer.parameters, moved)
