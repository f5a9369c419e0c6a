"""Which epoch's parameters to keep, judged on validation data alone. Lower is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from moo_mtl.errors import InputError, unknown
from moo_mtl.training.scoring import Scores
from moo_mtl.training.task import Task

Selection = Callable[[Scores, Sequence[Task]], float]


def by_loss(scores: Scores, tasks: Sequence[Task]) -> float:
    """Mean logarithm of the losses: their geometric mean, in which no task's unit counts.

    Raises:
        InputError: a loss is not positive.
    """
    if bool((scores.losses <= 0).any()):
        raise InputError(
            f"select='loss' compares logarithms of validation losses, found {scores.losses.tolist()}; "
            "select by metric, or by a function of the scores"
        )
    return float(scores.losses.log().mean())


def by_metric(scores: Scores, tasks: Sequence[Task]) -> float:
    """Mean over the tasks of each one's first metric: for metrics on one scale, such as accuracies.

    Raises:
        InputError: a task has no metric, or some tasks' metrics are better when higher and others' when lower.
    """
    if not all(task.measures for task in tasks):
        raise InputError("select='metric' needs a metric for every task; give Task(..., metrics=...) or select='loss'")
    first = [(task.name, task.measures[0]) for task in tasks]
    if len({metric.higher_is_better for _, metric in first}) > 1:
        raise InputError("select='metric' cannot average metrics of which some are better when higher and some when lower")
    mean = sum(scores.metrics[f"{name}/{metric.name}"] for name, metric in first) / len(first)
    return -mean if first[0][1].higher_is_better else mean


SELECTIONS: dict[str, Selection] = {"loss": by_loss, "metric": by_metric}


def selection(select: str | Selection) -> Selection:
    """The selection of that name, or the function itself.

    Raises:
        InputError: an unknown name.
    """
    if callable(select):
        return select
    if select not in SELECTIONS:
        raise unknown("model selection", select, SELECTIONS)
    return SELECTIONS[select]
