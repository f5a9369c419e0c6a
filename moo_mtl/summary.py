"""One row per rule: mean and standard deviation over seeds of every number that its runs report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple, Protocol


class Finished(Protocol):
    """What a row is made from."""

    @property
    def label(self) -> str: ...

    @property
    def metrics(self) -> Mapping[str, object]: ...


class Cell(NamedTuple):
    """A number over seeds; ``sd`` is ``None`` for a single seed."""

    mean: float
    sd: float | None

    def __str__(self) -> str:
        return f"{self.mean:.4g}" if self.sd is None else f"{self.mean:.4g} ± {self.sd:.2g}"


class Row(NamedTuple):
    """One rule."""

    label: str
    seeds: int
    cells: dict[str, Cell]


def rows(records: Sequence[Finished]) -> list[Row]:
    """The rules in the order of their first run; a number that is missing or not finite in some run has no cell."""
    labels = list(dict.fromkeys(record.label for record in records))
    return [_row(label, [record.metrics for record in records if record.label == label]) for label in labels]


def _row(label: str, metrics: Sequence[Mapping[str, object]]) -> Row:
    cells = {}
    for key in metrics[0]:
        values = [value for one in metrics if isinstance(value := one.get(key), int | float) and not isinstance(value, bool)]
        if len(values) == len(metrics):
            cells[key] = Cell(fmean(values), stdev(values) if len(values) > 1 else None)
    return Row(label, len(metrics), cells)
