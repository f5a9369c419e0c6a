"""Rules that weigh tasks by how their losses have moved so far."""

from __future__ import annotations

from typing import Any

from moo_mtl.properties import (
    Condition,
    common_descent,
    continuous,
    continuous_at_dependence,
    converges_if_convex,
    converges_if_smooth,
    deterministic,
    heavier_with_loss,
    homogeneous_0,
    homogeneous_1,
    idle_tasks_change_nothing,
    lighter_with_loss,
    linear_under_scaling,
    nonnegative,
    permutation_equivariant,
    scale_invariant,
    scale_invariant_weights,
    shift_invariant,
    simplex,
    stateless,
    sums_to_k,
    trajectory_scale_invariant,
    unbiased,
    zero_at_weakly_stationary,
    zero_only_at_stationary,
)
from moo_mtl.rules import pace, weights
from moo_mtl.rules.compose import compose
from moo_mtl.rules.recipe import recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Bound, Schedule, positive

_GUARANTEES_NOTHING = [common_descent, zero_at_weakly_stationary]


@recipe(
    "dwa",
    cite="Liu, Johns and Davison, End-to-End Multi-Task Learning with Attention, CVPR 2019, arXiv 1803.10704, equation 7",
    holds=[
        *(nonnegative, sums_to_k, heavier_with_loss, lighter_with_loss, zero_only_at_stationary),
        *(scale_invariant_weights, linear_under_scaling, homogeneous_1, permutation_equivariant),
        *(deterministic, idle_tasks_change_nothing, continuous, continuous_at_dependence, unbiased),
        *(converges_if_convex, converges_if_smooth),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, trajectory_scale_invariant, shift_invariant, stateless],
)
def dwa(temperature: float = 2.0, epoch_steps: int | None = None) -> Rule[Any]:
    r"""Tasks whose loss falls slowly weigh more: :math:`w = K\,\mathrm{softmax}(r / T)`.

    r is the ratio of the last two epochs' mean losses. Weights are 1 during the first two epochs.

    Args:
        temperature: T.
        epoch_steps: length of an epoch in steps, where the driver does not count epochs; public code without epochs uses 25.

    Raises:
        InputError: ``temperature`` is not positive.
    """
    positive("dwa", "temperature", temperature, "as it grows the weights become equal")
    return compose(weights.uniform, loss=pace.epoch_trend(temperature, epoch_steps), name="dwa")


@recipe(
    "slaw",
    cite="Crawshaw and Kosecka, SLAW: Scaled Loss Approximate Weighting for Efficient Multi-Task Learning, arXiv 2109.08218, "
    "2021, Algorithm 1; the start of its averages is inferred",
    holds=[
        *(nonnegative, sums_to_k, zero_only_at_stationary, shift_invariant, homogeneous_1),
        *(permutation_equivariant, deterministic, idle_tasks_change_nothing, continuous),
        *(continuous_at_dependence, unbiased, converges_if_convex, converges_if_smooth),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, stateless, trajectory_scale_invariant],
    when={trajectory_scale_invariant: Condition("from the second step on", first=1)},
)
def slaw(beta: Schedule = 0.99) -> Rule[Any]:
    r"""Inverse deviations of the losses, in place of gradient lengths: :math:`w_k \propto 1 / s_k`, :math:`\sum w = K`.

    Args:
        beta: decay of the averages.
    """
    return compose(weights.uniform, loss=pace.spread(beta), name="slaw")


@recipe(
    "cov",
    cite="Groenendijk, Karaoglu, Gevers and Mensink, Multi-Loss Weighting with Coefficient of Variations, WACV 2021, "
    "arXiv 2009.01717, Section 3; running statistics by Welford's method",
    holds=[
        *(nonnegative, simplex, zero_only_at_stationary, scale_invariant_weights, linear_under_scaling),
        *(homogeneous_1, permutation_equivariant, deterministic, idle_tasks_change_nothing, continuous),
        *(continuous_at_dependence, unbiased, converges_if_convex, converges_if_smooth),
    ],
    fails=[*_GUARANTEES_NOTHING, trajectory_scale_invariant, shift_invariant, stateless],
)
def cov(lower_bound: Bound = None) -> Rule[Any]:
    r"""Weights in proportion to the coefficient of variation of each loss relative to its own mean so far.

    Args:
        lower_bound: a number below every loss, or one per task, subtracted first.
    """
    return compose(weights.uniform, loss=pace.variation(lower_bound), name="cov")


