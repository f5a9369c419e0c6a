"""Folders of pictures: Office-31 and Office-Home with LibMTL's lists, CelebA with its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from moo_mtl.data.dataset import SPLITS, Dataset, Examples, Target
from moo_mtl.data.domains import each_its_own
from moo_mtl.data.files import folder
from moo_mtl.data.splitting import consecutive
from moo_mtl.errors import DataError, InputError

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for networks pretrained on it


class _Office(NamedTuple):
    domains: tuple[str, ...]
    n_classes: int
    cite: str


_OFFICE = {
    "office-31": _Office(("amazon", "dslr", "webcam"), 31, "Saenko et al., ECCV 2010, in the splits of LibMTL"),
    "office-home": _Office(
        ("Art", "Clipart", "Product", "Real_World"), 65, "Venkateswara et al., CVPR 2017, in the splits of LibMTL"
    ),
}


def office_31(size: int = 224, root: str | Path | None = None) -> Dataset:
    """31 classes of objects in three domains, a task each: every task has pictures of its own.

    Read from ``office-31/``: lists ``amazon_train.txt``, ``amazon_val.txt``, ``amazon_test.txt`` and so on for dslr and
    webcam (there or in a folder ``data_txt/office-31`` beside it), each line a path below ``office-31/`` and a class. Pictures
    are shrunk so that their shorter side is ``size``, cut to the middle square, and normalised as ImageNet's. They
    are held in memory, 0.6 MB each at 224. ``Dataset.by_task`` gives what one loader per task reads.

    Args:
        size: of the square pictures, in pixels.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        InputError: ``size`` is not positive.
        DataError: a list or a picture is absent, damaged, or names a class that there is not.
    """
    return _office("office-31", size, root)


def office_home(size: int = 224, root: str | Path | None = None) -> Dataset:
    """65 classes of objects in four domains, a task each: every task has pictures of its own.

    Layout, parameters and errors as ``office_31``; lists are called ``Art_train.txt`` and so on for Clipart, Product and
    Real_World.
    """
    return _office("office-home", size, root)


def celeba(size: int = 64, limit: int | None = None, root: str | Path | None = None) -> Dataset:
    """Forty attributes of faces, a binary task each: 162,770 / 19,867 / 19,962 pictures in CelebA's own split.

    Read from ``celeba/``: ``list_attr_celeba.txt``, ``list_eval_partition.txt`` and the folder ``img_align_celeba``. All
    pictures are held in memory, 49 kB each at 64: 10 GB without a limit.

    Args:
        size: of the square pictures, in pixels; the aligned faces are shrunk and cut to the middle.
        limit: how many pictures of each part to read, the first ones; ``None``: all.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        InputError: ``size`` or ``limit`` is not positive.
        DataError: a list or a picture is absent or damaged, or the lists contradict each other.
    """
    place = folder("celeba", root)
    if limit is not None and limit < 1:
        raise InputError(f"celeba: limit must be positive, found {limit}")
    header, *rows = _lines(place / "list_attr_celeba.txt")[1:]
    attributes = header.split()
    labels = {name: values for name, *values in (row.split() for row in rows)}
    partition = dict(_pairs(place / "list_eval_partition.txt"))
    if set(partition) != set(labels):
        raise DataError(f"{place}: the lists of attributes and of the partition name different pictures")
    members = [[name for name, part in partition.items() if part == str(number)][:limit] for number in range(len(SPLITS))]
    names = [name for part in members for name in part]
    if any(len(labels[name]) != len(attributes) or not {"1", "-1"}.issuperset(labels[name]) for name in names):
        raise DataError(f"{place / 'list_attr_celeba.txt'}: expected 1 or -1 for each of its {len(attributes)} attributes")
    signs = np.array([labels[name] for name in names])
    images = _pictures([place / "img_align_celeba" / name for name in names], size)
    targets = {name: torch.from_numpy((signs[:, k] == "1").astype(np.float32)) for k, name in enumerate(attributes)}
    tasks = tuple(Target(name, "binary") for name in attributes)
    splits = consecutive([len(part) for part in members])
    return Dataset("celeba", Examples(images, targets), splits, tasks, cite="Liu et al., ICCV 2015")


def _office(name: str, size: int, root: str | Path | None) -> Dataset:
    domains, n_classes, cite = _OFFICE[name]
    place = folder(name, root)
    beside = place.parent / "data_txt" / name
    lists = beside if beside.is_dir() else place
    found, splits = {}, {}
    for domain in domains:
        parts = [list(_pairs(lists / f"{domain}_{part}.txt")) for part in ("train", "val", "test")]
        rows = [row for part in parts for row in part]
        classes = [label for _, label in rows]
        wrong = [label for label in classes if not label.isdecimal() or int(label) >= n_classes]
        if wrong:
            raise DataError(f"{lists}: {domain} has the class {wrong[0]!r}, expected 0 to {n_classes - 1}")
        images = _pictures([place / path for path, _ in rows], size)
        found[domain] = (images, torch.tensor([int(label) for label in classes]))
        splits[domain] = consecutive([len(part) for part in parts])
    targets = [Target(domain, "classes", n_classes) for domain in domains]
    return each_its_own(name, found, splits, targets, cite)


def _pairs(file: Path) -> list[tuple[str, str]]:
    """Lines of a path, which may hold spaces, and a word."""
    rows = [line.rsplit(maxsplit=1) for line in _lines(file)]
    if not rows or any(len(row) != 2 for row in rows):
        raise DataError(f"{file}: expected lines of a picture's path and a number")
    return [(path, number) for path, number in rows]


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read ({error}); it belongs to the data set") from error


def _pictures(files: Sequence[Path], size: int) -> Tensor:
    """``[N, 3, size, size]`` float32, normalised as ImageNet's."""
    from PIL import Image, ImageOps

    if size < 1:
        raise InputError(f"the size of pictures must be positive, found {size}")
    images = torch.empty(len(files), 3, size, size)
    mean, deviation = torch.tensor(_MEAN)[:, None, None], torch.tensor(_DEVIATION)[:, None, None]
    for place, file in enumerate(files):
        try:
            with Image.open(file) as picture:
                square = ImageOps.fit(picture.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
        except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken header
            raise DataError(f"the picture {file} cannot be read: {error}; fetch the data set again") from error
        images[place] = (torch.from_numpy(np.asarray(square).copy()).movedim(2, 0).float() / 255 - mean) / deviation
    return images
