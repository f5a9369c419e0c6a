"""Cross-stitch networks: a column of layers for each task, and after every layer a learned mixture of the columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from moo_mtl.data.dataset import Dataset
from moo_mtl.errors import InputError
from moo_mtl.models.multi_head import linear_heads, scalar


def cross_stitch(dataset: Dataset, widths: Sequence[int] = (64, 32), own: float = 0.9) -> CrossStitch:
    """Fully connected columns, stitched after every layer.

    Args:
        dataset: sizes of input and heads are read off it.
        widths: of each column's layers.
        own: initial share of a task's own column in its mixture; the others share the rest.

    Raises:
        InputError: no width, a width below 1, or a share outside [0, 1].

    Source: Misra, Shrivastava, Gupta and Hebert, Cross-stitch Networks for Multi-task Learning, CVPR 2016, arXiv 1604.03539,
        equation 1.
    """
    if not widths or min(widths) < 1:
        raise InputError(f"cross-stitch: widths must be positive integers, at least one, found {list(widths)}")
    if not 0 <= own <= 1:
        raise InputError(f"cross-stitch: own must be a share in [0, 1], found {own}")
    heads = linear_heads(widths[-1], dataset)
    sizes = (dataset.tensor_inputs("cross-stitch")[0].numel(), *widths)
    layers = [[nn.Linear(before, after) for _ in heads] for before, after in pairwise(sizes)]
    return CrossStitch(layers, heads, own)


class CrossStitch(nn.Module):
    r"""Columns :math:`x_k` of layers, with :math:`x_k \leftarrow \sum_j \alpha_{kj} x_j` after each; every task's loss reaches
    every column, but for its last mixture's row and its head.

    Args:
        layers: for each depth a layer per task, of equal sizes.
        heads: per output, features to outputs.
        own: the initial :math:`\alpha_{kk}`.
    """

    def __init__(self, layers: Sequence[Sequence[nn.Module]], heads: Mapping[str, nn.Module], own: float) -> None:
        super().__init__()
        n_tasks = len(heads)
        self.layers: Sequence[Sequence[nn.Module]] = nn.ModuleList(map(nn.ModuleList, layers))  # type: ignore[assignment]
        self.tasks, self.heads = tuple(heads), nn.ModuleList(heads.values())
        start = torch.full((n_tasks, n_tasks), (1 - own) / max(n_tasks - 1, 1)).fill_diagonal_(own)
        self.mixtures = nn.ParameterList(nn.Parameter(row.clone()) for _ in layers for row in start)  # a row for each task

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Per output ``[B]`` where its head has one number, otherwise what the head gives."""
        columns = [inputs.flatten(1)] * len(self.tasks)
        for depth, layers in enumerate(self.layers):
            found = torch.stack([torch.relu(layer(x)) for layer, x in zip(layers, columns, strict=True)], dim=-1)
            columns = [found @ row for row in self._rows(depth)]
        return {task: scalar(head(x)) for task, head, x in zip(self.tasks, self.heads, columns, strict=True)}

    def shared_parameters(self) -> list[nn.Parameter]:
        """All layers, and all mixtures but the last, whose rows belong to a task each."""
        rows = [row for depth in range(len(self.layers) - 1) for row in self._rows(depth)]
        return [*(parameter for depth in self.layers for layer in depth for parameter in layer.parameters()), *rows]

    def _rows(self, depth: int) -> list[nn.Parameter]:
        n_tasks = len(self.tasks)
        return list(self.mixtures[depth * n_tasks : (depth + 1) * n_tasks])
