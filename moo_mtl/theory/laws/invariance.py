"""What changes of the losses leave a step as it is.

The changes are fixed short numbers, so that a counter-example can be checked by hand.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from moo_mtl import properties
from moo_mtl.theory.episode import told
from moo_mtl.theory.law import Law
from moo_mtl.theory.measure import Case, moved, ratio, reweighted, turned

FACTORS = (100.0, 1.0, 0.01, 10.0, 0.1)
CONSTANTS = (3.0, 1.0, 2.0)
BENDS = (1.0, 0.0, 3.0)
COMMON = 4.0


def cycled(numbers: tuple[float, ...], K: int) -> Tensor:
    """One number for each of K tasks."""
    return torch.tensor(numbers, dtype=torch.float64)[torch.arange(K) % len(numbers)]


def _scale(case: Case) -> Tensor:
    return turned(case.answer, told(case.rule, case.story.times(cycled(FACTORS, case.story.n_tasks))))


def _weights_scale(case: Case) -> Tensor:
    return reweighted(case, told(case.rule, case.story.times(cycled(FACTORS, case.story.n_tasks))))


def _transformation(case: Case) -> Tensor:
    """Under :math:`\\varphi_k(\\ell) = \\ell + b_k \\ell^2`."""
    b = cycled(BENDS, case.story.n_tasks)
    after = case.story.through(lambda losses: losses + b * losses**2, lambda losses: 1 + 2 * b * losses)
    return turned(case.answer, told(case.rule, after))


def _shift(case: Case) -> Tensor:
    return moved(case, told(case.rule, case.story.plus(cycled(CONSTANTS, case.story.n_tasks))))


def _common_shift(case: Case) -> Tensor:
    return moved(case, told(case.rule, case.story.plus(torch.tensor(COMMON, dtype=torch.float64))))


def _homogeneous(case: Case, degree: int) -> Tensor:
    before = case.answer.directions.norm(dim=-1)
    after = told(case.rule, case.story.times(torch.tensor(COMMON, dtype=torch.float64))).directions.norm(dim=-1)
    return ratio((after - COMMON**degree * before).abs(), COMMON**degree * case.length)


def _linear_under_scaling(case: Case) -> Tensor:
    left, right = (cycled(numbers, case.story.n_tasks) for numbers in (FACTORS, FACTORS[::-1]))

    def d(factors: Tensor) -> Tensor:
        return told(case.rule, case.story.times(factors)).directions

    apart = 2 * d(left) + 3 * d(right)
    return ratio((d(2 * left + 3 * right) - apart).norm(dim=-1), apart.norm(dim=-1).clamp(min=1e-300))


LAWS = (
    Law(properties.scale_invariant, _scale, steps=1),
    Law(properties.trajectory_scale_invariant, _scale),
    Law(properties.scale_invariant_weights, _weights_scale),
    Law(properties.transformation_invariant, _transformation, steps=1),
    Law(properties.trajectory_transformation_invariant, _transformation),
    Law(properties.shift_invariant, _shift),
    Law(properties.common_shift_invariant, _common_shift),
    Law(properties.linear_under_scaling, _linear_under_scaling),
    Law(properties.homogeneous_0, partial(_homogeneous, degree=0)),
    Law(properties.homogeneous_1, partial(_homogeneous, degree=1)),
)
