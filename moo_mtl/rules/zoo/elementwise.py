"""Rules that decide for every coordinate by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moo_mtl.properties import (
    common_descent,
    continuous,
    continuous_at_dependence,
    converges_if_convex,
    deterministic,
    homogeneous_1,
    linear_under_scaling,
    nonnegative,
    permutation_equivariant,
    scale_invariant,
    shift_invariant,
    simplex,
    stateless,
    zero_at_weakly_stationary,
    zero_only_at_stationary,
)
from moo_mtl.rules import elementwise
from moo_mtl.rules.compose import compose
from moo_mtl.rules.recipe import recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import within


@recipe(
    "graddrop",
    cite="Chen, Ngiam, Huang, Luong, Kretzschmar, Chai and Anguelov, Just Pick a Sign: Optimizing Deep Multitask Models with "
    "Gradient Sign Dropout, NeurIPS 2020, arXiv 2010.06808, Algorithm 1",
    holds=[
        *(nonnegative, zero_only_at_stationary, shift_invariant, homogeneous_1, permutation_equivariant),
        *(stateless, converges_if_convex),
    ],
    fails=[common_descent, zero_at_weakly_stationary, simplex, scale_invariant, deterministic, linear_under_scaling],
)
def graddrop(leak: float | Sequence[float] = 0.0) -> Rule[Any]:
    r"""At every coordinate only the gradients of one sign are kept, drawn with the sign's purity as its probability.

    The paper draws at a shared feature, with its sign factored in; here the coordinates are those that the driver gives.

    Args:
        leak: share of each gradient that is never dropped; one number, or one per task. One public code inverts its meaning.

    Raises:
        InputError: ``leak`` outside [0, 1], or (at the first step) not one per task.
    """
    return compose(elementwise.sign_dropout(leak), name="graddrop")


@recipe(
    "trimmed-mean",
    cite="Yin, Chen, Ramchandran and Bartlett, Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, "
    "ICML 2018, arXiv 1803.01498, Definition 2",
    holds=[
        *(nonnegative, simplex, shift_invariant, homogeneous_1, permutation_equivariant, deterministic),
        *(stateless, continuous, continuous_at_dependence),
    ],
    fails=[common_descent, zero_at_weakly_stationary, scale_invariant, linear_under_scaling],
    min_tasks=3,
)
def trimmed_mean(trim: int = 1) -> Rule[Any]:
    r"""The coordinatewise mean without the largest and smallest entries.

    Args:
        trim: b, how many are left out at either end; the rule needs 2b + 1 tasks.

    Raises:
        InputError: ``trim`` is negative.
    """
    within("trimmed-mean", "trim", trim, 0, float("inf"), "it is a number of gradients")
    return compose(elementwise.trimmed(trim), name="trimmed-mean", min_tasks=2 * trim + 1)
