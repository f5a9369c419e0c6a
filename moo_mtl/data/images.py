"""The MultiMNIST family, composed from the original idx files, and three domains of such images side by side."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from moo_mtl.data.dataset import Dataset, Target
from moo_mtl.data.domains import each_its_own
from moo_mtl.data.files import read
from moo_mtl.data.overlay import draw_pairs, overlaid_pairs
from moo_mtl.data.splitting import consecutive, permutation
from moo_mtl.errors import DataError, InputError

_CITE = "Sabour et al., NeurIPS 2017; Sener and Koltun, NeurIPS 2018; Lin et al. (Pareto MTL), NeurIPS 2019"
_VALIDATION = 10_000  # of the 60,000 training images, kept apart before any pair is made

Protocol = Literal["pareto-mtl", "mgda"]


class _Published(NamedTuple):
    """Numbers of pairs, how far the second image is moved on its canvas of 36 x 36, and the size to which that is shrunk."""

    counts: tuple[int, int, int]
    offset: int
    size: int


_PUBLISHED: dict[str, _Published] = {
    "pareto-mtl": _Published((120_000, 10_000, 20_000), offset=8, size=36),
    "mgda": _Published((60_000, 10_000, 10_000), offset=6, size=28),
}


def multi_mnist(
    protocol: Protocol = "pareto-mtl",
    train: int | None = None,
    validation: int | None = None,
    test: int | None = None,
    offset: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
) -> Dataset:
    """Two MNIST digits on a canvas of 36 x 36, the second moved down and right, the brighter of both where they overlap.

    Pareto MTL: moved by 8, 120,000 and 20,000 pairs. Sener and Koltun's code (MGDA): moved by 6, then shrunk to 28 x 28,
    60,000 and 10,000 pairs. Neither has a validation part; here its pairs come from 10,000 training images that no other
    part shows. The pairs are drawn anew: the published ones are not at hand.

    Args:
        protocol: which of the two; what follows takes the place of its numbers.
        train: number of pairs for training, from MNIST's other training images.
        validation: number of pairs for validation.
        test: number of pairs for testing, from MNIST's test images.
        offset: how far the second digit is moved, in pixels, 0 to 8.
        seed: of the split and of the pairs.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        InputError: a number of pairs is not positive, or the second digit would leave the canvas.
        DataError: a file is absent or damaged.
    """
    return _family("multi-mnist", ("mnist", "mnist"), protocol, (train, validation, test), offset, seed, root)


def multi_fashion(
    protocol: Protocol = "pareto-mtl",
    train: int | None = None,
    validation: int | None = None,
    test: int | None = None,
    offset: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
) -> Dataset:
    """Two Fashion-MNIST articles on one canvas.

    Parameters and errors as ``multi_mnist``.
    """
    places = ("fashion_mnist", "fashion_mnist")
    return _family("multi-fashion", places, protocol, (train, validation, test), offset, seed, root)


def fashion_and_mnist(
    protocol: Protocol = "pareto-mtl",
    train: int | None = None,
    validation: int | None = None,
    test: int | None = None,
    offset: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
) -> Dataset:
    """A Fashion-MNIST article at the top left, an MNIST digit at the bottom right.

    Parameters and errors as ``multi_mnist``.
    """
    places = ("fashion_mnist", "mnist")
    return _family("fashion-and-mnist", places, protocol, (train, validation, test), offset, seed, root)


def multi_domain(
    train: int = 7000, validation: int = 1000, test: int = 2000, seed: int = 0, root: str | Path | None = None
) -> Dataset:
    """Ten classes each of MNIST, Fashion-MNIST and Kuzushiji-MNIST: every task has images of its own.

    Of Kuzushiji-MNIST there are the 10,000 images that are commonly the test part, and they are split anew; of the others
    training and validation images come from the training files. ``Dataset.by_task`` gives what one loader per task reads.

    Args:
        train: number of images per task for training.
        validation: number of images per task for validation.
        test: number of images per task for testing.
        seed: of the choice of images.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        InputError: a number of images is not positive, or there are not as many.
        DataError: a file is absent or damaged.
    """
    pools = {"mnist": image_pool("mnist", root), "fashion": image_pool("fashion_mnist", root), "kmnist": _kmnist(root)}
    domains = {}
    for number, (task, (images, labels)) in enumerate(pools.items()):
        rest, tests = _apart(len(images), test, 3 * seed + number)
        if min(train, validation, test) < 1 or train + validation > len(rest) or test > len(tests):
            raise InputError(
                f"multi-domain: train={train}, validation={validation}, test={test} cannot be drawn from the "
                f"{len(images):,} images of {task}"
            )
        chosen = torch.cat([rest[: train + validation], tests[:test]])
        domains[task] = (images[chosen][:, None], labels[chosen])
    splits = consecutive([train, validation, test])
    targets = [Target(task, "classes", 10) for task in domains]
    cite = "LeCun et al. 1998; Xiao et al. 2017; Clanuwat et al. 2018"
    return each_its_own("multi-domain", domains, dict.fromkeys(domains, splits), targets, cite)


def _family(
    name: str,
    places: tuple[str, str],
    protocol: Protocol,
    counts: tuple[int | None, int | None, int | None],
    offset: int | None,
    seed: int,
    root: str | Path | None,
) -> Dataset:
    published = _PUBLISHED[protocol]
    moved = published.offset if offset is None else offset
    if not 0 <= moved <= 8:
        raise InputError(f"{name}: offset must be 0 to 8 pixels, found {moved}; the canvas is 36 x 36 and an image 28 x 28")
    pools = {place: image_pool(place, root) for place in dict.fromkeys(places)}
    (first, first_labels), (second, second_labels) = (pools[place] for place in places)
    order = permutation(60_000, seed)
    sources = {"train": order[_VALIDATION:], "validation": order[:_VALIDATION], "test": torch.arange(60_000, 70_000)}
    generator = torch.Generator().manual_seed(seed + 1)
    pairs = {
        part: draw_pairs(positions, positions, usual if count is None else count, generator)
        for (part, positions), usual, count in zip(sources.items(), published.counts, counts, strict=True)
    }
    labels = (first_labels, second_labels)
    return overlaid_pairs(name, (first, second), labels, pairs, moved, _CITE, canvas=36, size=published.size)


def _apart(n_images: int, n_tests: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images to train with and images to test with, in random order; where there is a test file, the latter are its."""
    if n_images == 70_000:
        return permutation(60_000, seed), 60_000 + permutation(10_000, seed)
    order = permutation(n_images, seed)
    return order[n_tests:], order[:n_tests]


