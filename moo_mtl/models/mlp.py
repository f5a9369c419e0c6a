"""Fully connected networks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from moo_mtl.data.dataset import Dataset
from moo_mtl.errors import InputError
from moo_mtl.models.multi_head import MultiHead, linear_heads


def mlp(dataset: Dataset, widths: Sequence[int] = (128, 64), dropout: float = 0.0) -> MultiHead:
    """Flattened inputs through layers of the given widths with ReLU, then a linear head per task.

    Args:
        dataset: sizes of input and heads are read off it.
        widths: of the shared layers.
        dropout: probability, after every shared layer.

    Raises:
        InputError: no width, a width below 1, or a probability outside [0, 1).
    """
    if not widths or min(widths) < 1:
        raise InputError(f"mlp: widths must be positive integers, at least one, found {list(widths)}")
    if not 0 <= dropout < 1:
        raise InputError(f"mlp: dropout must be a probability in [0, 1), found {dropout}")
    layers: list[nn.Module] = [nn.Flatten()]
    for width_in, width_out in pairwise((_n_inputs(dataset), *widths)):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return MultiHead(nn.Sequential(*layers), linear_heads(widths[-1], dataset))


def linear(dataset: Dataset, width: int = 16) -> MultiHead:
    """One shared linear layer and a linear head per task: a low-rank linear model.

    Args:
        dataset: sizes of input and heads are read off it.
        width: rank of what the tasks share.

    Raises:
        InputError: a width below 1.
    """
    if width < 1:
        raise InputError(f"linear: width must be a positive integer, found {width}")
    return MultiHead(nn.Sequential(nn.Flatten(), nn.Linear(_n_inputs(dataset), width)), linear_heads(width, dataset))


def gates(dataset: Dataset) -> MultiHead:
    """The task tensioner's network for logic gates: two sigmoid units, and a linear head per task."""
    return MultiHead(nn.Sequential(nn.Linear(_n_inputs(dataset), 2), nn.Sigmoid()), linear_heads(2, dataset))


def _n_inputs(dataset: Dataset) -> int:
    return dataset.tensor_inputs("a fully connected network")[0].numel()
