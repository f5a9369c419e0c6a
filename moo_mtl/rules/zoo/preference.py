"""Rules that steer towards a preference by the gradients: what descends the losses, and what leads to the ray."""

from __future__ import annotations

from typing import Any, Literal

from moo_mtl.properties import (
    common_descent,
    continuous,
    continuous_at_dependence,
    converges_if_convex,
    converges_if_smooth,
    deterministic,
    heavier_with_loss,
    homogeneous_1,
    linear_under_scaling,
    nonnegative,
    permutation_equivariant,
    scale_invariant,
    shift_invariant,
    simplex,
    stateless,
    sums_to_k,
    zero_at_weakly_stationary,
    zero_only_at_stationary,
)
from moo_mtl.rules import scaling, steering, weights
from moo_mtl.rules.compose import compose
from moo_mtl.rules.recipe import recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Bound, positive

_GUARANTEES_NOTHING = [common_descent, zero_at_weakly_stationary]
_PLAIN = [permutation_equivariant, deterministic, stateless]


@recipe(
    "preference-mgda",
    cite="MGDA on weighted objectives, as in LibMOON: Zhang et al., NeurIPS 2024, arXiv 2409.02969",
    holds=[
        *_PLAIN,
        *(nonnegative, common_descent, zero_at_weakly_stationary, zero_only_at_stationary, shift_invariant),
        *(homogeneous_1, continuous, continuous_at_dependence, converges_if_convex, converges_if_smooth),
    ],
    fails=[simplex, scale_invariant, linear_under_scaling],
)
def preference_mgda() -> Rule[Any]:
    r"""The min-norm point of the gradients multiplied by the preference."""
    return compose(weights.min_norm, scale=scaling.by_preference, heads="weights", name="preference-mgda")


@recipe(
    "wc-mgda",
    cite="Momma, Dong and Liu, A Multi-Objective / Multi-Task Learning Framework Induced by Pareto Stationarity, ICML 2022; "
    "the objective is inferred",
    holds=[*_PLAIN, nonnegative, heavier_with_loss, zero_only_at_stationary, continuous, converges_if_convex],
    fails=[*_GUARANTEES_NOTHING, simplex, scale_invariant, shift_invariant, linear_under_scaling],
)
def wc_mgda(u: float = 1.0, ideal: Bound = None) -> Rule[Any]:
    r"""A trade-off of weighted Tchebycheff and min-norm.

    .. math:: \max_{w \in \Delta} w^\top (\lambda \odot (\ell - z)) - u \lVert J^\top (\lambda \odot w) \rVert^2

    Args:
        u: weight of the squared length, in losses per squared gradient.
        ideal: z, a number or one per task.

    Raises:
        InputError: ``u`` is not positive.
    """
    positive("wc-mgda", "u", u, "at 0 it is tchebycheff")
    return compose(steering.weighted_chebyshev(u, ideal), heads="weights", name="wc-mgda")


@recipe(
    "epo",
    cite="Mahapatra and Rajan, Multi-Task Learning with User Preferences: Gradient Descent with Controlled Ascent in Pareto "
    "Optimization, ICML 2020, arXiv 2010.06313, Algorithm 1",
    holds=[
        *_PLAIN,
        *(nonnegative, sums_to_k, zero_only_at_stationary, homogeneous_1, converges_if_convex),
        *(converges_if_smooth,),
    ],
    fails=[*_GUARANTEES_NOTHING, scale_invariant, shift_invariant, linear_under_scaling],
)
def epo(
    balanced: float = 1e-4, dominance: Literal["restricted", "relaxed"] = "restricted", lower_bound: Bound = None
) -> Rule[Any]:
    r"""Search for the exact Pareto optimum with :math:`\lambda_1 \ell_1 = \dots = \lambda_K \ell_K`, by controlled ascent.

    The preference is thus an inverse ray: twice the preference asks for half the loss. Where the linear program has no solution
    the step is that of linear scalarization, as in the authors' code, and ``converged`` is false.

    Args:
        balanced: non-uniformity below which all losses descend.
        dominance: whether descending all may move along the front (``"relaxed"``).
        lower_bound: a number below every loss, or one per task, subtracted first.

    Raises:
        InputError: ``dominance`` is unknown.
    """
    return compose(steering.exact_optimal(balanced, dominance, lower_bound), heads="weights", name="epo")


@recipe(
    "pmgda",
    cite="Zhang, Lin and Zhang, PMGDA: A Preference-Based Multiple Gradient Descent Algorithm, arXiv 2402.09492, 2024",
    holds=_PLAIN,
    fails=[*_GUARANTEES_NOTHING, nonnegative, simplex, scale_invariant, shift_invariant, linear_under_scaling, homogeneous_1],
)
def pmgda(tolerance: float = 1e-3, sigma: float = 0.1, ideal: Bound = None) -> Rule[Any]:
    r"""MGDA that first walks to the preference's ray, descending what it can on the way.

    Args:
        tolerance: distance from the ray below which the rule is MGDA.
        sigma: how much of the steepest approach to the ray a step must keep. LibMOON's constructor has 0.1, its settings file,
            which overrides it unsaid, 0.95.
        ideal: where the ray starts; a number or one per task.

    Raises:
        InputError: ``sigma`` is not positive.
    """
    positive("pmgda", "sigma", sigma, "a step off the ray must come closer to it")
    return compose(steering.constrained_descent(tolerance, sigma, ideal), heads="weights", name="pmgda")
