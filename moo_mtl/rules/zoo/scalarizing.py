"""Scalarizations: descent on one function of the losses and of a preference, one per step or one per trajectory."""

from __future__ import annotations

from typing import Any

from moo_mtl.errors import InputError
from moo_mtl.properties import (
    common_descent,
    common_shift_invariant,
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
    scale_invariant_weights,
    shift_invariant,
    simplex,
    stateless,
    unbiased,
    zero_at_weakly_stationary,
    zero_only_at_stationary,
)
from moo_mtl.rules import preference, weights
from moo_mtl.rules.compose import compose
from moo_mtl.rules.preference import Scalarization, scalarized
from moo_mtl.rules.recipe import recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Bound, positive

_GUARANTEES_NOTHING = [common_descent, zero_at_weakly_stationary]
_PLAIN = [permutation_equivariant, deterministic, stateless]


def _of(function: Scalarization, ideal: Bound) -> Rule[Any]:
    return compose(scalarized(function, ideal), heads="weights", name=function.name)


@recipe(
    "linear",
    cite="Linear scalarization, a classic: Miettinen, Nonlinear Multiobjective Optimization, Kluwer 1999, Section 3.1",
    holds=[
        *_PLAIN,
        *(nonnegative, simplex, zero_only_at_stationary, scale_invariant_weights, shift_invariant),
        *(linear_under_scaling, homogeneous_1, continuous, continuous_at_dependence, unbiased),
        *(converges_if_convex, converges_if_smooth),
    ],
    fails=[*_GUARANTEES_NOTHING, scale_invariant],
)
def linear() -> Rule[Any]:
    r"""Descent on :math:`\sum_k \lambda_k \ell_k`: the preference is the weights.

    Its minimisers are Pareto-optimal; those on a non-convex part of the front are minimisers for no preference.
    """
    return compose(weights.preferred, heads="weights", name="linear")


@recipe(
    "tchebycheff",
    cite="Bowman, On the Relationship of the Tchebycheff Norm and the Efficient Frontier, 1976; Miettinen, Nonlinear "
    "Multiobjective Optimization, Kluwer 1999, Section 3.4",
    holds=[
        *_PLAIN,
        *(nonnegative, heavier_with_loss, zero_only_at_stationary, homogeneous_1, continuous_at_dependence),
        *(unbiased,),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, scale_invariant, shift_invariant, common_shift_invariant, linear_under_scaling],
)
def tchebycheff(ideal: Bound = None) -> Rule[Any]:
    r"""Descent on the worst task: :math:`\max_k \lambda_k (\ell_k - z_k)`, :math:`w = \lambda_k e_k`; equal worst ones share.

    Args:
        ideal: z, a number or one per task.
    """
    return _of(preference.chebyshev, ideal)


@recipe(
    "modified-tchebycheff",
    cite="Ma, Du and Matusik, Efficient Continuous Pareto Exploration, ICML 2020; as in LibMOON: Zhang et al., NeurIPS 2024",
    holds=[
        *_PLAIN,
        *(nonnegative, heavier_with_loss, zero_only_at_stationary, homogeneous_1, continuous_at_dependence),
        *(unbiased,),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, scale_invariant, shift_invariant, linear_under_scaling],
)
def modified_tchebycheff(ideal: Bound = None) -> Rule[Any]:
    r"""Descent on :math:`\max_k (\ell_k - z_k) / \lambda_k`: solutions lie on the preference's ray where the front meets it.

    Args:
        ideal: z, a number or one per task.
    """
    return _of(preference.modified_chebyshev, ideal)


@recipe(
    "augmented-tchebycheff",
    cite="Steuer and Choo, An Interactive Weighted Tchebycheff Procedure for Multiple Objective Programming, Mathematical "
    "Programming 26, 1983",
    holds=[
        *_PLAIN,
        *(nonnegative, heavier_with_loss, zero_only_at_stationary, homogeneous_1, continuous_at_dependence),
        *(unbiased,),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, scale_invariant, shift_invariant, linear_under_scaling],
)
def augmented_tchebycheff(rho: float = 0.05, ideal: Bound = None) -> Rule[Any]:
    r"""Descent on :math:`\max_k \lambda_k (\ell_k - z_k) + \rho \sum_k \lambda_k (\ell_k - z_k)`; its minimisers are optimal.

    Args:
        rho: weight of the sum.
        ideal: z, a number or one per task.
    """
    return _of(preference.augmented_chebyshev(rho), ideal)


