"""Many small tasks of one kind, each with examples of its own: School and Landmine. An example has one task's label."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from moo_mtl.data.dataset import SPLITS, Dataset, Examples, Target
from moo_mtl.data.files import read
from moo_mtl.data.splitting import split, standardised


def school(validation: float = 0.1, test: float = 0.25, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """Exam scores of 15,362 pupils in 139 London schools; a school is a task, and each is split by the same fractions.

    Args:
        validation: fraction of each task's examples.
        test: fraction of each task's examples.
        seed: of the split.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        InputError: the fractions leave a part of some task empty.
        DataError: the file is absent or damaged.
    """
    inputs, labels = _cells(read("school/school.mat", root), "X", "Y")
    return _population("school", "regression", inputs, labels, validation, test, seed, "Bakker and Heskes, JMLR 2003")


def landmine(validation: float = 0.1, test: float = 0.25, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """Mine or clutter from 9 radar features in 29 fields, about 6 % mines.

    Parameters and errors as ``school``.
    """
    inputs, labels = _cells(read("landmine/LandmineData.mat", root), "feature", "label")
    return _population("landmine", "binary", inputs, labels, validation, test, seed, "Xue et al., JMLR 2007")


def _cells(content: bytes, inputs: str, labels: str) -> tuple[list[Tensor], list[Tensor]]:
    from scipy.io import loadmat

    arrays = loadmat(io.BytesIO(content))
    left, right = (
        [torch.from_numpy(np.asarray(cell, dtype=np.float64)) for cell in arrays[key].ravel()] for key in (inputs, labels)
    )
    return left, [cell.flatten() for cell in right]


def _population(
    name: str,
    kind: Literal["binary", "regression"],
    inputs: list[Tensor],
    labels: list[Tensor],
    validation: float,
    test: float,
    seed: int,
    cite: str,
) -> Dataset:
    tasks = [f"{name}-{k}" for k in range(1, len(inputs) + 1)]
    starts = np.cumsum([0, *(len(cell) for cell in labels)])
    parts = [split(len(cell), seed + k, validation, test) for k, cell in enumerate(labels)]
    splits = {part: torch.cat([starts[k] + own[part] for k, own in enumerate(parts)]) for part in SPLITS}
    owner = torch.cat([torch.full((len(cell),), k) for k, cell in enumerate(labels)])
    features, _ = standardised(torch.cat(inputs), splits["train"])
    values, scale = torch.cat(labels), 1.0
    if kind == "regression":  # one scale for all tasks: they measure the same quantity
        column, deviation = standardised(values[:, None], splits["train"])
        values, scale = column[:, 0], deviation.item()
    present = {task: owner == k for k, task in enumerate(tasks)}
    targets = {task: torch.where(mask, values, 0.0).float() for task, mask in present.items()}
    specs = tuple(Target(task, kind, scale=scale) for task in tasks)
    return Dataset(name, Examples(features, targets, present), splits, specs, cite=cite)
