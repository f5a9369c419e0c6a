"""Rules that make the gradients alike: in length, in angle to the step, or in their singular values."""

from __future__ import annotations

from typing import Any, Literal

from moo_mtl.errors import InputError
from moo_mtl.properties import (
    Condition,
    affine,
    common_descent,
    continuous,
    continuous_at_dependence,
    converges_if_convex,
    converges_if_smooth,
    deterministic,
    equal_projections,
    heavier_with_loss,
    homogeneous_0,
    homogeneous_1,
    idle_tasks_change_nothing,
    independent,
    lighter_with_loss,
    linear_under_scaling,
    nonnegative,
    permutation_equivariant,
    scale_invariant,
    shift_invariant,
    simplex,
    stateless,
    trajectory_scale_invariant,
    two_tasks,
    unbiased,
    zero_at_weakly_stationary,
    zero_only_at_stationary,
)
from moo_mtl.rules import learned, output, scaling, weights
from moo_mtl.rules.compose import compose
from moo_mtl.rules.recipe import recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Schedule, positive

_DOWNHILL = Condition("sign = downhill and independent gradients", {"sign": "downhill"}, independent=True)


@recipe(
    "normalized-sum",
    cite="The gradient stage of DB-MTL: Lin et al., Neural Networks 2025, arXiv 2308.12029, equation 3",
    holds=[
        *(nonnegative, zero_only_at_stationary, scale_invariant, shift_invariant, homogeneous_0),
        *(permutation_equivariant, deterministic, stateless, idle_tasks_change_nothing, continuous),
        *(continuous_at_dependence, converges_if_convex, converges_if_smooth),
    ],
    fails=[common_descent, zero_at_weakly_stationary, simplex, linear_under_scaling],
    when={common_descent: two_tasks, zero_at_weakly_stationary: two_tasks},
)
def normalized_sum(magnitude: Literal["max", "min", "mean", "median"] | float = 1.0) -> Rule[Any]:
    r"""Sum of the gradients, all rescaled to one length: :math:`w_k = s / \lVert g_k \rVert`.

    Args:
        magnitude: s, a positive number, or a statistic of the lengths: ``"max"``, ``"min"``, ``"mean"`` or ``"median"``.

    Raises:
        InputError: ``magnitude`` is neither.
    """
    return compose(weights.uniform, scale=scaling.common_norm(magnitude), heads="loss", name="normalized-sum")


@recipe(
    "imtl-g",
    cite="Liu, Li, Kuang, Xue, Chen, Yang, Liao and Zhang, Towards Impartial Multi-Task Learning, ICLR 2021, equation 5",
    holds=[
        *(equal_projections, shift_invariant, homogeneous_1, permutation_equivariant, deterministic),
        *(stateless, idle_tasks_change_nothing, continuous),
    ],
    fails=[affine, common_descent, nonnegative, simplex, scale_invariant, linear_under_scaling],
    when={affine: independent, common_descent: _DOWNHILL, scale_invariant: _DOWNHILL},
)
def imtl_g(sign: Literal["paper", "downhill"] = "paper") -> Rule[Any]:
    r"""Weights of sum 1 under which the step has equal projections on all unit gradients.

    The paper takes the gradients at the shared representation (``Balancer(gramian_of=...)``).

    Args:
        sign: the sum of the weights before they are normalised can be negative, and the paper's step then climbs every task;
            ``"downhill"`` turns it round, at the price of weights that sum to -1 there.

    Raises:
        InputError: ``sign`` is unknown.
    """
    return compose(weights.equal_projections(sign), name="imtl-g")


@recipe(
    "imtl",
    cite="Liu, Li, Kuang, Xue, Chen, Yang, Liao and Zhang, Towards Impartial Multi-Task Learning, ICLR 2021, Algorithm 1",
    holds=[
        *(heavier_with_loss, lighter_with_loss, equal_projections, permutation_equivariant, deterministic),
        *(idle_tasks_change_nothing, continuous),
    ],
    fails=[common_descent, nonnegative, simplex, affine, shift_invariant, stateless],
)
def imtl(
    lr: Schedule = 1e-3,
    optimizer: learned.Optimizer = "adam",
    initial: float = 0.0,
    sign: Literal["paper", "downhill"] = "paper",
) -> Rule[Any]:
    r"""IMTL-L's learned loss scales for the tasks' own parameters, then IMTL-G on the scaled gradients for the shared ones.

    Args:
        lr: learning rate of the scales.
        optimizer: of the scales.
        initial: their logarithm before the first step.
        sign: as in ``imtl_g``.

    Raises:
        InputError: ``optimizer`` or ``sign`` is unknown.
    """
    scaled = learned.learned_scale(lr, optimizer, initial)
    return compose(weights.equal_projections(sign), loss=scaled, heads="loss", name="imtl")


