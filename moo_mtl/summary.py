"""One row per rule: mean and standard deviation over seeds of every number that its runs report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple, Protocol


class Finished(Protocol):
    """What a row is made from."""

    @property
    def label(self) -> str: ...

    @property
    def alone(self) -> bool: ...

    @property
    def metrics(self) -> Mapping[str, Any]: ...


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
    """The rules in the order of their first run; a number that is missing or not finite in some run has no cell.

    Where tasks were also trained alone, the others get ``delta_m`` against the mean of those runs.
    """
    labels = list(dict.fromkeys(record.label for record in records))
    seeds = {label: [dict(record.metrics) for record in records if record.label == label] for label in labels}
    alone = {label: _row(label, seeds[label]) for label in dict.fromkeys(record.label for record in records if record.alone)}
    baseline = {key: cell.mean for row in alone.values() for key, cell in row.cells.items() if key in _better(seeds[row.label])}
    for label in labels:
        for metrics in seeds[label]:
            if baseline and label not in alone and baseline.keys() == _better([metrics]).keys():
                metrics["delta_m %"] = delta_m(metrics, baseline, metrics["better"])
    return [_row(label, seeds[label]) for label in labels]


def delta_m(metrics: Mapping[str, float], baseline: Mapping[str, float], better: Mapping[str, str]) -> float:
    r"""Mean relative loss against single-task training in percent; lower is better, below 0 the tasks help each other.

    .. math:: \Delta_m = \frac{100}{N} \sum_i (-1)^{\delta_i} (M_i - B_i) / B_i, \qquad \delta_i = 1 \text{ if higher is better}

    Source: Navon et al., Nash-MTL (2022), section 5; over all N metrics of all tasks.
    """
    signs = {"higher": -1, "lower": 1}
    return 100 * fmean(signs[better[key]] * (metrics[key] - value) / value for key, value in baseline.items())


def _better(seeds: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return dict(seeds[0].get("better", {}))


def _row(label: str, metrics: Sequence[Mapping[str, Any]]) -> Row:
    cells = {}
    for key in metrics[0]:
        values = [value for one in metrics if isinstance(value := one.get(key), int | float) and not isinstance(value, bool)]
        if len(values) == len(metrics):
            cells[key] = Cell(fmean(values), stdev(values) if len(values) > 1 else None)
    return Row(label, len(metrics), cells)
