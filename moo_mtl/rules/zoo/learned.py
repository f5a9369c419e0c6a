"""Rules that learn one number per task beside the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moo_mtl.properties import (
    common_descent,
    continuous,
    continuous_at_dependence,
    converges_if_convex,
    converges_if_smooth,
    deterministic,
    heavier_with_loss,
    homogeneous_1,
    idle_tasks_change_nothing,
    lighter_with_loss,
    linear_under_scaling,
    nonnegative,
    permutation_equivariant,
    shift_invariant,
    simplex,
    stateless,
    sums_to_k,
    trajectory_scale_invariant,
    unbiased,
    zero_at_weakly_stationary,
    zero_only_at_stationary,
)
from moo_mtl.rules import learned, weights
from moo_mtl.rules.compose import compose
from moo_mtl.rules.learned import Likelihood, Optimizer
from moo_mtl.rules.recipe import recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Bound, Schedule

_GUARANTEES_NOTHING = [common_descent, zero_at_weakly_stationary]


@recipe(
    "uw",
    cite="Kendall, Gal and Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics, "
    "CVPR 2018, arXiv 1705.07115, equation 7",
    holds=[
        *(nonnegative, heavier_with_loss, lighter_with_loss, zero_only_at_stationary),
        *(permutation_equivariant, deterministic, idle_tasks_change_nothing, continuous),
        *(continuous_at_dependence, unbiased, converges_if_convex, converges_if_smooth),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, stateless, shift_invariant, trajectory_scale_invariant, homogeneous_1],
)
def uw(
    likelihood: Likelihood | Sequence[Likelihood] = "regression",
    lr: Schedule = 1e-3,
    optimizer: Optimizer = "adam",
    initial: float = 0.0,
) -> Rule[Any]:
    r"""Losses weighed by learned uncertainties :math:`s_k = \log \sigma_k^2`, which settle at :math:`\log \ell_k`.

    .. math:: \min_{\theta, s} \sum_k \tfrac12 e^{-s_k} \ell_k + \tfrac12 s_k

    Args:
        likelihood: ``"classification"`` has :math:`e^{-s_k} \ell_k` without the half; one for all tasks or one per task. Most
            public code uses the regression form for all.
        lr: learning rate of s, which never decays with the network's weights.
        optimizer: of s, ``"adam"`` or ``"sgd"``.
        initial: s before the first step; LibMTL starts at -0.5.

    Raises:
        InputError: ``likelihood`` or ``optimizer`` is unknown, or there is not one likelihood per task.
    """
    return compose(weights.uniform, loss=learned.uncertainty(likelihood, lr, optimizer, initial), name="uw")


@recipe(
    "imtl-l",
    cite="Liu, Li, Kuang, Xue, Chen, Yang, Liao and Zhang, Towards Impartial Multi-Task Learning, ICLR 2021, Section 3.2",
    holds=[
        *(nonnegative, heavier_with_loss, lighter_with_loss, zero_only_at_stationary),
        *(permutation_equivariant, deterministic, idle_tasks_change_nothing, continuous),
        *(continuous_at_dependence, unbiased, converges_if_convex, converges_if_smooth),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, stateless, shift_invariant, trajectory_scale_invariant, homogeneous_1],
)
def imtl_l(lr: Schedule = 1e-3, optimizer: Optimizer = "adam", initial: float = 0.0) -> Rule[Any]:
    r"""Learned scales that bring every loss to 1: :math:`\min_{\theta, s} \sum_k e^{s_k} \ell_k - s_k`.

    With s solved for it is the sum of logarithms.

    Args:
        lr: learning rate of s.
        optimizer: of s, ``"adam"`` or ``"sgd"``.
        initial: s before the first step.

    Raises:
        InputError: ``optimizer`` is unknown.
    """
    return compose(weights.uniform, loss=learned.learned_scale(lr, optimizer, initial), name="imtl-l")


@recipe(
    "famo",
    cite="Liu, Feng, Stone and Liu, FAMO: Fast Adaptive Multitask Optimization, NeurIPS 2023, arXiv 2306.03792, Algorithm 1",
    holds=[
        *(nonnegative, simplex, lighter_with_loss, zero_only_at_stationary, trajectory_scale_invariant),
        *(homogeneous_1, permutation_equivariant, deterministic, continuous, continuous_at_dependence),
        *(unbiased, converges_if_convex),
    ],
    fails=[*_GUARANTEES_NOTHING, shift_invariant, stateless],
)
def famo(lr: float = 0.025, weight_decay: float = 1e-3, optimizer: Optimizer = "adam", lower_bound: Bound = None) -> Rule[Any]:
    r"""Weights that let all losses fall at the same relative rate, learned from the losses before and after each step.

    .. math:: w_k = c\, z_k / (\ell_k - b_k), \qquad z = \mathrm{softmax}(\xi), \qquad \sum w = 1

    The driver must show the losses after the step (``trace`` does, ``balancer.observe`` in a loop of your own); without
    that the logits never move.

    Args:
        lr: learning rate of the logits.
        weight_decay: of the logits; the authors' scripts use 1e-3, and 1e-2 on Cityscapes.
        optimizer: of the logits: ``"adam"`` as in the authors' code, ``"sgd"`` as in the paper.
        lower_bound: a number below every loss, or one per task.

    Raises:
        InputError: ``optimizer`` is unknown.
    """
    return compose(learned.famo(lr, weight_decay, optimizer, lower_bound), heads="weights", name="famo")


@recipe(
    "gradnorm",
    cite="Chen, Badrinarayanan, Lee and Rabinovich, GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep "
    "Multitask Networks, ICML 2018, arXiv 1711.02257, Algorithm 1",
    holds=[
        *(nonnegative, sums_to_k, heavier_with_loss, lighter_with_loss, zero_only_at_stationary),
        *(homogeneous_1, permutation_equivariant, deterministic, continuous, continuous_at_dependence),
        *(unbiased, converges_if_convex, converges_if_smooth),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, stateless, trajectory_scale_invariant, shift_invariant],
)
def gradnorm(
    alpha: float = 1.5,
    lr: Schedule = 0.025,
    optimizer: Optimizer = "adam",
    floor: float = 1e-3,
    lower_bound: Bound = None,
) -> Rule[Any]:
    r"""Weights learned so that weighted gradient lengths follow the tasks' relative training rates.

    The paper takes the lengths over the last shared layer (``Balancer(gramian_of=...)``). At the fixed point
    :math:`w_k \propto r_k^\alpha / \lVert g_k \rVert`.

    Args:
        alpha: how strongly tasks that train slowly are pulled forward; 1.5 on NYUv2, 0.12 on synthetic tasks.
        lr: learning rate of the weights.
        optimizer: of the weights. Adam keeps the rule free of the gradients' units, which ``"sgd"`` does not.
        floor: smallest weight after a step.
        lower_bound: a number below every loss, or one per task.

    Raises:
        InputError: ``optimizer`` is unknown.
    """
    return compose(learned.gradnorm(alpha, lr, optimizer, floor, lower_bound), heads="weights", name="gradnorm")


@recipe(
    "ldc-mtl",
    cite="Xiao, Dong, Zou and Ji, LDC-MTL: Balancing Multi-Task Learning through Scalable Loss Discrepancy Control, "
    "arXiv 2502.08585, 2025; the single-level objective of the authors' code",
    holds=[
        *(heavier_with_loss, deterministic, continuous_at_dependence, unbiased, converges_if_convex),
        *(converges_if_smooth,),
    ],
    fails=[
        *_GUARANTEES_NOTHING,
        *(nonnegative, simplex, permutation_equivariant, stateless, shift_invariant, linear_under_scaling),
    ],
    probe={"strength": 1.0, "lr": 0.1},
)
def ldc_mtl(strength: float = 0.1, lr: Schedule = 1e-3, optimizer: Optimizer = "adam", lower_bound: Bound = None) -> Rule[Any]:
    r"""Learned weights that also shrink the differences between neighbouring tasks' weighted losses.

    The authors' code, which this is, trains network and router together on one objective; the paper states a bilevel problem,
    and its router reads the shared features, where here it is one free logit per task.

    Args:
        strength: :math:`\lambda` of the differences; the code uses 0.05 on NYUv2 and QM9, 0.1 on Cityscapes, 0.01 on CelebA.
        lr: learning rate of the logits.
        optimizer: of the logits.
        lower_bound: a number below every loss, or one per task.

    Raises:
        InputError: ``optimizer`` is unknown.
    """
    return compose(learned.discrepancy(strength, lr, optimizer, lower_bound), heads="weights", name="ldc-mtl")
