"""Scenes with several dense tasks: CamVid at 96 x 128, and NYUv2 and Cityscapes in the layout of MTAN."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moo_mtl.data.dataset import IGNORED, SPLITS, Dataset, Examples, Target
from moo_mtl.data.files import folder, read
from moo_mtl.data.splitting import consecutive, permutation
from moo_mtl.errors import DataError, InputError

_VOID = 11
_CAMVID_CITE = "Brostow et al., Pattern Recognition Letters 2009, in the split of SegNet"
_MTAN_CITE = "in the form of Liu, Johns and Davison (MTAN), CVPR 2019"


def camvid(root: str | Path | None = None) -> Dataset:
    """Classes of road scenes, their boundaries, and the distance from them in pixels: 367 / 101 / 233 images of 96 x 128.

    The split is SegNet's. Eleven classes are given; a pixel is on a boundary where one of its four neighbours is of
    another class, and the distance is from the nearest such pixel. The void class has no target in any of the three tasks.

    Args:
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        DataError: the file is absent or damaged.
    """
    arrays = np.load(io.BytesIO(read("camvid_96x128/camvid_96x128.npz", root)), allow_pickle=False)
    parts = ("train", "val", "test")
    classes = np.concatenate([arrays[f"y_{part}"] for part in parts])
    splits = consecutive([len(arrays[f"y_{part}"]) for part in parts])
    images = torch.from_numpy(np.concatenate([arrays[f"x_{part}"] for part in parts])).movedim(3, 1).float() / 255
    edges = np.stack([boundary(mask) for mask in classes])
    void = torch.from_numpy(classes == _VOID)[:, None]
    distance = torch.from_numpy(np.stack([distance_from(edge) for edge in edges]))[:, None].masked_fill(void, torch.nan)
    known = distance[splits["train"]].double()
    mean = known.nanmean()
    scale = (known - mean).square().nanmean().sqrt()
    targets = {
        "segmentation": torch.from_numpy(classes).long().masked_fill(void[:, 0], IGNORED),
        "boundary": torch.from_numpy(edges)[:, None].float().masked_fill(void, torch.nan),
        "distance": ((distance - mean) / scale).float(),
    }
    tasks = (
        Target("segmentation", "classes", 11, dense=True),
        Target("boundary", "binary", dense=True),
        Target("distance", "regression", scale=float(scale), dense=True),
    )
    return Dataset("camvid", Examples(_by_channel(images, splits["train"]), targets), splits, tasks, cite=_CAMVID_CITE)


def boundary(classes: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a pixel of ``[H, W]`` has one of its four neighbours in another class; void is nobody's neighbour."""
    edge = np.zeros(classes.shape, dtype=bool)
    for axis in (0, 1):
        one, other = classes.take(range(1, classes.shape[axis]), axis), classes.take(range(classes.shape[axis] - 1), axis)
        differs = (one != other) & (one != _VOID) & (other != _VOID)
        edge |= np.insert(differs, 0, False, axis) | np.insert(differs, differs.shape[axis], False, axis)
    return edge


