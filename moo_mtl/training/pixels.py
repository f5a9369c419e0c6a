"""Losses and metrics of dense tasks, which have a target for every pixel, or for some.

A loss is the mean over an example's labelled pixels, and 0 for an example that has none; so batches of any size, and batches
that are accumulated, mean the same. The literature's code pools the pixels of a batch instead. Metrics pool the pixels of all
examples, as the literature does.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from moo_mtl.data.dataset import IGNORED


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy ``[B]`` of logits ``[B, C, H, W]`` and classes ``[B, H, W]``, ``IGNORED`` where there is no target."""
    return _mean(functional.cross_entropy(output, target, reduction="none", ignore_index=IGNORED), target != IGNORED)


def binary_cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy ``[B]`` of one logit per pixel, ``[B, 1, H, W]``; the target is NaN where there is none."""
    known = ~target.isnan()
    loss = functional.binary_cross_entropy_with_logits(output, target.nan_to_num(), reduction="none")
    return _mean(loss, known)


def absolute_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error ``[B]`` of two tensors ``[B, C, H, W]``; the target is NaN where there is none."""
    return _mean((output - target.nan_to_num()).abs(), ~target.isnan())


def squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared error ``[B]`` of two tensors ``[B, C, H, W]``; the target is NaN where there is none."""
    return _mean((output - target.nan_to_num()).square(), ~target.isnan())


def one_minus_cosine(output: Tensor, target: Tensor) -> Tensor:
    """1 minus the cosine, ``[B]``, of directions ``[B, 3, H, W]``: an output of any length, a target of unit length or NaN."""
    return _mean(1 - functional.cosine_similarity(output, target.nan_to_num(), dim=1), ~target.isnan().any(dim=1))


def miou(output: Tensor, target: Tensor) -> Tensor:
    """Intersection over union, averaged over the classes that occur in output or target."""
    n_classes, known = output.shape[1], target != IGNORED
    pairs = target[known] * n_classes + output.argmax(dim=1)[known]
    confusion = torch.bincount(pairs, minlength=n_classes**2).view(n_classes, n_classes).double()
    both = confusion.diagonal()
    either = confusion.sum(dim=0) + confusion.sum(dim=1) - both
    return (both / either)[either > 0].mean()


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Share of the labelled pixels whose largest logit is the target's."""
    known = target != IGNORED
    return (output.argmax(dim=1) == target)[known].double().mean()


def f1(output: Tensor, target: Tensor) -> Tensor:
    """Harmonic mean of precision and recall of the pixels whose binary target is 1; NaN where there are none."""
    known = ~target.isnan()
    found, wanted = (output > 0)[known], target[known] > 0.5
    return 2 * (found & wanted).sum().double() / (found.sum() + wanted.sum())


def mae(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over the labelled pixels."""
    return (output - target).abs().double().nanmean()


def relative_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error relative to a target that is positive, over the labelled pixels."""
    return ((output - target).abs() / target).double().nanmean()


def mean_angle(output: Tensor, target: Tensor) -> Tensor:
    """Mean angle between directions, in degrees."""
    return angles(output, target).mean()


def median_angle(output: Tensor, target: Tensor) -> Tensor:
    """Median angle between directions, in degrees; the lower of two middle ones."""
    return angles(output, target).median()


def share_within(degrees: float, output: Tensor, target: Tensor) -> Tensor:
    """Share of the labelled pixels whose angle is below so many degrees."""
    return (angles(output, target) < degrees).double().mean()


def angles(output: Tensor, target: Tensor) -> Tensor:
    """Angle at every labelled pixel, in degrees, float64."""
    known = ~target.isnan().any(dim=1)
    cosine = functional.cosine_similarity(output.double(), target.double().nan_to_num(), dim=1)[known]
    return cosine.clamp(-1, 1).acos().rad2deg()


def _mean(loss: Tensor, known: Tensor) -> Tensor:
    weight = known.flatten(1)
    return torch.where(weight, loss.flatten(1), 0.0).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
