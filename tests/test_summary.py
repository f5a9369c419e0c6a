"""The table after an experiment: means over seeds, what is missing is counted, Delta_m as published."""

from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import pytest

from moo_mtl import summary


@dataclass
class Finished:
    label: str
    metrics: dict[str, Any]
    alone: bool = False


def test_mean_and_standard_deviation_over_seeds():
    values = [0.5, 0.7, 0.75]
    (row,) = summary.rows([Finished("mgda", {"loss": value, "details": {}}) for value in values])
    assert (row.label, row.seeds, list(row.cells)) == ("mgda", 3, ["loss"])
    assert row.cells["loss"][:2] == pytest.approx((mean(values), stdev(values)))
    assert str(row.cells["loss"]) == "0.65 ± 0.13"


def test_what_some_runs_lack_is_counted():
    (row,) = summary.rows([Finished("mgda", {"converged at": epoch, "never": None}) for epoch in (10, None, 20)])
    assert str(row.cells["converged at"]) == "15 ± 7.1 (2 of 3)"
    assert str(row.cells["never"]) == "- (0 of 3)"


def test_single_task_runs_are_the_baseline_of_the_others():
    better = {"a/accuracy": "higher", "b/mae": "lower"}
    together = [
        Finished("mgda", {"test": {"a/accuracy": a, "b/mae": b}, "better": better}) for a, b in ((0.8, 1.0), (0.9, 3.0))
    ]
    alone = [Finished("a alone", {"test": {"a/accuracy": a}}, alone=True) for a in (0.9, 1.1)]
    alone += [Finished("b alone", {"test": {"b/mae": 2.0}}, alone=True)]
    row = summary.rows([*together, *alone])[0]
    assert row.cells["delta_m %"].mean == pytest.approx(100 * mean([(0.2 - 0.5) / 2, (0.1 + 0.5) / 2]))
    assert "delta_m %" not in summary.rows([*together, *alone[:2]])[0].cells, "a task was not trained alone"
    without = [*alone[:2], Finished("b alone", {"test": {"b/mae": 0.0}}, alone=True)]
    assert "delta_m %" not in summary.rows([*together, *without])[0].cells, "nothing is relative to 0"