def distance_from(edge: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance of every pixel from the nearest one that is marked, in pixels; NaN where none is."""
    from scipy.ndimage import distance_transform_edt

    if not edge.any():
        return np.full(edge.shape, np.nan, dtype=np.float32)
    return np.asarray(distance_transform_edt(~edge), dtype=np.float32)


def nyuv2(validation: float = 0.1, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """Thirteen classes, depth and surface normals of 795 + 654 indoor scenes of 288 x 384, from MTAN's folders.

    Read from ``nyuv2/train`` and ``nyuv2/val``, each with the folders ``image``, ``label``, ``depth`` and ``normal`` of
    ``0.npy``, ``1.npy``, ...; the images come last-channel, class -1, depth 0 and normals of length 0 mean no target. The
    folder ``val`` is the test part, as in the literature. All images are held in memory, about 5 GB.

    Args:
        validation: fraction of the training images that is kept apart; the literature has no validation part.
        seed: of that choice.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        InputError: the fraction leaves a part empty.
        DataError: a folder or file is absent, or an array has another shape.
    """
    return _scenes("nyuv2", 13, True, validation, seed, root, f"Silberman et al., ECCV 2012, {_MTAN_CITE}")


def cityscapes(validation: float = 0.1, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """Seven classes and inverse depth of 2,975 + 500 street scenes of 128 x 256, from MTAN's folders.

    Read from ``cityscapes/train`` and ``cityscapes/val``, each with the folders ``image``, ``label_7`` (or ``label``) and
    ``depth``; about 2.5 GB in memory. Parameters and errors as ``nyuv2``.
    """
    return _scenes("cityscapes", 7, False, validation, seed, root, f"Cordts et al., CVPR 2016, {_MTAN_CITE}")


def _scenes(
    name: str, n_classes: int, normals: bool, validation: float, seed: int, root: str | Path | None, cite: str
) -> Dataset:
    place = folder(name, root)
    halves = [_half(place / part, n_classes, normals) for part in ("train", "val")]
    n_train, n_test = (len(half["image"]) for half in halves)
    n_validation = round(validation * n_train)
    if not 0 < n_validation < n_train:
        raise InputError(f"{name}: validation={validation:g} of {n_train} training images leaves a part empty")
    order = permutation(n_train, seed)
    ends = torch.arange(n_train, n_train + n_test)
    splits = dict(zip(SPLITS, (order[n_validation:], order[:n_validation], ends), strict=True))
    joined = {key: torch.cat([half[key] for half in halves]) for key in halves[0]}
    tasks = [Target("segmentation", "classes", n_classes, dense=True), Target("depth", "depth", dense=True)]
    if normals:
        tasks.append(Target("normal", "directions", 3, dense=True))
    targets = {task.name: joined[task.name] for task in tasks}
    return Dataset(name, Examples(joined["image"], targets), splits, tuple(tasks), cite=cite)


def _half(place: Path, n_classes: int, normals: bool) -> dict[str, Tensor]:
    label = place / "label_7" if (place / "label_7").is_dir() else place / "label"
    images = _stack(place / "image", 3)
    classes = _stack(label, 0).round().long()
    if int(classes.max()) >= n_classes:
        raise DataError(f"{label} has class {int(classes.max())}, expected -1 (none) to {n_classes - 1}")
    depth = _stack(place / "depth", 1)
    found = {
        "image": images,
        "segmentation": torch.where(classes < 0, IGNORED, classes),
        "depth": torch.where(depth > 0, depth, torch.nan),
    }
    if normals:
        normal = _stack(place / "normal", 3)
        length = normal.norm(dim=1, keepdim=True)
        found["normal"] = torch.where(length > 0, normal / length, torch.nan)
    sizes = {key: (len(part), *part.shape[-2:]) for key, part in found.items()}
    if len(set(sizes.values())) > 1:
        raise DataError(f"{place}: number and size of its arrays differ, found {sizes}")
    return found


def _stack(place: Path, n_channels: int) -> Tensor:
    """``0.npy``, ``1.npy``, ... as ``[N, C, H, W]`` float32, or ``[N, H, W]`` where ``n_channels`` is 0."""
    files = sorted(place.glob("*.npy"), key=lambda file: (len(file.stem), file.stem))
    if not files:
        raise DataError(f"{place} holds no .npy file; expected 0.npy, 1.npy, ... as MTAN's preparation of the data writes them")
    arrays = [np.load(file, allow_pickle=False).astype(np.float32) for file in files]
    shapes = {array.shape for array in arrays}
    shape = shapes.pop()
    if shapes or len(shape) != (3 if n_channels else 2) or (n_channels and shape[2] != n_channels):
        wanted = f"height x width x {n_channels}" if n_channels else "height x width"
        raise DataError(f"{place}: expected arrays of one shape, {wanted}; found {[shape, *shapes]}")
    stack = torch.from_numpy(np.stack(arrays))
    return stack.movedim(3, 1).contiguous() if n_channels else stack


def _by_channel(images: Tensor, train: Tensor) -> Tensor:
    """Each channel with the training part's mean 0 and standard deviation 1."""
    seen = images[train]
    mean, deviation = seen.mean(dim=(0, 2, 3), keepdim=True), seen.std(dim=(0, 2, 3), keepdim=True)
    return (images - mean) / deviation
