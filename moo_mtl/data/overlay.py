"""Two images on one canvas: the construction of MultiMNIST, at any size."""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl.data.dataset import Dataset, Examples, Target
from moo_mtl.errors import InputError

TASKS = ("top-left", "bottom-right")


def overlay(first: Tensor, second: Tensor, offset: int) -> Tensor:
    """``first`` at the top left and ``second`` moved down and right by ``offset``, the brighter of both where they overlap.

    Args:
        first: ``[N, S, S]``.
        second: ``[N, S, S]``.
        offset: pixels; the canvas has side ``S + offset``.

    Returns:
        ``[N, 1, S + offset, S + offset]``.
    """
    pad = torch.nn.functional.pad
    return torch.maximum(pad(first, (0, offset, 0, offset)), pad(second, (offset, 0, offset, 0)))[:, None]


def overlaid_pairs(
    name: str,
    images: tuple[Tensor, Tensor],
    labels: tuple[Tensor, Tensor],
    pairs: dict[str, Tensor],
    offset: int,
    cite: str,
    *,
    canvas: int | None = None,
    size: int | None = None,
) -> Dataset:
    """A data set of overlaid pairs: which digit is at the top left, and which at the bottom right.

    Args:
        name: of the data set.
        images: the pool that each place draws from, ``[M, S, S]`` twice in [0, 1].
        labels: their classes, ``[M]`` twice.
        pairs: per part ``[N_part, 2]``, the positions in the two pools.
        offset: as in ``overlay``.
        cite: where the images come from.
        canvas: side of the canvas, wider than what the images cover; by default just that.
        size: side to which the canvas is shrunk, by bilinear interpolation; by default its own.
    """
    chosen = torch.cat(list(pairs.values()))
    sizes = [len(part) for part in pairs.values()]
    shown = overlay(images[0][chosen[:, 0]], images[1][chosen[:, 1]], offset)
    if canvas is not None:
        margin = canvas - shown.shape[-1]
        shown = torch.nn.functional.pad(shown, (0, margin, 0, margin))
    if size not in (None, shown.shape[-1]):
        shown = torch.nn.functional.interpolate(shown, size=size, mode="bilinear", antialias=True)
    targets = {task: classes[chosen[:, i]].long() for i, (task, classes) in enumerate(zip(TASKS, labels, strict=True))}
    splits = dict(zip(pairs, torch.split(torch.arange(len(chosen)), sizes), strict=True))
    # One pool for both places: a position is the same image in either. Two pools are numbered one after the other.
    shift = 0 if images[0] is images[1] else len(images[0])
    sources = chosen + torch.tensor([0, shift])
    return Dataset(name, Examples(shown, targets), splits, tuple(Target(task, "classes", 10) for task in TASKS), sources, cite)


def draw_pairs(first: Tensor, second: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """``count`` uniform pairs from two lists of positions, ``[count, 2]``; a pair never shows one position twice.

    Raises:
        InputError: ``count`` is not positive.
    """
    if count < 1:
        raise InputError(f"the number of pairs must be positive, found {count}")
    left = torch.randint(len(first), (count,), generator=generator)
    right = torch.randint(len(second), (count,), generator=generator)
    same = first[left] == second[right]
    right = torch.where(same, (right + 1) % len(second), right)
    return torch.stack([first[left], second[right]], dim=1)
