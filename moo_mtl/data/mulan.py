"""Mulan's multi-target regression suite, read from ARFF."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from moo_mtl.data.dataset import Dataset
from moo_mtl.data.files import read
from moo_mtl.data.regression import regression
from moo_mtl.data.splitting import split
from moo_mtl.errors import DataError, unknown

# How many of the last columns are targets.
TARGETS = {
    "andro": 6,
    "atp1d": 6,
    "atp7d": 6,
    "edm": 2,
    "enb": 2,
    "jura": 3,
    "oes10": 16,
    "oes97": 16,
    "osales": 12,
    "rf1": 8,
    "scpf": 3,
    "sf1": 3,
    "sf2": 3,
    "slump": 3,
    "wq": 14,
}  # fmt: skip
_ATTRIBUTE = re.compile(r"""@attribute\s+('(?:\\.|[^'\\])*'|"[^"]*"|\S+)\s+(.*)""", re.IGNORECASE)


def mulan(
    subset: str = "enb", validation: float = 0.1, test: float = 0.2, seed: int = 0, root: str | Path | None = None
) -> Dataset:
    """One of fifteen multi-target regression tables.

    Args:
        subset: one of ``TARGETS``; ``rf1``, ``osales`` and ``scpf`` have missing values.
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
    names, table, one_hot = _arff(read(f"mulan_mtr/{subset}.arff", root).decode("utf-8", "replace"), TARGETS[subset])
    splits = split(len(table), seed, validation, test)
    return regression(
        f"mulan-{subset}", one_hot, table, names, splits, cite="Spyromitros-Xioufis et al., Machine Learning 2016"
    )


def _arff(text: str, n_targets: int) -> tuple[list[str], Tensor, Tensor]:
    """Names of the targets, targets ``[N, K]`` and inputs ``[N, F]``; ``?`` becomes NaN, nominal columns become indicators."""
    lines = [line.strip() for line in text.splitlines()]
    start = next((i for i, line in enumerate(lines) if line.lower() == "@data"), None)
    if start is None:
        raise DataError("an ARFF file without a line @data; fetch the file again")
    attributes = [match.groups() for line in lines[:start] if (match := _ATTRIBUTE.match(line))]
    body = [line for line in lines[start + 1 :] if line and not line.startswith("%")]
    rows = [[cell.strip() for cell in row] for row in csv.reader(body, quotechar="'", skipinitialspace=True)]
    columns = [_column(kind, [row[i] for row in rows]) for i, (_, kind) in enumerate(attributes)]
    names = [name.strip("'\"") for name, _ in attributes[-n_targets:]]
    return names, torch.cat(columns[-n_targets:], dim=1), torch.cat(columns[:-n_targets], dim=1)


def _column(kind: str, cells: list[str]) -> Tensor:
    if kind.startswith("{"):
        values = [value.strip() for value in kind.strip("{} ").split(",")]
        return torch.tensor([[float(cell == value) for value in values] for cell in cells], dtype=torch.float64)
    return torch.from_numpy(np.array([np.nan if cell == "?" else float(cell) for cell in cells]))[:, None]