@recipe(
    "igb",
    cite="Dai, Fei and Lu, Improvable Gap Balancing for Multi-Task Learning, UAI 2023, arXiv 2307.15429, IGBv1",
    holds=[
        *(nonnegative, zero_only_at_stationary, trajectory_scale_invariant, homogeneous_0),
        *(permutation_equivariant, deterministic, idle_tasks_change_nothing, continuous),
        *(continuous_at_dependence, unbiased, converges_if_convex, converges_if_smooth),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, shift_invariant, stateless],
)
def igb(base_epoch: int = 1, epoch_steps: int | None = None, lower_bound: Bound = None) -> Rule[Any]:
    r"""Logarithms, weighted by the gap each loss has left: :math:`w_k = K\,\mathrm{softmax}(\ell / \text{base})_k / \ell_k`.

    Args:
        base_epoch: the early epoch whose mean losses are the base; before it ends the rule is the sum of logarithms.
        epoch_steps: length of an epoch in steps, where the driver does not count epochs.
        lower_bound: a number below every loss, or one per task, subtracted first.
    """
    return compose(weights.uniform, loss=pace.gap_left(base_epoch, epoch_steps, lower_bound), name="igb")


@recipe(
    "go4align",
    cite="Shen, Wang, Xiao, van Noord and Worring, GO4Align: Group Optimization for Multi-Task Alignment, NeurIPS 2024, "
    "arXiv 2404.06486; formulas as in the authors' code",
    holds=[
        *(nonnegative, lighter_with_loss, zero_only_at_stationary, permutation_equivariant, deterministic),
        *(continuous_at_dependence, unbiased),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, scale_invariant, shift_invariant, stateless],
    probe={"rate": 0.3},
)
def go4align(rate: float = 1e-4, groups: int = 2, lower_bound: Bound = None) -> Rule[Any]:
    r"""Tasks grouped by a risk indicator, each group weighed by its mean.

    .. math:: p_k \propto p_k e^{-\eta \ell_k}, \qquad q_k = p_k \frac{\sum_j \ell_j}{\ell_k}

    Args:
        rate: :math:`\eta`.
        groups: number of groups. With 1, what the authors' code ships, all weights are equal. The groups are exact
            k-means clusters, where that code starts at random.
        lower_bound: a number below every loss, or one per task, subtracted where a loss divides.

    Raises:
        InputError: ``groups`` is not positive.
    """
    positive("go4align", "groups", groups, "it is a number of clusters")
    return compose(weights.uniform, loss=pace.grouped_risk(rate, groups, lower_bound), name="go4align")


@recipe(
    "stch-mtl",
    cite="Lin, Zhang, Yang, Liu, Wang and Zhang, Smooth Tchebycheff Scalarization for Multi-Objective Optimization, ICML "
    "2024, arXiv 2402.19078; the multi-task form of the authors' code",
    holds=[
        *(nonnegative, heavier_with_loss, lighter_with_loss, zero_only_at_stationary),
        *(trajectory_scale_invariant, homogeneous_0, permutation_equivariant, deterministic),
        *(idle_tasks_change_nothing, continuous, continuous_at_dependence, unbiased, converges_if_convex),
        *(converges_if_smooth,),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, shift_invariant, stateless],
    probe={"warm_up": 1},
)
def stch_mtl(mu: float = 1.0, warm_up: int = 4, epoch_steps: int | None = None, lower_bound: Bound = None) -> Rule[Any]:
    r"""Smooth maximum of the losses over their level after a warm-up: :math:`F = K \mu \log \sum_k (\ell_k / n_k)^{1/\mu}`.

    With the code's default :math:`\mu = 1` the direction is that of linear scalarization with weights :math:`1 / n_k`.

    Args:
        mu: smoothness; towards 0 the rule descends the largest ratio alone.
        warm_up: epochs of the sum of logarithms; during one more the losses are averaged into n.
        epoch_steps: length of an epoch in steps, where the driver does not count epochs.
        lower_bound: a number below every loss, or one per task, subtracted first.

    Raises:
        InputError: ``mu`` is not positive.
    """
    positive("stch-mtl", "mu", mu, "it is a temperature")
    return compose(weights.uniform, loss=pace.smooth_worst(mu, warm_up, epoch_steps, lower_bound), name="stch-mtl")
