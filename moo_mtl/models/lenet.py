"""Small convolutional networks for overlaid digits."""

from __future__ import annotations

import torch
from torch import nn

from moo_mtl.data.dataset import Dataset
from moo_mtl.errors import InputError
from moo_mtl.models.multi_head import MultiHead, linear_heads


def lenet(dataset: Dataset, width: int = 50) -> MultiHead:
    """LeNet as in Pareto MTL: 10 channels of 9 x 9, 20 of 5 x 5, each with ReLU and 2 x 2 pooling, then ``width`` features.

    Args:
        dataset: of images of at least 22 x 22.
        width: number of features the heads read.

    Raises:
        InputError: inputs that are not images, or too small ones.
    """
    channels = channels_of(dataset, smallest=22, name="lenet")
    convolutions = nn.Sequential(
        *(nn.Conv2d(channels, 10, 9), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(10, 20, 5), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
    )
    return _with_heads(convolutions, dataset, width)


def small_lenet(dataset: Dataset, width: int = 64) -> MultiHead:
    """LeNet for images of about 10 x 10: 16 channels of 4 x 4 in steps of 2, 32 of 3 x 3, then ``width`` features.

    Steps of 2 stand for pooling: half the time, and on MultiDigits as accurate.

    Args:
        dataset: of images of at least 8 x 8.
        width: number of features the heads read.

    Raises:
        InputError: inputs that are not images, or too small ones.
    """
    channels = channels_of(dataset, smallest=8, name="small-lenet")
    convolutions = nn.Sequential(
        *(nn.Conv2d(channels, 16, 4, stride=2), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3), nn.ReLU()),
        nn.Flatten(),
    )
    return _with_heads(convolutions, dataset, width)


def channels_of(dataset: Dataset, smallest: int, name: str) -> int:
    """Channels of a data set's images.

    Raises:
        InputError: its inputs are not images, or too small ones.
    """
    shape = tuple(dataset.tensor_inputs(name).shape[1:])
    if len(shape) != 3 or min(shape[1:]) < smallest:
        raise InputError(
            f"{name} wants images [channels, height, width] of at least {smallest} x {smallest}, {dataset.name} has {shape}"
        )
    return shape[0]


def _with_heads(convolutions: nn.Sequential, dataset: Dataset, width: int) -> MultiHead:
    if width < 1:
        raise InputError(f"the number of features must be positive, found width={width}")
    with torch.no_grad():
        n_flat = convolutions(dataset.tensor_inputs("lenet")[:1]).shape[1]
    return MultiHead(nn.Sequential(*convolutions, nn.Linear(n_flat, width), nn.ReLU()), linear_heads(width, dataset))
