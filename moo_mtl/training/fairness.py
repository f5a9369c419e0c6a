"""Equal opportunity between two groups: of those whose label is 1, as many are found in either."""

from __future__ import annotations

import torch
from torch import Tensor


def equal_opportunity(output: Tensor, target: Tensor) -> Tensor:
    r"""A smooth difference of equal opportunity, over the whole batch at once.

    .. math:: \frac1B \Big\lvert \sum_{y_i = 1,\, s_i = 0} \tanh \sigma(z_i)
              - \sum_{y_i = 1,\, s_i = 1} \tanh \sigma(z_i) \Big\rvert

    It compares sums, not means, as published; groups of unequal size therefore differ even where they are treated alike.

    Args:
        output: logits :math:`z`, ``[B]``.
        target: labels :math:`y` and groups :math:`s`, ``[B, 2]`` of 0 and 1.

    Source: Padh et al., Addressing Fairness in Classification with a Model-Agnostic Multi-Objective Algorithm, UAI 2021,
        as in COSMOS, whose constant c is 1.
    """
    label, group = target.unbind(dim=1)
    found = label * torch.tanh(torch.sigmoid(output))
    return (found * (1 - 2 * group)).sum().abs() / len(output)


def counted_opportunity(output: Tensor, target: Tensor) -> Tensor:
    r"""The difference in counts instead, by which COSMOS and its followers report hypervolumes; it has no gradient.

    .. math:: \frac1B \big\lvert \#\{z_i > 0,\, y_i = 1,\, s_i = 0\} - \#\{z_i > 0,\, y_i = 1,\, s_i = 1\} \big\rvert
    """
    label, group = target.unbind(dim=1)
    return (label * (output > 0) * (1 - 2 * group)).sum().abs() / len(output)


def opportunity_gap(output: Tensor, target: Tensor) -> Tensor:
    """Difference between two groups' shares of label 1 that are found (true positive rates); NaN if a group has none."""
    label, group = (column > 0.5 for column in target.unbind(dim=1))
    first, second = ((output > 0)[label & (group == side)].double().mean() for side in (False, True))
    return (first - second).abs()