@recipe(
    "stch",
    cite="Lin, Zhang, Yang, Liu, Wang and Zhang, Smooth Tchebycheff Scalarization for Multi-Objective Optimization, ICML "
    "2024, arXiv 2402.19078, equation 5",
    holds=[
        *_PLAIN,
        *(nonnegative, heavier_with_loss, zero_only_at_stationary, continuous, continuous_at_dependence),
        *(unbiased,),
    ],
    fails=[
        *_GUARANTEES_NOTHING,
        *(simplex, scale_invariant, shift_invariant, common_shift_invariant, linear_under_scaling, homogeneous_1),
    ],
)
def stch(mu: float = 0.1, ideal: Bound = None) -> Rule[Any]:
    r"""Descent on :math:`\mu \log \sum_k e^{\lambda_k (\ell_k - z_k) / \mu}`, within :math:`\mu \log K` of the largest.

    Args:
        mu: smoothness; the paper tries 0.01 to 1.
        ideal: z, a number or one per task.

    Raises:
        InputError: ``mu`` is not positive.
    """
    positive("stch", "mu", mu, "towards 0 it is tchebycheff")
    return _of(preference.smooth_chebyshev(mu), ideal)


@recipe(
    "soft-modified-tchebycheff",
    cite="As in LibMOON: Zhang, Zhao, Yu, Lin, Chen, Zhao and Zhang, LibMOON: A Gradient-based MultiObjective OptimizatioN "
    "Library in PyTorch, NeurIPS 2024, arXiv 2409.02969",
    holds=[
        *_PLAIN,
        *(nonnegative, heavier_with_loss, zero_only_at_stationary, continuous, continuous_at_dependence),
        *(unbiased,),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, scale_invariant, shift_invariant, linear_under_scaling, homogeneous_1],
)
def soft_modified_tchebycheff(mu: float = 0.1, ideal: Bound = None) -> Rule[Any]:
    r"""Descent on :math:`\mu \log \sum_k e^{(\ell_k - z_k) / (\lambda_k \mu)}`.

    Args:
        mu: smoothness.
        ideal: z, a number or one per task.

    Raises:
        InputError: ``mu`` is not positive.
    """
    positive("soft-modified-tchebycheff", "mu", mu, "towards 0 it is modified-tchebycheff")
    return _of(preference.smooth_modified_chebyshev(mu), ideal)


@recipe(
    "p-norm",
    cite="Weighted metric methods: Miettinen, Nonlinear Multiobjective Optimization, Kluwer 1999, Section 2.1; LibMOON",
    holds=[
        *_PLAIN,
        *(nonnegative, heavier_with_loss, zero_only_at_stationary, homogeneous_1, continuous),
        *(continuous_at_dependence, unbiased, converges_if_convex, converges_if_smooth),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, scale_invariant, shift_invariant, linear_under_scaling],
)
def p_norm(p: float = 2.0, ideal: Bound = None) -> Rule[Any]:
    r"""Descent on :math:`\lVert \lambda \odot (\ell - z) \rVert_p`; 1 is linear scalarization, infinity Tchebycheff.

    Args:
        p: at least 1.
        ideal: z, a number or one per task, below every loss, or weights turn negative.

    Raises:
        InputError: ``p`` is below 1.
    """
    if not p >= 1:
        raise InputError(f"p-norm: p must be at least 1, found {p}; below 1 it is no norm")
    return _of(preference.power_norm(p), ideal)


@recipe(
    "pbi",
    cite="Zhang and Li, MOEA/D: A Multiobjective Evolutionary Algorithm Based on Decomposition, IEEE TEVC 11, 2007, equation 8",
    holds=[*_PLAIN, homogeneous_1, continuous_at_dependence, unbiased],
    fails=[*_GUARANTEES_NOTHING, nonnegative, simplex, scale_invariant, shift_invariant, linear_under_scaling],
)
def pbi(theta: float = 5.0, ideal: Bound = None) -> Rule[Any]:
    r"""Descent along the preference's ray, with a penalty on the distance from it: :math:`d_1 + \theta d_2`.

    Args:
        theta: the penalty.
        ideal: z, where the ray starts; a number or one per task.
    """
    return _of(preference.boundary_intersection(theta), ideal)


@recipe(
    "cosmos",
    cite="Ruchte and Grabocka, Scalable Pareto Front Approximation for Deep Multi-Objective Learning, ICDM 2021, "
    "arXiv 2103.13392, equation 6",
    holds=[*_PLAIN, continuous, continuous_at_dependence, unbiased],
    fails=[*_GUARANTEES_NOTHING, nonnegative, simplex, scale_invariant, shift_invariant, linear_under_scaling, homogeneous_1],
)
def cosmos(strength: float = 2.0) -> Rule[Any]:
    r"""Linear scalarization and a pull of the losses towards the preference: :math:`\lambda^\top \ell - c \cos(\lambda, \ell)`.

    The paper draws the preference afresh at every step and feeds it to the network too; here it is the observation's.

    Args:
        strength: c, which the paper chooses per data set between 0.01 and 8.
    """
    return _of(preference.cosine_penalty(strength), None)
