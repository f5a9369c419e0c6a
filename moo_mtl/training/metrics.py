"""How well a task is done: functions of all outputs and targets of a part of the data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from moo_mtl.training import pixels
from moo_mtl.training.fairness import opportunity_gap


def streamed(metric: Any, higher_is_better: bool) -> Metric:
    """A metric of torchmetrics, or anything else with its ``reset``, ``update`` and ``compute``, under its class's name."""

    def function(output: Tensor, target: Tensor) -> Tensor:
        counts = target.is_floating_point() and type(metric).__module__.startswith("torchmetrics.classification")
        metric.reset()
        if hasattr(metric, "to"):
            metric.to(output.device)
        metric.update(output, target.long() if counts else target)
        return metric.compute()

    return Metric(type(metric).__name__, function, higher_is_better)


class Metric(NamedTuple):
    """A named figure of merit.

    Attributes:
        name: as in tables.
        function: outputs ``[N, ...]`` and targets ``[N, ...]`` to a number.
        higher_is_better: which way is up.
        has_unit: the number is in the target's unit, so that a task whose targets were divided by a scale multiplies it back.
    """

    name: str
    function: Callable[[Tensor, Tensor], Tensor]
    higher_is_better: bool
    has_unit: bool = False


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Share of examples whose largest logit is the target's; of binary targets, whose logit has the right sign."""
    guess = (output > 0).to(target.dtype) if output.shape == target.shape else output.argmax(dim=1)
    return (guess == target).double().mean()


def auc(output: Tensor, target: Tensor) -> Tensor:
    """Probability that a positive example's logit exceeds a negative one's, ties counted half; NaN if a class is absent."""
    _, place, count = torch.unique(output, return_inverse=True, return_counts=True)
    count = count.double()
    rank = (count.cumsum(0) - (count - 1) / 2)[place]  # of tied values: their mean
    positive = target > 0.5
    n_positive = positive.sum()
    n_negative = len(target) - n_positive
    return (rank[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def mae(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error."""
    return (output.double() - target.double()).abs().mean()


def rmse(output: Tensor, target: Tensor) -> Tensor:
    """Root of the mean squared error."""
    return (output.double() - target.double()).square().mean().sqrt()


def r2(output: Tensor, target: Tensor) -> Tensor:
    """Share of the target's variance that the output explains."""
    target = target.double()
    return 1 - (output.double() - target).square().sum() / (target - target.mean(dim=0)).square().sum()


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", accuracy, higher_is_better=True),
        Metric("auc", auc, higher_is_better=True),
        Metric("mae", mae, higher_is_better=False, has_unit=True),
        Metric("rmse", rmse, higher_is_better=False, has_unit=True),
        Metric("r2", r2, higher_is_better=True),
        Metric("opportunity-gap", opportunity_gap, higher_is_better=False),
        Metric("miou", pixels.miou, higher_is_better=True),
        Metric("pixel-accuracy", pixels.accuracy, higher_is_better=True),
        Metric("pixel-f1", pixels.f1, higher_is_better=True),
        Metric("pixel-mae", pixels.mae, higher_is_better=False, has_unit=True),
        Metric("pixel-relative-error", pixels.relative_error, higher_is_better=False),
        Metric("mean-angle", pixels.mean_angle, higher_is_better=False),
        Metric("median-angle", pixels.median_angle, higher_is_better=False),
        *(
            Metric(f"within-{degrees}-degrees", partial(pixels.share_within, degrees), higher_is_better=True)
            for degrees in (11.25, 22.5, 30)
        ),
    )
}
