"""Rules for mini-batch gradients: they track, sample twice, or keep momenta."""

from __future__ import annotations

from typing import Any, Literal

from moo_mtl.errors import InputError
from moo_mtl.properties import (
    Condition,
    common_descent,
    continuous,
    continuous_at_dependence,
    converges_if_convex,
    converges_if_smooth,
    deterministic,
    homogeneous_1,
    idle_tasks_change_nothing,
    linear_under_scaling,
    nonnegative,
    permutation_equivariant,
    scale_invariant,
    scale_invariant_weights,
    shift_invariant,
    simplex,
    stateless,
    trajectory_scale_invariant,
    unbiased,
    zero_at_weakly_stationary,
    zero_only_at_stationary,
)
from moo_mtl.rules import memory, scaling, tracking
from moo_mtl.rules.compose import compose
from moo_mtl.rules.momentum import MomentumConfig
from moo_mtl.rules.recipe import recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Bound, Schedule, at, positive

_GUARANTEES_NOTHING = [common_descent, zero_at_weakly_stationary]


@recipe(
    "moco",
    cite="Fernando, Shen, Liu, Chaudhury, Murugesan and Chen, Mitigating Gradient Bias in Multi-Objective Learning: a Provably "
    "Convergent Approach, ICLR 2023, arXiv 2210.12624, Algorithm 1; step sizes as in LibMTL",
    holds=[
        *(nonnegative, simplex, shift_invariant, permutation_equivariant, deterministic, continuous),
        *(continuous_at_dependence, converges_if_convex, converges_if_smooth),
    ],
    fails=[*_GUARANTEES_NOTHING, stateless, scale_invariant, trajectory_scale_invariant, homogeneous_1],
)
def moco(
    beta: Schedule = 0.5,
    gamma: Schedule = 0.1,
    sigma: float = 0.5,
    rho: float = 0.0,
    update: Literal["projection", "softmax"] = "projection",
    rows: Literal["raw", "loss-scaled"] = "raw",
    lower_bound: Bound = None,
) -> Rule[Any]:
    r"""Tracked gradients Y, and weights that descend :math:`\lVert Y^\top \lambda \rVert^2` by one projected step at a time.

    .. math:: Y \leftarrow Y - \beta_t (Y - J_t), \qquad \lambda \leftarrow \Pi_\Delta(\lambda - \gamma_t (Y Y^\top + \rho I)
              \lambda), \qquad d = Y^\top \lambda

    Args:
        beta: rate of the tracking, divided by :math:`t^\sigma`.
        gamma: step length of the weights, divided by :math:`t^\sigma`; it has the units of an inverse squared gradient.
        sigma: decay of both.
        rho: regularisation towards equal weights.
        update: LibMTL takes a ``"softmax"`` where the paper projects, which keeps the weights nearly equal.
        rows: LibMTL replaces rows by :math:`\ell_k g_k / \lVert g_k \rVert` (``"loss-scaled"``), which the paper does not.
        lower_bound: for ``"loss-scaled"``: a number below every loss, or one per task, subtracted first.

    Raises:
        InputError: ``update`` or ``rows`` is unknown, or ``beta`` outside (0, 1].
    """
    if rows not in ("raw", "loss-scaled"):
        raise InputError(f"moco: rows {rows!r} is unknown; expected 'raw' or 'loss-scaled'")

    def kept(step: int) -> float:
        return 1 - at(beta, step) / step**sigma

    def length(step: int) -> float:
        return at(gamma, step) / step**sigma

    past = memory.row_ema(kept)
    if rows == "loss-scaled":
        past = memory.of_scaled(scaling.loss_over_norm(lower_bound), past)
    return compose(tracking.descended_simplex(length, rho, update), memory=past, name="moco")


@recipe(
    "modo",
    cite="Chen, Fernando, Ying and Chen, Three-Way Trade-Off in Multi-Objective Learning: Optimization, Generalization and "
    "Conflict-Avoidance, NeurIPS 2023, arXiv 2305.20057, Algorithm 1",
    holds=[
        *(nonnegative, simplex, zero_only_at_stationary, shift_invariant, permutation_equivariant),
        *(deterministic, continuous, continuous_at_dependence, unbiased, converges_if_convex),
        *(converges_if_smooth,),
    ],
    fails=[*_GUARANTEES_NOTHING, stateless, scale_invariant, trajectory_scale_invariant],
)
def modo(gamma: Schedule = 1e-3, rho: float = 0.1) -> Rule[Any]:
    r"""MGDA's weights by stochastic gradient steps that are unbiased, since two independent batches are multiplied.

    .. math:: \lambda \leftarrow \Pi_\Delta(\lambda - \gamma (J_1 J_2^\top + \rho I) \lambda), \qquad d = J_3^\top \lambda

    Args:
        gamma: step length of the weights; it has the units of an inverse squared gradient.
        rho: regularisation towards equal weights.
    """
    return compose(tracking.double_sampled(gamma, rho), heads="weights", name="modo")


