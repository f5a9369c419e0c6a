"""Mulan's tables: fifteen of multi-target regression, five of multi-label classification. Targets are the last columns."""

from __future__ import annotations

from pathlib import Path

import torch

from moo_mtl.data import arff
from moo_mtl.data.dataset import Dataset, Examples, Target
from moo_mtl.data.files import read
from moo_mtl.data.regression import regression
from moo_mtl.data.splitting import permutation, split, standardised
from moo_mtl.errors import InputError, unknown

# How many of the last columns are targets.
TARGETS = {
    "andro": 6, "atp1d": 6, "atp7d": 6, "edm": 2, "enb": 2, "jura": 3, "oes10": 16, "oes97": 16, "osales": 12, "rf1": 8,
    "scpf": 3, "sf1": 3, "sf2": 3, "slump": 3, "wq": 14,
}  # fmt: skip
LABELS = {"yeast": 14, "scene": 6, "emotions": 6, "flags": 7, "birds": 19}
_SPLIT = ("yeast", "scene", "birds")  # those that come as a file for training and one for testing


def mulan(
    subset: str = "enb", validation: float = 0.1, test: float = 0.2, seed: int = 0, root: str | Path | None = None
) -> Dataset:
    """One of fifteen multi-target regression tables.

    Args:
        subset: one of ``TARGETS``.
        validation: fraction of the rows.
        test: fraction of the rows.
        seed: of the split.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        InputError: no such table, or the fractions leave a part empty.
        DataError: the file is absent or damaged.
    """
    if subset not in TARGETS:
        raise unknown("table of the mulan suite", subset, TARGETS)
    table = _table(f"mulan_mtr/{subset}.arff", root)
    first = len(table.names) - TARGETS[subset]
    inputs = torch.cat([table.inputs(column) for column in range(first)], dim=1)
    targets = torch.stack([table.numbers(column) for column in range(first, len(table.names))], dim=1)
    splits = split(len(targets), seed, validation, test)
    cite = "Spyromitros-Xioufis et al., Machine Learning 2016"
    return regression(f"mulan-{subset}", inputs, targets, table.names[first:], splits, cite=cite)


def mulan_labels(
    subset: str = "emotions", validation: float = 0.1, test: float = 0.2, seed: int = 0, root: str | Path | None = None
) -> Dataset:
    """One of five multi-label tables, a binary task for each label.

    Yeast, scene and birds keep their published test file, whatever ``test`` says; emotions and flags are split at random.

    Args:
        subset: one of ``LABELS``.
        validation: fraction of the rows that are not of a published test file.
        test: fraction of the rows, of a table that has no test file.
        seed: of the split.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        InputError: no such table, or the fractions leave a part empty.
        DataError: a file is absent or damaged.
    """
    if subset not in LABELS:
        raise unknown("multi-label table of mulan", subset, LABELS)
    files = [f"{subset}-train", f"{subset}-test"] if subset in _SPLIT else [subset]
    tables = [_table(f"mulan_mlc/{file}.arff", root) for file in files]
    names = tables[0].names
    first = len(names) - LABELS[subset]
    inputs = torch.cat([torch.cat([table.inputs(column) for column in range(first)], dim=1) for table in tables])
    labels = {
        names[column]: torch.cat([table.numbers(column) for table in tables]).float() for column in range(first, len(names))
    }
    n_train, n_rows = len(tables[0].rows), len(inputs)
    if subset in _SPLIT:
        n_validation = round(validation * n_train)
        if not 0 < n_validation < n_train:
            raise InputError(f"mulan-labels: validation={validation:g} of {n_train} rows leaves a part empty")
        order = permutation(n_train, seed)
        splits = {"train": order[n_validation:], "validation": order[:n_validation], "test": torch.arange(n_train, n_rows)}
    else:
        splits = split(n_rows, seed, validation, test)
    features, _ = standardised(inputs, splits["train"])
    tasks = tuple(Target(name, "binary") for name in labels)
    cite = "Tsoumakas et al. (Mulan), JMLR 2011"
    return Dataset(f"mulan-{subset}", Examples(features, labels), splits, tasks, cite=cite)


def _table(name: str, root: str | Path | None) -> arff.Table:
    return arff.parse(read(name, root).decode("utf-8", "replace"))
