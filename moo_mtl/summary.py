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
    """A number over seeds.

    Attributes:
        mean: over the runs that have the number; ``None`` if none has.
        sd: standard deviation; ``None`` below two such runs.
        found: how many runs have it.
        runs: of how many.
    """

    mean: float | None
    sd: float | None
    found: int
    runs: int

    def __str__(self) -> str:
        spread = "" if self.sd is None else f" ± {self.sd:.2g}"
        number = "-" if self.mean is None else f"{self.mean:.4g}{spread}"
        return number if self.found == self.runs else f"{number} ({self.found} of {self.runs})"


class Row(NamedTuple):
    """One rule."""

    label: str
    seeds: int
    cells: dict[str, Cell]


def rows(records: Sequence[Finished]) -> list[Row]:
    """The rules in the order of their first run.

    Where every task was also trained alone, the others get ``delta_m`` and ``delta_p`` against the mean of those runs.
    """
    labels = list(dict.fromkeys(record.label for record in records))
    runs = {label: [dict(record.metrics) for record in records if record.label == label] for label in labels}
    alone = {record.label for record in records if record.alone}
    baseline = {key: mean for label in alone for key, mean in _means([_test(one) for one in runs[label]]).items()}
    for label in labels:
        for metrics in runs[label]:
            if label not in alone and baseline and baseline.keys() == _test(metrics).keys():
                metrics["delta_m %"] = delta_m(_test(metrics), baseline, metrics["better"])
                metrics["delta_p %"] = delta_p(_test(metrics), baseline, metrics["better"])
    return [_row(label, runs[label]) for label in labels]


def delta_m(metrics: Mapping[str, float], baseline: Mapping[str, float], better: Mapping[str, str]) -> float:
    r"""Mean relative loss against single-task training in percent; lower is better, below 0 the tasks help each other.

    .. math:: \Delta_m = \frac{100}{N} \sum_i (-1)^{\delta_i} (M_i - B_i) / B_i, \qquad \delta_i = 1 \text{ if higher is better}

    Source: Navon et al., Nash-MTL (2022), section 5; over all N metrics of all tasks.
    """
    signs = {"higher": -1, "lower": 1}
    return 100 * fmean(signs[better[key]] * (metrics[key] - value) / value for key, value in baseline.items())


def delta_p(metrics: Mapping[str, float], baseline: Mapping[str, float], better: Mapping[str, str]) -> float:
    """Mean over the tasks of each one's mean relative gain over single-task training, in percent; HIGHER is better.

    >>> better = {"a/x": "higher", "a/y": "higher", "b/z": "lower"}
    >>> delta_p({"a/x": 0.5, "a/y": 0.5, "b/z": 2.0}, {"a/x": 1, "a/y": 1, "b/z": 1}, better)
    -75.0

    Source: LibMTL and DB-MTL. Tasks with several metrics count once, so it is not ``-delta_m``.
    """
    by_task: dict[str, dict[str, float]] = {}
    for key, value in baseline.items():
        by_task.setdefault(key.rpartition("/")[0], {})[key] = value
    return -fmean(delta_m(metrics, of_task, better) for of_task in by_task.values())


def _test(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {key: value for key, value in metrics.get("test", {}).items() if value is not None}


def _means(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: fmean(run[key] for run in runs) for key in runs[0] if all(key in run for run in runs)}


def _row(label: str, runs: Sequence[Mapping[str, Any]]) -> Row:
    cells = {}
    for key, value in runs[0].items():
        if not isinstance(value, Mapping):
            found = [run[key] for run in runs if run.get(key) is not None]
            spread = stdev(found) if len(found) > 1 else None
            cells[key] = Cell(fmean(found) if found else None, spread, len(found), len(runs))
    return Row(label, len(runs), cells)
