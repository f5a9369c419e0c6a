"""One row per rule: mean and standard deviation over seeds of every number that its runs report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple, Protocol

import torch

from moo_mtl.fronts.deltas import delta_m, delta_p


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

    Where every task was also trained alone, the others get ``fronts.delta_m`` and ``delta_p`` against the mean of those runs.
    """
    labels = list(dict.fromkeys(record.label for record in records))
    runs = {label: [dict(record.metrics) for record in records if record.label == label] for label in labels}
    alone = {record.label for record in records if record.alone}
    baseline = {key: mean for label in alone for key, mean in _means([_test(one) for one in runs[label]]).items()}
    for label in labels:
        if label not in alone:
            for metrics in runs[label]:
                metrics |= _deltas(metrics, baseline)
    return [_row(label, runs[label]) for label in labels]


def _deltas(metrics: Mapping[str, Any], baseline: Mapping[str, float]) -> dict[str, float]:
    """Against single-task training; nothing where that was not scored alike, or has a score of 0."""
    found = _test(metrics)
    if not baseline or baseline.keys() != found.keys() or 0 in baseline.values():
        return {}
    ours, theirs = (torch.tensor([table[key] for key in baseline], dtype=torch.float64) for table in (found, baseline))
    higher = [metrics["better"][key] == "higher" for key in baseline]
    tasks = [key.rpartition("/")[0] for key in baseline]
    return {
        "delta_m %": float(delta_m(ours, theirs, higher)),
        "delta_p %": float(delta_p(ours, theirs, higher, tasks)),
    }


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
