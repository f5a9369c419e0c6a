"""Convolutions in an autograd graph, and the weight gradients of all tasks at once where channels are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl.engines.graph import Anatomy, Node


class Geometry(NamedTuple):
    """What ``torch.convolution`` takes after input, weight and bias."""

    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    transposed: bool
    output_padding: Sequence[int]
    groups: int


@dataclass(frozen=True)
class Convolution:
    """A convolution whose parameters are leaves.

    Attributes:
        node: the operation, whose first output is Y.
        weight: ``[m, n, *kernel]``.
        bias: ``[m]``, or ``None``.
        inputs: A, ``[B, n, *space]``, as the forward pass saved it.
        geometry: strides and the like.
    """

    node: Node
    weight: Tensor
    bias: Tensor | None
    inputs: Tensor
    geometry: Geometry

    @property
    def parameters(self) -> list[Tensor]:
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    @property
    def out(self) -> list[int]:
        """The output's extent in space, of a convolution that is not transposed."""
        stride, padding, dilation, *_ = self.geometry
        extents = zip(self.inputs.shape[2:], self.weight.shape[2:], stride, padding, dilation, strict=True)
        return [(size + 2 * pad - apart * (wide - 1) - 1) // step + 1 for size, wide, step, pad, apart in extents]

    def rows(self, delta: Tensor) -> list[Tensor]:
        r"""The tasks' gradients of ``parameters`` from those at the output, ``[K, B, m, *out]`` to ``[K, m, n, *kernel]``
        (and ``[K, m]``).

        With the patches U ``[n |kernel|, B |out|]`` that the kernel sees, unfolded once, :math:`\partial_W \ell_k = \delta_k
        U^\top`, so that the K products are one with K m rows. Examples are taken in parts that stay in a CPU's cache.
        """
        wide = torch.promote_types(delta.dtype, torch.float32)
        n_tasks, _, outputs, *out = delta.shape
        window = self.weight[0].numel()
        products = delta.new_zeros(n_tasks * outputs, window, dtype=wide)
        sums = delta.new_zeros(n_tasks * outputs, dtype=wide)
        part = max(1, _CACHED // max(1, window * prod(out)))
        for inputs, piece in zip(self.inputs.split(part), delta.split(part, dim=1), strict=True):
            turned = piece.transpose(1, 2).reshape(n_tasks * outputs, -1).to(wide)
            products.addmm_(turned, self._patches(inputs.to(wide), out).mT)
            sums += turned.sum(dim=1)
        rows = products.view(n_tasks, *self.weight.shape)
        return [rows] if self.bias is None else [rows, sums.view(n_tasks, outputs)]

    def _patches(self, inputs: Tensor, out: Sequence[int]) -> Tensor:
        """U of some examples, ``[b, n, *space]`` to ``[n |kernel|, b |out|]``."""
        around = [width for pad in reversed(self.geometry.padding) for width in (pad, pad)]
        padded = torch.nn.functional.pad(inputs, around).contiguous()
        of_batch, of_channel, *of_space = padded.stride()
        of_kernel = [step * apart for step, apart in zip(of_space, self.geometry.dilation, strict=True)]
        of_out = [step * apart for step, apart in zip(of_space, self.geometry.stride, strict=True)]
        shape = (*self.weight.shape[1:], len(inputs), *out)
        seen = padded.as_strided(shape, (of_channel, *of_kernel, of_batch, *of_out))
        return seen.reshape(self.weight[0].numel(), -1)


def convolution_at(node: Node) -> Convolution | None:
    """The convolution that the operation ``node`` is; ``None`` if it is another, or its parameters are no leaves."""
    if node.name() != "ConvolutionBackward0":
        return None
    weight, bias = (getattr(below, "variable", None) for below, _ in node.next_functions[1:3])
    if weight is None or (bias is None and node.next_functions[2][0] is not None):
        return None
    geometry = Geometry(
        node._saved_stride,
        node._saved_padding,
        node._saved_dilation,
        node._saved_transposed,
        node._saved_output_padding,
        node._saved_groups,
    )
    return Convolution(node, weight, bias, node._saved_input.detach(), geometry)


def narrow_convolutions(body: Anatomy, shared: Sequence[Tensor], n_tasks: int) -> list[Convolution]:
    """The convolutions of the common part, used once, whose K weight gradients are cheaper all at once than one by one; as
    many as let K gradients at their outputs be held.
    """
    ours, found, held = {id(parameter) for parameter in shared}, [], 0
    for layer in filter(None, map(convolution_at, body.nodes)):
        if all(id(p) in ours and body.uses[id(p)] == 1 for p in layer.parameters) and _pays(layer, n_tasks):
            size = n_tasks * len(layer.inputs) * len(layer.weight) * prod(layer.out)
            if held + size <= _HELD:
                held += size
                found.append(layer)
    return found


def _pays(layer: Convolution, n_tasks: int) -> bool:
    """Cost of this way against that of K weight gradients, in multiplications for each place of the output and task.

    On a CPU a weight gradient works on whole vectors of channels: 10 of them cost what 16 do. A matrix product of all tasks
    wastes nothing, but patches have to be laid out, and output gradients turned: an entry costs what 32, or 100,
    multiplications do. Measured on one core with vectors of 16, 3 to 128 channels, batches of 32 to 256, K from 2 to 20.
    """
    if layer.geometry.transposed or layer.geometry.groups != 1 or layer.weight.device.type != "cpu":
        return False
    m, n, *kernel = layer.weight.shape
    size = prod(kernel)
    here = 1.2 * m * n * size + 32 * n * size / n_tasks + 100 * m
    one_by_one = _filled(m) * (n if n <= 3 else _filled(n)) * size  # images of 1 or 3 channels have kernels of their own
    return here < one_by_one


def _filled(channels: int) -> int:
    return -(-channels // _VECTOR) * _VECTOR


_CACHED = 131_072  # numbers of the patches that are laid out at a time
_HELD = 2**25  # numbers
_VECTOR = 16  # channels
