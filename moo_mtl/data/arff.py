"""Weka's ARFF format, as far as dense tables use it."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from moo_mtl.errors import DataError

_ATTRIBUTE = re.compile(r"""@attribute\s+('(?:\\.|[^'\\])*'|"[^"]*"|\S+)\s+(.*)""", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """Named columns of cells, and the type that the file declares for each."""

    names: list[str]
    kinds: list[str]
    rows: list[list[str]]

    def numbers(self, column: int) -> Tensor:
        """``[N]`` float64; ``?`` becomes NaN."""
        return torch.from_numpy(np.array([np.nan if row[column] == "?" else float(row[column]) for row in self.rows]))

    def inputs(self, column: int) -> Tensor:
        """``[N, 1]`` of numbers, or of a nominal column an indicator for each value that the file declares."""
        kind = self.kinds[column]
        if not kind.startswith("{"):
            return self.numbers(column)[:, None]
        values = [value.strip() for value in kind.strip("{} ").split(",")]
        return torch.tensor([[float(row[column] == value) for value in values] for row in self.rows], dtype=torch.float64)


def parse(text: str) -> Table:
    """The table in a file.

    Raises:
        DataError: it has no line ``@data``, or a row of another length.
    """
    lines = [line.strip() for line in text.splitlines()]
    start = next((i for i, line in enumerate(lines) if line.lower() == "@data"), None)
    if start is None:
        raise DataError("an ARFF file without a line @data; fetch the file again")
    attributes = [match.groups() for line in lines[:start] if (match := _ATTRIBUTE.match(line))]
    body = [line for line in lines[start + 1 :] if line and not line.startswith("%")]
    rows = [[cell.strip() for cell in row] for row in csv.reader(body, quotechar="'", skipinitialspace=True)]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(attributes):
            raise DataError(f"row {number} of an ARFF file has {len(row)} cells, expected {len(attributes)}")
    names = [name.strip("'\"").replace("\\'", "'") for name, _ in attributes]
    return Table(names, [kind.strip() for _, kind in attributes], rows)
