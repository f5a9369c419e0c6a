"""The MultiMNIST family, composed from the original idx files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from moo_mtl.data.dataset import Dataset
from moo_mtl.data.files import read
from moo_mtl.data.overlay import draw_pairs, overlaid_pairs
from moo_mtl.data.splitting import permutation
from moo_mtl.errors import DataError, InputError

_CITE = "Sabour et al., NeurIPS 2017; Sener and Koltun, NeurIPS 2018; Lin et al. (Pareto MTL), NeurIPS 2019"
_VALIDATION = 10_000  # of the 60,000 training images, kept apart before any pair is made


def multi_mnist(train: int = 60_000, validation: int = 10_000, test: int = 10_000, offset: int = 8, seed: int = 0,
                root: str | Path | None = None) -> Dataset:  # fmt: skip
    """Two MNIST digits on a 36 x 36 canvas, Pareto MTL's size; by default as many pairs as images, as in Sener and Koltun.

    Args:
        train: number of pairs for training, from the first part of MNIST's training images.
        validation: number of pairs for validation, from 10,000 other training images.
        test: number of pairs for testing, from MNIST's test images.
        offset: how far the second digit is moved, in pixels.
        seed: of the split and of the pairs.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        InputError: a number of pairs is not positive.
        DataError: a file is absent or damaged.
    """
    return _family("multi-mnist", ("mnist", "mnist"), (train, validation, test), offset, seed, root)


def multi_fashion(train: int = 60_000, validation: int = 10_000, test: int = 10_000, offset: int = 8, seed: int = 0,
                  root: str | Path | None = None) -> Dataset:  # fmt: skip
    """Two Fashion-MNIST articles on a 36 x 36 canvas; parameters and errors as ``multi_mnist``."""
    return _family("multi-fashion", ("fashion_mnist", "fashion_mnist"), (train, validation, test), offset, seed, root)


def fashion_and_mnist(train: int = 60_000, validation: int = 10_000, test: int = 10_000, offset: int = 8, seed: int = 0,
                      root: str | Path | None = None) -> Dataset:  # fmt: skip
    """A Fashion-MNIST article at the top left, an MNIST digit at the bottom right; parameters and errors as ``multi_mnist``."""
    return _family("fashion-and-mnist", ("fashion_mnist", "mnist"), (train, validation, test), offset, seed, root)


def _family(
    name: str, places: tuple[str, str], counts: tuple[int, int, int], offset: int, seed: int, root: str | Path | None
) -> Dataset:
    if offset < 0:
        raise InputError(f"{name}: offset must not be negative, found {offset}")
    pools = {place: _pool(place, root) for place in dict.fromkeys(places)}
    (first, first_labels), (second, second_labels) = (pools[place] for place in places)
    order = permutation(60_000, seed)
    sources = {"train": order[_VALIDATION:], "validation": order[:_VALIDATION], "test": torch.arange(60_000, 70_000)}
    generator = torch.Generator().manual_seed(seed + 1)
    pairs = {
        part: draw_pairs(positions, positions, count, generator)
        for (part, positions), count in zip(sources.items(), counts, strict=True)
    }
    return overlaid_pairs(name, (first, second), (first_labels, second_labels), pairs, offset, _CITE)


def _pool(place: str, root: str | Path | None) -> tuple[Tensor, Tensor]:
    """60,000 training images and then 10,000 test images, ``[70000, 28, 28]`` in [0, 1], and their classes."""
    images = [_idx(f"{place}/{part}-images-idx3-ubyte", root) for part in ("train", "t10k")]
    labels = [_idx(f"{place}/{part}-labels-idx1-ubyte", root) for part in ("train", "t10k")]
    return torch.cat(images).float() / 255, torch.cat(labels).long()


def _idx(name: str, root: str | Path | None) -> Tensor:
    """LeCun's idx format: two zero bytes, a type (8: unsigned byte), the number of dimensions, their sizes, the values."""
    content = read(name, root)
    if content[:3] != b"\0\0\x08":
        raise DataError(f"{name} is not an idx file of unsigned bytes; it begins with {content[:4]!r}")
    n_dims = content[3]
    shape = struct.unpack(f">{n_dims}I", content[4 : 4 + 4 * n_dims])
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=4 + 4 * n_dims).reshape(shape).copy())
