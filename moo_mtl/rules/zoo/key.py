"""The four papers at the core of moo_mtl: DB-MTL, BMTL, task tensioner, EMA loss weighting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from moo_mtl.errors import InputError
from moo_mtl.properties import (
    Condition,
    affine,
    common_descent,
    common_shift_invariant,
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
    shift_invariant,
    simplex,
    stateless,
    sums_to_k,
    trajectory_scale_invariant,
    transformation_invariant,
    unbiased,
    zero_at_weakly_stationary,
    zero_only_at_stationary,
)
from moo_mtl.rules import losses, memory, output, scaling, weights
from moo_mtl.rules import then as last
from moo_mtl.rules.compose import compose
from moo_mtl.rules.recipe import recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Bound, Output, Schedule, Slot, Transformed, positive

_WITHOUT_MEMORY = Condition("beta = 0", {"beta": 0})
_TWO_WITHOUT_MEMORY = Condition("K = 2 and beta = 0", {"beta": 0}, max_tasks=2)


@recipe(
    "db-mtl",
    cite="Lin, Jiang, Ye, Zhang, Chen, Chen, Liu, Tsang and Kwok, Dual-Balancing for Multi-Task Learning, Neural "
    "Networks 2025, arXiv 2308.12029, Algorithm 1",
    holds=[
        *(nonnegative, trajectory_scale_invariant, transformation_invariant, homogeneous_0),
        *(permutation_equivariant, deterministic, idle_tasks_change_nothing, continuous),
        continuous_at_dependence,
    ],
    fails=[
        *(common_descent, zero_at_weakly_stationary, shift_invariant, simplex, stateless, linear_under_scaling),
        *(converges_if_convex, converges_if_smooth),
    ],
    when={common_descent: _TWO_WITHOUT_MEMORY, zero_at_weakly_stationary: _TWO_WITHOUT_MEMORY, stateless: _WITHOUT_MEMORY},
)
def db_mtl(
    beta: Schedule = 0.5,
    sigma: float = 0.5,
    stages: Literal["both", "loss", "gradient"] = "both",
    bias_correction: bool = False,
    lower_bound: Bound = None,
) -> Rule[Any]:
    r"""Sum of the tasks' log-loss gradients, filtered over time and rescaled to the largest length.

    .. math:: \hat g_k \leftarrow \beta_t \hat g_k + (1 - \beta_t) \nabla \log \ell_k, \qquad
              d = \max_j \lVert \hat g_j \rVert \sum_k \frac{\hat g_k}{\lVert \hat g_k \rVert}, \qquad \beta_t = \beta
              / t^\sigma

    The tasks' own parameters descend :math:`\log \ell_k`. With :math:`\beta = 0` the direction is the plain sum of
    unit gradients: the logarithm then sets the length of the step alone.

    Args:
        beta: share of the old average that is kept, a number or a function of the step; the paper tries 0.1, 0.5 and 0.9.
        sigma: decay of that share. 0.5 is the better half of the paper's sensitivity study, 0 (a constant) LibMTL's
            default and the worse.
        stages: ``"loss"`` for the logarithm alone, ``"gradient"`` for filter and rescaling of the raw gradients alone.
        bias_correction: divide the filtered gradients by their total weight, which lengthens the first steps; not in the paper.
        lower_bound: a number below every loss, or one per task, subtracted before the logarithm.

    Raises:
        InputError: ``beta`` outside [0, 1), now or at a later step, ``sigma`` negative, or unknown ``stages``.
    """
    if stages not in ("both", "loss", "gradient"):
        raise InputError(f"db-mtl: stages {stages!r} is unknown; expected 'both', 'loss' or 'gradient'")
    log = None if stages == "gradient" else losses.log(lower_bound)
    if stages == "loss":
        return compose(weights.uniform, loss=log, name="db-mtl")
    past = None if beta == 0 else memory.row_ema(beta, sigma, bias_correction)
    return compose(weights.uniform, loss=log, memory=past, scale=scaling.max_norm, heads="loss", name="db-mtl")


@recipe(
    "bmtl",
    cite="Liang and Zhang, A Simple General Approach to Balance Task Difficulty in Multi-Task Learning, arXiv 2002.04792, 2020",
    holds=[
        *(nonnegative, sums_to_k, heavier_with_loss, zero_only_at_stationary, common_shift_invariant),
        *(permutation_equivariant, deterministic, stateless, idle_tasks_change_nothing, continuous),
        *(continuous_at_dependence, unbiased, converges_if_convex, converges_if_smooth),
    ],
    fails=[common_descent, zero_at_weakly_stationary, scale_invariant, shift_invariant, simplex, linear_under_scaling],
)
def bmtl(
    temperature: float = 1.0,
    transform: str = "exp",
    mode: Literal["normalised", "exact"] = "normalised",
    exponent: float = 2.0,
) -> Rule[Any]:
    r"""Descent on an increasing convex function of each loss, so that harder tasks get more attention.

    .. math:: \min_\theta \sum_k h(\ell_k(\theta)), \qquad w_k = h'(\ell_k), \qquad h(z) = e^{z/T}

    The paper's abstract and introduction are the source of the idea and of exp; that h must be (C1) increasing, (C2)
    convex and (C3) differentiable is derived here from reading h' as the weight: it must be positive, and grow with
    the loss. With exp the direction is that of smooth Tchebycheff scalarization at :math:`\mu = T`;
    :math:`T \to \infty` is equal weighting, :math:`T \to 0` descends the largest loss.

    Args:
        temperature: T; for ``"barrier"`` the bound c of :math:`-\log(c - z)`. The paper's value could not be read;
            public code uses 0.2 to 50.
        transform: ``"exp"``, ``"softplus"``, ``"cosh"``, ``"power"`` or ``"barrier"``.
        mode: ``"exact"`` uses :math:`h'`, ``"normalised"`` weights of the same direction that sum to K and cannot overflow.
        exponent: p of ``"power"``, :math:`z^p`.

    Raises:
        InputError: ``temperature`` is not positive, or ``transform`` breaks one of the conditions.
    """
    positive("bmtl", "temperature", temperature, "the paper's transform exp(l/T) is increasing only for T > 0")
    refused = {"log": "log z", "sqrt": "the square root", "one-minus-exp": "1 - exp(-z)"}
    if transform in refused:
        raise InputError(
            f"bmtl: {refused[transform]} breaks condition C2 (derived: h must be convex, so that larger losses weigh more); "
            "being concave it gives larger losses smaller weights, as db-mtl does; use exp, softplus, cosh, power or barrier"
        )
    kinds: dict[str, Callable[[], losses.Convex]] = {
        "exp": lambda: losses.exponential(temperature),
        "softplus": lambda: losses.softplus(temperature),
        "cosh": lambda: losses.cosh(temperature),
        "power": lambda: losses.power(exponent),
        "barrier": lambda: losses.barrier(temperature),
    }
    if transform not in kinds:
        raise InputError(f"bmtl: transform {transform!r} is unknown; expected one of {', '.join(kinds)}")
    return compose(weights.uniform, loss=losses.convex(kinds[transform](), mode, "bmtl"), name="bmtl")


@recipe(
    "task-tensioner",
    cite="Nakamura, Grassi and Wolf, Leveraging Convergence Behavior to Balance Conflicting Tasks in Multi-Task Learning, "
    "Neurocomputing 511, 2022, arXiv 2204.06698; constants as in the authors' code",
    holds=[
        *(affine, transformation_invariant, deterministic, idle_tasks_change_nothing, continuous),
        *(continuous_at_dependence, converges_if_convex, converges_if_smooth),
    ],
    fails=[
        nonnegative,
        simplex,
        common_descent,
        zero_at_weakly_stationary,
        trajectory_scale_invariant,
        shift_invariant,
        permutation_equivariant,
        stateless,
        linear_under_scaling,
    ],
    min_tasks=2,
    probe={"window": 2},
)
def task_tensioner(
    alpha: Schedule = 0.3,
    window: int = 10,
    edge_cases: Literal["safe", "reference"] = "safe",
    lower_bound: Bound = None,
) -> Rule[Any]:
    r"""A central direction, equiangular to the gradients, pulled towards the tasks whose gradients stop shrinking.

    The central direction is :math:`v = J^\top a` with :math:`a_k \propto b_k / \lVert g_k \rVert`, b the min-norm
    weights of the unit gradients and :math:`\sum a = 1`; see ``then.tension`` for the pull and its repair.

    Args:
        alpha: strength of the tension. 0 does not switch it off; ``rules.edm()`` is the rule without tension.
        window: how many gradient lengths are summed; tension begins at step ``window + 1``.
        edge_cases: ``"safe"``, or ``"reference"`` to divide by zero where the authors' code does.
        lower_bound: a number below every loss, or one per task, subtracted before :math:`\log_{10} \ell_k`.

    Raises:
        InputError: ``alpha`` or ``window`` is not positive, or ``edge_cases`` is unknown.
    """
    alpha = positive("task-tensioner", "alpha", alpha, "for the rule without tension take edm")
    positive("task-tensioner", "window", window, "it is a number of steps")
    if edge_cases not in ("safe", "reference"):
        raise InputError(f"task-tensioner: edge_cases {edge_cases!r} is unknown; expected 'safe' or 'reference'")
    return compose(
        weights.min_norm,
        scale=scaling.unit_norm,
        output=output.simplex,
        then=last.tension(alpha, window, edge_cases, lower_bound),
        name="task-tensioner",
        min_tasks=2,
    )


@recipe(
    "ema",
    cite="Lakkapragada, Sleiman, Surabhi and Wall, Mitigating Negative Transfer in Multi-Task Learning with Exponential "
    "Moving Average Loss Weighting Strategies, AAAI 2023 student abstract, arXiv 2211.12999",
    holds=[
        *(nonnegative, lighter_with_loss, zero_only_at_stationary, trajectory_scale_invariant),
        *(homogeneous_0, permutation_equivariant, deterministic, idle_tasks_change_nothing, continuous),
        *(continuous_at_dependence, unbiased, converges_if_convex, converges_if_smooth),
    ],
    fails=[simplex, common_descent, zero_at_weakly_stationary, shift_invariant, stateless, homogeneous_1, linear_under_scaling],
)
def ema(
    decay: Schedule = 0.9,
    variant: Literal["inverse", "inverse-normalised", "anchored", "log", "trend", "proportional"] = "inverse",
    lower_bound: Bound = None,
) -> Rule[Any]:
    r"""Losses scaled by their exponential moving average :math:`m_k \leftarrow \beta m_k + (1 - \beta) \ell_k`.

    Sourced from the abstract: losses are weighted by their observed magnitudes, to the same scale, by several
    techniques that all scale by the moving average. Inferred, since the full text could not be read: every formula
    below, and that the current loss is part of the average.

    ======================  ====================================================================================
    V1 inverse              :math:`w_k = 1 / m_k`; decay 0 is the sum of logarithms
    V2 inverse-normalised   V1 rescaled to sum to K
    V3 anchored             :math:`w_k = \bar m / m_k` with the mean average :math:`\bar m`; keeps the losses' units
    V4 log                  :math:`w_k = \exp(-\text{EMA}(\log \ell_k))`; one spike moves it little
    V5 trend                :math:`w_k \propto m_k / m_k^{\text{slow}}`, summing to K; slow decay :math:`1 - (1-\beta)/10`
    V6 proportional         :math:`w_k = K m_k / \sum_j m_j`; "harder is heavier", opposite to the paper's aim
    ======================  ====================================================================================

    Args:
        decay: :math:`\beta`, a number or a function of the step; 0.9 to 0.99 are common, the paper's is not known.
        variant: one of the six above.
        lower_bound: a number below every loss, or one per task, subtracted first.

    Raises:
        InputError: ``decay`` outside [0, 1], or an unknown ``variant``.
    """
    slow = (lambda step: 1 - (1 - decay(step)) / 10) if callable(decay) else 1 - (1 - decay) / 10
    variants: dict[str, Callable[[], tuple[Slot[Transformed], Output | None]]] = {
        "inverse": lambda: (losses.by_average(decay, lower_bound), None),
        "inverse-normalised": lambda: (losses.by_average(decay, lower_bound), output.sum_to_k),
        "anchored": lambda: (losses.anchored(decay, lower_bound), None),
        "log": lambda: (losses.by_geometric_average(decay, lower_bound), None),
        "trend": lambda: (losses.trend(decay, slow, lower_bound), output.sum_to_k),
        "proportional": lambda: (losses.proportional(decay, lower_bound), output.sum_to_k),
    }
    if variant not in variants:
        raise InputError(f"ema: variant {variant!r} is unknown; expected one of {', '.join(variants)}")
    scaled, length = variants[variant]()
    return compose(weights.uniform, loss=scaled, output=length, name="ema")
