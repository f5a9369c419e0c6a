"""MTAN: one shared convolutional network, and for each task attention over what its stages find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from moo_mtl.data.dataset import Dataset
from moo_mtl.models.lenet import channels_of
from moo_mtl.models.multi_head import linear_heads, scalar
from moo_mtl.models.resnet import stages_of, stem_of


def mtan(dataset: Dataset, width: int = 64, stem: str = "small") -> AttentionNetwork:
    """Attention over the four stages of ResNet-18, and a linear head per task.

    Args:
        dataset: of images of at least 8 x 8.
        width: channels of the first stage.
        stem: as in ``resnet18``.

    Raises:
        InputError: inputs that are not images, an unknown stem, or a width below 1.

    Source: Liu, Johns and Davison, End-to-End Multi-Task Learning with Attention, CVPR 2019, arXiv 1803.10704, section 3.2.
    """
    channels = channels_of(dataset, smallest=8, name="mtan")
    sizes = [width, width, 2 * width, 4 * width, 8 * width]
    return AttentionNetwork(stem_of(channels, width, stem), stages_of(width), sizes, linear_heads(sizes[-1], dataset))


class AttentionNetwork(nn.Module):
    r"""Stages :math:`p_j` of two blocks, :math:`u_j` after the first; task k multiplies :math:`p_j` by a mask

    .. math:: a_{kj} = \sigma\big(h_{kj}([u_j; \hat a_{k,j-1}])\big), \qquad \hat a_{kj} = f_{kj}(a_{kj} \odot p_j),

    where :math:`f` brings the channels and the size to those of the next stage.

    Args:
        stem: inputs to the first stage's inputs.
        stages: of two blocks each; shared.
        sizes: channels before the first stage and after each.
        heads: per output, features of the last stage to outputs.
    """

    def __init__(
        self, stem: nn.Module, stages: Sequence[nn.Sequential], sizes: Sequence[int], heads: Mapping[str, nn.Module]
    ) -> None:
        super().__init__()
        self.trunk = nn.ModuleList([stem, *stages])
        self.tasks, self.heads = tuple(heads), nn.ModuleList(heads.values())
        after = [*sizes[2:], sizes[-1]]
        self.attention = nn.ModuleList(
            nn.ModuleList(
                _Attention(size + (size if place else 0), size, following)
                for place, (size, following) in enumerate(zip(sizes[1:], after, strict=True))
            )
            for _ in self.tasks
        )

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Per output ``[B]`` where its head has one number, otherwise what the head gives."""
        stem, *stages = self.trunk
        x, found = stem(inputs), []
        for stage in stages:
            assert isinstance(stage, nn.Sequential)
            middle = stage[0](x)
            x = stage[1:](middle)
            found.append((middle, x))
        return {
            task: scalar(head(self._attended(masks, found)))
            for task, head, masks in zip(self.tasks, self.heads, self.attention, strict=True)
        }

    @staticmethod
    def _attended(masks: nn.Module, found: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """One task's features, ``[B, F]``."""
        carried: Tensor | None = None
        for mask, (middle, end) in zip(masks, found, strict=True):  # type: ignore[call-overload]
            if carried is not None:
                carried = nn.functional.adaptive_avg_pool2d(carried, middle.shape[-2:])
            carried = mask(middle if carried is None else torch.cat([middle, carried], dim=1), end)
        assert carried is not None
        return carried.mean(dim=(-2, -1))


class _Attention(nn.Module):
    """A mask from features of the middle of a stage, times its end, brought to the channels of the next stage."""

    def __init__(self, read: int, size: int, following: int) -> None:
        super().__init__()
        self.mask = nn.Sequential(
            *(nn.Conv2d(read, max(size // 4, 1), 1), nn.BatchNorm2d(max(size // 4, 1)), nn.ReLU()),
            *(nn.Conv2d(max(size // 4, 1), size, 1), nn.BatchNorm2d(size), nn.Sigmoid()),
        )
        self.onwards = nn.Sequential(nn.Conv2d(size, following, 3, padding=1), nn.BatchNorm2d(following), nn.ReLU())

    def forward(self, read: Tensor, end: Tensor) -> Tensor:
        onwards: Tensor = self.onwards(self.mask(read) * end)
        return onwards
