"""A small encoder-decoder for tasks with an answer for every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from moo_mtl.data.dataset import Dataset
from moo_mtl.errors import InputError
from moo_mtl.models.lenet import channels_of
from moo_mtl.models.multi_head import MultiHead


def segnet(dataset: Dataset, widths: Sequence[int] = (32, 64, 128)) -> MultiHead:
    """A shared encoder-decoder after SegNet, and a head of two convolutions for each dense task.

    Each stage of the encoder halves the image, and its mirror in the decoder puts every value back where it was the largest.

    Args:
        dataset: of images whose sides are multiples of ``2 ** len(widths)``, with dense tasks.
        widths: channels of the encoder's stages; the decoder has them in reverse.

    Raises:
        InputError: inputs that are not images, sides that cannot be halved so often, a width below 1, or a task that is
            not dense.

    Source: Badrinarayanan, Kendall and Cipolla, SegNet, PAMI 2017, arXiv 1511.00561; heads as in Liu, Johns and Davison (MTAN),
        CVPR 2019.
    """
    if not widths or min(widths) < 1:
        raise InputError(f"segnet: widths must be positive integers, at least one, found {list(widths)}")
    flat = [task.name for task in dataset.tasks if not task.dense]
    if flat:
        raise InputError(f"segnet answers for every pixel, and {dataset.name} has tasks that do not ask so: {', '.join(flat)}")
    channels, sides = channels_of(dataset, 2 ** len(widths), "segnet"), dataset.tensor_inputs("segnet").shape[2:]
    if any(side % 2 ** len(widths) for side in sides):
        raise InputError(f"segnet halves images {len(widths)} times, and {tuple(sides)} cannot be; give fewer widths, or crop")
    heads = {task.output: dense_head(widths[0], task.n_outputs) for task in dataset.tasks}
    return MultiHead(EncoderDecoder(channels, widths), heads)


class EncoderDecoder(nn.Module):
    """``[B, C, H, W]`` to ``[B, widths[0], H, W]``."""

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        ends = [*reversed(widths), widths[0]]
        self.encoder = nn.ModuleList(_twice(before, after) for before, after in pairwise((channels, *widths)))
        self.decoder = nn.ModuleList(_twice(before, after) for before, after in pairwise(ends))

    def forward(self, x: Tensor) -> Tensor:
        """Features of every pixel."""
        largest: list[Tensor] = []
        for stage in self.encoder:
            x, place = halved(stage(x))
            largest.append(place)
        for stage, place in zip(self.decoder, reversed(largest), strict=True):
            x = stage(doubled(x, place))
        return x


def halved(x: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of every 2 x 2 pixels, and which of the four it was (a one among zeros), ``[B, C, H/2, W/2, 4]``."""
    batch, channels, height, width = x.shape
    squares = x.reshape(batch, channels, height // 2, 2, width // 2, 2).transpose(3, 4).flatten(4)
    place = nn.functional.one_hot(squares.argmax(dim=-1), 4).to(x)
    return (squares * place).sum(dim=-1), place


def doubled(x: Tensor, place: Tensor) -> Tensor:
    """Each value back at its place of a square of 2 x 2, zeros at the other three."""
    batch, channels, height, width = x.shape
    squares = (x[..., None] * place).unflatten(4, (2, 2)).transpose(3, 4)
    return squares.reshape(batch, channels, 2 * height, 2 * width)


def dense_head(features: int, n_outputs: int) -> nn.Sequential:
    """A head with an output for every pixel."""
    return nn.Sequential(nn.Conv2d(features, features, 3, padding=1), nn.Conv2d(features, n_outputs, 1))


def _twice(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()),
        *(nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()),
    )