def image_pool(place: str, root: str | Path | None) -> tuple[Tensor, Tensor]:
    """60,000 training images and then 10,000 test images, ``[70000, 28, 28]`` in [0, 1], and their classes."""
    images = [_idx(f"{place}/{part}-images-idx3-ubyte", root) for part in ("train", "t10k")]
    labels = [_idx(f"{place}/{part}-labels-idx1-ubyte", root) for part in ("train", "t10k")]
    return torch.cat(images).float() / 255, torch.cat(labels).long()


def _kmnist(root: str | Path | None) -> tuple[Tensor, Tensor]:
    """10,000 images ``[10000, 28, 28]`` in [0, 1], and their classes."""
    images, labels = (
        np.load(io.BytesIO(read(f"kmnist_10k/kmnist-test-{kind}.npz", root)), allow_pickle=False)["arr_0"]
        for kind in ("imgs", "labels")
    )
    return torch.from_numpy(images).float() / 255, torch.from_numpy(labels).long()


def _idx(name: str, root: str | Path | None) -> Tensor:
    """LeCun's idx format: two zero bytes, a type (8: unsigned byte), the number of dimensions, their sizes, the values."""
    content = read(name, root)
    if content[:3] != b"\0\0\x08":
        raise DataError(f"{name} is not an idx file of unsigned bytes; it begins with {content[:4]!r}")
    n_dims = content[3]
    shape = struct.unpack(f">{n_dims}I", content[4 : 4 + 4 * n_dims])
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=4 + 4 * n_dims).reshape(shape).copy())