@recipe(
    "sdmgrad",
    cite="Xiao, Ban and Ji, Direction-Oriented Multi-Objective Learning: Simple and Provable Stochastic Algorithms, NeurIPS "
    "2023, arXiv 2305.18409, Algorithm 1; constants as in the authors' code",
    holds=[
        *(nonnegative, simplex, zero_only_at_stationary, shift_invariant, homogeneous_1),
        *(permutation_equivariant, deterministic, continuous, continuous_at_dependence),
        *(converges_if_convex, converges_if_smooth),
    ],
    fails=[*_GUARANTEES_NOTHING, stateless, scale_invariant],
    probe={"lr": 0.3},  # the code's 10 makes 20 inner steps that magnify rounding a hundredfold each
)
def sdmgrad(
    lam: float = 0.3, lr: float = 10.0, momentum: float = 0.5, iterations: int = 20, normalised: bool = True
) -> Rule[Any]:
    r"""The direction in the convex hull nearest to opposing the mean gradient: between MGDA and equal weighting.

    .. math:: w = \arg\min_{w \in \Delta} \tfrac12 \lVert J^\top w + \lambda g_0 \rVert^2, \qquad
              d = (J^\top w + \lambda g_0) / (1 + \lambda)

    The authors' code multiplies a batch's gradients by themselves; here the two batches are independent, as in the paper. With
    the code's inner learning rate the inner steps oscillate and magnify rounding; below 1 they converge.

    Args:
        lam: :math:`\lambda`; 0 tracks MGDA, large values approach equal weighting.
        lr: learning rate of the inner projected steps; LibMTL uses 5.
        momentum: of the inner steps.
        iterations: number of inner steps, which start from the last step's w.
        normalised: divide by :math:`1 + \lambda`, which is in the code and not in the paper.

    Raises:
        InputError: ``iterations`` is not positive.
    """
    positive("sdmgrad", "iterations", iterations, "it is a number of inner steps")
    return compose(tracking.direction_oriented(lam, lr, momentum, iterations, normalised), name="sdmgrad")


@recipe(
    "excess-mtl",
    cite="He, Zhou, Zhang, Yun, Xu, Zeng, Chilimbi and Zhao, Robust Multi-Task Learning with Excess Risks, ICML 2024, "
    "arXiv 2402.02009, Algorithm 1",
    holds=[
        *(nonnegative, simplex, zero_only_at_stationary, scale_invariant_weights, shift_invariant),
        *(linear_under_scaling, homogeneous_1, permutation_equivariant, deterministic),
        *(idle_tasks_change_nothing, continuous, continuous_at_dependence, unbiased, converges_if_convex),
        *(converges_if_smooth,),
    ],
    fails=[*_GUARANTEES_NOTHING, stateless, scale_invariant],
)
def excess_mtl(rate: float = 1e-2, total: Literal["one", "tasks"] = "one") -> Rule[Any]:
    r"""Tasks far from their optimum weigh more, by excess risks estimated with a diagonal AdaGrad preconditioner.

    Args:
        rate: :math:`\eta` of the multiplicative update; LibMTL uses 0.01, the authors' command line 1.
        total: weights sum to 1 (the paper), or to K (the authors' code).

    Raises:
        InputError: ``total`` is unknown.
    """
    return compose(tracking.excess_risk(rate, total), heads="weights", name="excess-mtl")


@recipe(
    "m-config",
    cite="Liu, Chu and Thuerey, ConFIG: Towards Conflict-Free Training of Physics Informed Neural Networks, ICLR 2025, "
    "arXiv 2408.11104, Algorithm 2",
    holds=[shift_invariant, deterministic],
    fails=[*_GUARANTEES_NOTHING, permutation_equivariant, stateless, simplex, nonnegative],
    when={permutation_equivariant: Condition("refresh = None", {"refresh": None})},
)
def m_config(refresh: int | None = 1, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Rule[Any]:
    r"""ConFIG on momenta of which each step refreshes a few, with Adam's second moment of the outcome.

    The step is elementwise rescaled already: use it with plain descent.

    Args:
        refresh: how many tasks' gradients a step takes in, in a circle; ``None`` for all.
        beta1: decay of the momenta.
        beta2: decay of the second moment.
        eps: added to its root, as in Adam; the only number with the gradients' units.

    Raises:
        InputError: ``refresh`` is not positive, or a decay outside [0, 1).
    """
    if refresh is not None:
        positive("m-config", "refresh", refresh, "it is a number of tasks")
    return MomentumConfig(refresh, beta1, beta2, eps, "m-config")
