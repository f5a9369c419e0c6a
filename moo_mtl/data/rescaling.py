"""A data set whose losses differ in magnitude.

In an experiment file: ``data = { name = "moo_mtl.data.rescaling:rescaled", of = "sarcos", ratio = 10.0 }``.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from moo_mtl.data import get
from moo_mtl.data.dataset import Dataset
from moo_mtl.errors import InputError


def rescaled(of: str = "sarcos", ratio: float = 10.0, **parameters: Any) -> Dataset:
    """A data set of regressions whose targets are multiplied by factors from 1 to ``ratio``, evenly spaced in the logarithm.

    Squared losses differ by the squares of the factors. Metrics are in the same unit as before, so that rules can be compared
    with and without.

    Args:
        of: name of a data set, all of whose tasks are regressions.
        ratio: the factor of the last task; the first has 1.
        parameters: of that data set.

    Raises:
        InputError: the ratio is not positive, or a task is no regression.
        DataError: a file is absent or damaged.
    """
    if not 0 < ratio < float("inf"):
        raise InputError(f"rescaled: ratio must be positive and finite, found {ratio}")
    dataset = get(of, **parameters)
    for task in dataset.tasks:
        if task.kind != "regression":
            raise InputError(f"rescaled: the task {task.name!r} of {of} is of the kind {task.kind!r}, expected a regression")
    factors = torch.logspace(0, math.log10(ratio), len(dataset.tasks), dtype=torch.float64).tolist()
    paired = list(zip(dataset.tasks, factors, strict=True))
    targets = {task.name: factor * dataset.examples.targets[task.name] for task, factor in paired}
    tasks = tuple(replace(task, scale=task.scale / factor) for task, factor in paired)
    name = f"{dataset.name}, rescaled by {ratio:g}"
    return replace(dataset, name=name, examples=replace(dataset.examples, targets=targets), tasks=tasks)
