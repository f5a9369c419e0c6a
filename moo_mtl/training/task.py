"""A task as the trainer sees it: a loss to descend, and metrics to report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from moo_mtl.data.dataset import Dataset, Target
from moo_mtl.errors import InputError, unknown
from moo_mtl.training import pixels
from moo_mtl.training.fairness import counted_opportunity, equal_opportunity
from moo_mtl.training.metrics import METRICS, Metric, streamed

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """What is learned, and how it is judged.

    Attributes:
        name: of the target, and of the output unless ``reads`` names another.
        loss: ``(output, target)`` to the loss of each example ``[B]``, or to their mean; or a name of ``LOSSES``. Where
            labels can be missing it must be the loss of each example.
        metrics: names of ``METRICS``, ``Metric`` values, or functions ``(outputs, targets) -> number``; the first counts for
            model selection.
        higher_is_better: of those metrics that are plain functions.
        scale: what the targets were divided by; metrics in the target's unit are multiplied back.
        reads: the network's output that the task is about, where several losses judge one; by default that of its own name.

    Raises:
        InputError: an unknown loss or metric, or a function of which ``higher_is_better`` does not say which way is up.
    """

    name: str
    loss: Loss | str
    metrics: Sequence[Metric | str | Callable[[Tensor, Tensor], Tensor]] = ()
    higher_is_better: bool | None = None
    scale: float = 1.0
    reads: str | None = None

    def __post_init__(self) -> None:
        _ = self.criterion, self.measures

    @property
    def output(self) -> str:
        """The name of the network's output that the task is about."""
        return self.name if self.reads is None else self.reads

    @cached_property
    def criterion(self) -> Loss:
        """The loss as a function."""
        if isinstance(self.loss, type):
            raise InputError(f"task {self.name!r}: loss is the class {self.loss.__name__}, expected an instance or a function")
        if callable(self.loss):
            return self.loss
        if self.loss not in LOSSES:
            raise unknown(f"loss of task {self.name!r}:", self.loss, LOSSES)
        return LOSSES[self.loss]

    @cached_property
    def measures(self) -> tuple[Metric, ...]:
        """The metrics, each with its direction."""
        if isinstance(self.metrics, str):
            raise InputError(f"task {self.name!r}: metrics is {self.metrics!r}, expected a list of them: [{self.metrics!r}]")
        return tuple(self._measure(metric) for metric in self.metrics)

    def _measure(self, metric: Metric | str | Callable[[Tensor, Tensor], Tensor]) -> Metric:
        if isinstance(metric, Metric):
            return metric
        if isinstance(metric, str):
            if metric not in METRICS:
                raise unknown(f"metric of task {self.name!r}:", metric, METRICS)
            return METRICS[metric]
        if hasattr(metric, "update") and hasattr(metric, "compute"):
            higher = getattr(metric, "higher_is_better", None) if self.higher_is_better is None else self.higher_is_better
            if higher is not None:
                return streamed(metric, higher)
        if self.higher_is_better is None:
            raise InputError(f"task {self.name!r}: say higher_is_better=True or False for the metric {metric!r}")
        return Metric(getattr(metric, "__name__", "metric"), metric, self.higher_is_better)

    def mean_loss(self, output: Tensor, target: Tensor, present: Tensor | None = None) -> Tensor:
        """Mean loss over the examples that have a label; 0, still connected to the network, where none has.

        Args:
            output: ``[B, ...]``.
            target: ``[B, ...]``.
            present: ``[B]`` bool; ``None`` means all.

        Raises:
            InputError: the target's shape is not that of the output, and the loss asks for that; or labels are missing and the
                loss gives a mean instead of each example's loss.
        """
        self._require_shape(output, target)
        loss = self.criterion(output, target)
        if present is None:
            return loss.mean()
        if loss.dim() == 0:
            raise InputError(f"task {self.name!r} has missing labels: its loss must be given per example, reduction='none'")
        return torch.where(present, loss, 0.0).sum() / present.sum().clamp(min=1)

    def _require_shape(self, output: Tensor, target: Tensor) -> None:
        if self.loss in _OF_ONE_SHAPE and output.shape != target.shape:
            found, expected = list(target.shape), list(output.shape)
            way_out = "drop their last dimension: targets[..., 0]" if found == [*expected, 1] else "give targets of that shape"
            raise InputError(f"task {self.name!r}: targets have shape {found}, and the network's output {expected}; {way_out}")


