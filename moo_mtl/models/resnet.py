"""ResNet-18."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from moo_mtl.data.dataset import Dataset
from moo_mtl.errors import InputError, unknown
from moo_mtl.models.lenet import channels_of
from moo_mtl.models.multi_head import MultiHead, linear_heads


def resnet18(dataset: Dataset, stem: Literal["small", "large"] = "small", width: int = 64) -> MultiHead:
    """ResNet-18 up to its mean over pixels as the shared trunk, and a linear head per task.

    Args:
        dataset: of images of at least 8 x 8.
        stem: ``"small"``, a 3 x 3 convolution, for images of about 32 x 32; ``"large"``, a 7 x 7 one in steps of 2 and
            pooling, as for ImageNet.
        width: channels of the first stage; each of the other three doubles them.

    Raises:
        InputError: inputs that are not images, an unknown stem, or a width below 1.

    Source: He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, CVPR 2016, arXiv 1512.03385, Table 1.
    """
    channels = channels_of(dataset, smallest=8, name="resnet18")
    stages = [stem_of(channels, width, stem), *stages_of(width)]
    trunk = nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return MultiHead(trunk, linear_heads(8 * width, dataset))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions, and the input added; where the size changes, a 1 x 1 convolution of it."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()),
            *(nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)),
        )
        same = stride == 1 and before == after
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[B, before, H, W]`` to ``[B, after, H / stride, W / stride]``."""
        return torch.relu(self.body(x) + self.shortcut(x))


def stem_of(channels: int, width: int, stem: str) -> nn.Sequential:
    """The layers before the first stage.

    Raises:
        InputError: an unknown stem, or a width below 1.
    """
    if width < 1:
        raise InputError(f"resnet18: width must be positive, found {width}")
    if stem == "small":
        return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
    if stem == "large":
        first = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        return nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1))
    raise unknown("stem of resnet18:", stem, ("small", "large"))


def stages_of(width: int) -> list[nn.Sequential]:
    """Four stages of two blocks; each but the first halves the image and doubles the channels."""
    sizes = [width, width, 2 * width, 4 * width, 8 * width]
    strides = (1, 2, 2, 2)
    return [
        nn.Sequential(BasicBlock(before, after, stride), BasicBlock(after, after, 1))
        for before, after, stride in zip(sizes, sizes[1:], strides, strict=False)
    ]