@recipe(
    "aligned-mtl",
    cite="Senushkin, Patakin, Kuznetsov and Konushin, Independent Component Alignment for Multi-Task Learning, CVPR 2023, "
    "arXiv 2305.19000, equations 10 and 11",
    holds=[
        *(shift_invariant, homogeneous_1, permutation_equivariant, deterministic, stateless),
        *(idle_tasks_change_nothing, continuous),
    ],
    fails=[
        *(nonnegative, common_descent, zero_at_weakly_stationary, simplex, scale_invariant, linear_under_scaling),
        *(converges_if_convex, converges_if_smooth),
    ],
    decades=3,
)
def aligned_mtl(scale: Literal["min", "median", "rmse"] = "min", reduction: Literal["sum", "mean"] = "sum") -> Rule[Any]:
    r"""The gradients' system made orthogonal with equal singular values, then summed.

    Rank is decided by float64 rounding: as a singular value falls to 0 the step shrinks with it, and jumps when it is dropped.

    Args:
        scale: which singular value all take: the smallest, the lower median, or the root mean square.
        reduction: sum of the aligned gradients (the authors), or their mean.

    Raises:
        InputError: ``reduction`` is unknown, or (at the first step) ``scale`` is.
    """
    if reduction not in ("sum", "mean"):
        raise InputError(f"aligned-mtl: reduction {reduction!r} is unknown; expected 'sum' or 'mean'")
    length = output.times_tasks if reduction == "sum" else None
    return compose(weights.aligned(scale), output=length, name="aligned-mtl")


@recipe(
    "config",
    cite="Liu, Chu and Thuerey, ConFIG: Towards Conflict-Free Training of Physics Informed Neural Networks, ICLR 2025, "
    "arXiv 2408.11104, equations 2 and 3",
    holds=[
        *(equal_projections, shift_invariant, linear_under_scaling, homogeneous_1, permutation_equivariant),
        *(deterministic, stateless, idle_tasks_change_nothing, continuous),
    ],
    fails=[common_descent, scale_invariant, nonnegative, simplex, zero_at_weakly_stationary],
    when={common_descent: independent, scale_invariant: independent},
)
def config(length: Literal["projections", "min", "max", "mean", "median"] = "projections") -> Rule[Any]:
    r"""The direction at equal angles to all gradients, as long as their projections on it add up to.

    It conflicts with no task while the unit gradients are independent.

    Args:
        length: gradients are first rescaled to a statistic of their lengths, which changes the length of the step only;
            ``"projections"`` leaves them, as the paper does.

    Raises:
        InputError: ``length`` is unknown.
    """
    scale = None if length == "projections" else scaling.common_norm(length)
    return compose(weights.config, scale=scale, heads="loss", name="config")


@recipe(
    "encodec",
    cite="Defossez, Copet, Synnaeve and Adi, High Fidelity Neural Audio Compression, TMLR 2023, arXiv 2210.13438, Section 3.4",
    holds=[
        *(nonnegative, zero_only_at_stationary, trajectory_scale_invariant, shift_invariant, homogeneous_0),
        *(permutation_equivariant, deterministic, idle_tasks_change_nothing, continuous),
        *(continuous_at_dependence, converges_if_convex, converges_if_smooth),
    ],
    fails=[common_descent, zero_at_weakly_stationary, simplex, stateless],
)
def encodec(decay: Schedule = 0.999, total: float = 1.0) -> Rule[Any]:
    r"""Each gradient divided by the moving average of its own length, so that shares of the step can be chosen.

    The paper takes the gradients at the model's output, and their mean length over examples.

    Args:
        decay: of the averages, which are corrected for their zero start.
        total: length to which the averages add up; each of K tasks gets a K-th.

    Raises:
        InputError: ``decay`` outside [0, 1), now or at a later step, or ``total`` is not positive.
    """
    positive("encodec", "total", total, "it is the length to which the averages add up")
    share = output.per_task_of(total)
    return compose(weights.uniform, scale=scaling.average_norm(decay), output=share, heads="weights", name="encodec")


@recipe(
    "metabalance",
    cite="He et al., MetaBalance: Improving Multi-Task Recommendations via Adapting Gradient Magnitudes of Auxiliary Tasks, "
    "WWW 2022, arXiv 2203.06801, Algorithm 1",
    holds=[
        *(nonnegative, zero_only_at_stationary, shift_invariant, linear_under_scaling, homogeneous_1),
        *(deterministic, idle_tasks_change_nothing, continuous, continuous_at_dependence, unbiased),
        *(converges_if_convex, converges_if_smooth),
    ],
    fails=[common_descent, zero_at_weakly_stationary, simplex, permutation_equivariant, stateless, scale_invariant],
)
def metabalance(target: int = 0, relax: float = 0.7, decay: Schedule = 0.9) -> Rule[Any]:
    r"""Auxiliary gradients drawn towards the length of the target task's, by averaged lengths.

    The paper applies it per parameter tensor (``Balancer(groups=...)``).

    Args:
        target: number of the target task.
        relax: r in :math:`r \, m_{\text{target}} / m_k + 1 - r`.
        decay: of the averaged lengths.

    Raises:
        InputError: ``relax`` outside [0, 1] or ``decay`` outside [0, 1), or (at the first step) there is no task ``target``.
    """
    return compose(weights.uniform, scale=scaling.towards_task(target, relax, decay), heads="loss", name="metabalance")