def tasks_of(dataset: Dataset, names: Sequence[str] | None = None) -> tuple[Task, ...]:
    """The usual loss and metrics for each task of a data set, or for the named ones, in the order of the names.

    Raises:
        InputError: a name is not a task of the data set, or a kind of target has no usual loss.
    """
    targets = {target.name: target for target in dataset.tasks}
    for name in names or ():
        if name not in targets:
            raise unknown(f"task of {dataset.name}:", name, targets)
    return tuple(_usual(targets[name]) for name in (targets if names is None else names))


def _usual(target: Target) -> Task:
    usual = _USUAL.get((target.kind, target.dense))
    if usual is None:
        form = "a target for every pixel" if target.dense else "one target an example"
        raise InputError(f"task {target.name!r}: the kind {target.kind!r} has no usual loss with {form}; give Task(name, loss)")
    loss, metrics = usual
    return Task(target.name, loss, metrics, scale=target.scale, reads=target.reads)


# By the kind of a target, and whether every pixel has one.
_USUAL: dict[tuple[str, bool], tuple[str, tuple[str, ...]]] = {
    ("classes", False): ("cross-entropy", ("accuracy",)),
    ("binary", False): ("binary-cross-entropy", ("auc", "accuracy")),
    ("regression", False): ("squared-error", ("mae", "rmse")),
    ("equal-opportunity", False): ("equal-opportunity", ("opportunity-gap",)),
    ("classes", True): ("pixel-cross-entropy", ("miou", "pixel-accuracy")),
    ("binary", True): ("pixel-binary-cross-entropy", ("pixel-f1",)),
    ("regression", True): ("pixel-absolute-error", ("pixel-mae",)),
    ("depth", True): ("pixel-absolute-error", ("pixel-mae", "pixel-relative-error")),
    ("directions", True): (
        "pixel-cosine",
        ("mean-angle", "median-angle", "within-11.25-degrees", "within-22.5-degrees", "within-30-degrees"),
    ),
}


def _per_example(loss: Tensor) -> Tensor:
    return loss.flatten(1).mean(dim=1) if loss.dim() > 1 else loss


def _cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    return _per_example(functional.cross_entropy(output, target, reduction="none"))


def _binary_cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    return _per_example(functional.binary_cross_entropy_with_logits(output, target, reduction="none"))


def _squared_error(output: Tensor, target: Tensor) -> Tensor:
    return _per_example(functional.mse_loss(output, target, reduction="none"))


def _absolute_error(output: Tensor, target: Tensor) -> Tensor:
    return _per_example(functional.l1_loss(output, target, reduction="none"))


def _huber(output: Tensor, target: Tensor) -> Tensor:
    return _per_example(functional.huber_loss(output, target, reduction="none"))


_OF_ONE_SHAPE = ("binary-cross-entropy", "squared-error", "absolute-error", "huber")

# Each gives the loss of every example, [B]; but for equal opportunity, which is between examples.
LOSSES: dict[str, Loss] = {
    "cross-entropy": _cross_entropy,
    "binary-cross-entropy": _binary_cross_entropy,
    "squared-error": _squared_error,
    "absolute-error": _absolute_error,
    "huber": _huber,
    "equal-opportunity": equal_opportunity,
    "counted-opportunity": counted_opportunity,
    "pixel-cross-entropy": pixels.cross_entropy,
    "pixel-binary-cross-entropy": pixels.binary_cross_entropy,
    "pixel-absolute-error": pixels.absolute_error,
    "pixel-squared-error": pixels.squared_error,
    "pixel-cosine": pixels.one_minus_cosine,
}
