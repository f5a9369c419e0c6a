"""Rules that solve a small program in the Gramian of the gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.properties import (
    Condition,
    common_descent,
    continuous,
    continuous_at_dependence,
    converges_if_convex,
    converges_if_smooth,
    copies_change_nothing,
    deterministic,
    homogeneous_0,
    homogeneous_1,
    idle_tasks_change_nothing,
    linear_under_scaling,
    nonnegative,
    permutation_equivariant,
    scale_invariant,
    shift_invariant,
    simplex,
    stateless,
    zero_at_strongly_stationary,
    zero_at_weakly_stationary,
    zero_only_at_stationary,
)
from moo_mtl.rules import output, scaling, weights
from moo_mtl.rules.compose import compose
from moo_mtl.rules.recipe import recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Bound, Output, Slot, positive

_WIDE = Condition("c >= 1", {"c": 1.0})


@recipe(
    "mgda",
    cite="Desideri, Multiple-Gradient Descent Algorithm, C. R. Math. 350, 2012, Theorem 2.2; Sener and Koltun, "
    "Multi-Task Learning as Multi-Objective Optimization, NeurIPS 2018, arXiv 1810.04650, equation 4",
    holds=[
        *(nonnegative, simplex, common_descent, zero_at_weakly_stationary, zero_only_at_stationary),
        *(shift_invariant, homogeneous_1, permutation_equivariant, deterministic, stateless),
        *(copies_change_nothing, continuous, continuous_at_dependence, converges_if_convex),
        *(converges_if_smooth,),
    ],
    fails=[scale_invariant, linear_under_scaling],
    when={scale_invariant: Condition("normalization = l2", {"normalization": "l2"})},
)
def mgda(
    normalization: Literal["none", "l2", "loss", "loss+"] = "none",
    use: Literal["normalised", "raw"] = "normalised",
    lower_bound: Bound = None,
) -> Rule[Any]:
    r"""The shortest vector in the convex hull of the gradients.

    .. math:: w = \arg\min_{w \in \Delta} \lVert J^\top w \rVert^2, \qquad d = J^\top w

    Args:
        normalization: gradients are first divided by 1, :math:`\lVert g_k \rVert` (``"l2"``), :math:`\ell_k` (``"loss"``) or
            :math:`\ell_k \lVert g_k \rVert` (``"loss+"``).
        use: ``"normalised"`` combines the normalised gradients and keeps common descent; ``"raw"`` applies the weights
            to the raw gradients, as the code of Sener and Koltun does, and loses common descent and the zero at
            stationary points.
        lower_bound: a number below every loss, or one per task, subtracted before dividing by a loss.

    Raises:
        InputError: ``normalization`` or ``use`` is unknown.
    """
    scales: dict[str, Callable[[], Slot[Tensor] | None]] = {
        "none": lambda: None,
        "l2": lambda: scaling.unit_norm,
        "loss": lambda: scaling.by_loss(lower_bound),
        "loss+": lambda: scaling.by_loss_and_norm(lower_bound),
    }
    if normalization not in scales:
        raise InputError(f"mgda: normalization {normalization!r} is unknown; expected one of {', '.join(scales)}")
    if use not in ("normalised", "raw"):
        raise InputError(f"mgda: use {use!r} is unknown; expected 'normalised' or 'raw'")
    scale = scales[normalization]()
    if scale is not None and use == "raw":
        return compose(weights.seen_through(scale, weights.min_norm), heads="weights", name="mgda")
    return compose(weights.min_norm, scale=scale, heads="weights", name="mgda")


@recipe(
    "edm",
    cite="Katrutsa, Merkulov, Tursynbek and Oseledets, Follow the Bisector: a Simple Method for Multi-Objective "
    "Optimization, arXiv 2007.06937, 2020",
    holds=[
        *(nonnegative, simplex, common_descent, zero_at_weakly_stationary, zero_only_at_stationary),
        *(scale_invariant, shift_invariant, homogeneous_1, permutation_equivariant, deterministic),
        *(stateless, copies_change_nothing, idle_tasks_change_nothing, continuous),
        *(continuous_at_dependence, converges_if_convex, converges_if_smooth),
    ],
    fails=[linear_under_scaling],
)
def edm() -> Rule[Any]:
    r"""The min-norm direction of the unit gradients, as a convex combination of the raw ones; the task tensioner's
    central direction.

    .. math:: b = \arg\min_{b \in \Delta} \Bigl\lVert \sum_k b_k \frac{g_k}{\lVert g_k \rVert} \Bigr\rVert^2, \qquad
              w_k = \frac{b_k / \lVert g_k \rVert}{\sum_j b_j / \lVert g_j \rVert}

    A task without gradient is left out.
    """
    return compose(weights.min_norm, scale=scaling.unit_norm, output=output.simplex, name="edm")


@recipe(
    "cagrad",
    cite="Liu, Liu, Jin, Stone and Liu, Conflict-Averse Gradient Descent for Multi-Task Learning, NeurIPS 2021, "
    "arXiv 2110.14048, equation 4",
    holds=[
        *(nonnegative, zero_only_at_stationary, shift_invariant, homogeneous_1, permutation_equivariant),
        *(deterministic, stateless, continuous, continuous_at_dependence, converges_if_convex),
        *(converges_if_smooth,),
    ],
    fails=[common_descent, zero_at_weakly_stationary, simplex, scale_invariant, linear_under_scaling],
    when={common_descent: _WIDE, zero_at_weakly_stationary: _WIDE},
)
def cagrad(c: float = 0.4, rescale: Literal["none", "c", "c-squared"] = "none") -> Rule[Any]:
    r"""The best worst-task improvement within a ball of radius :math:`c \lVert g_0 \rVert` round the mean gradient.

    .. math:: \max_d \min_k g_k^\top d \quad\text{s.t.}\quad \lVert d - g_0 \rVert \le c \lVert g_0 \rVert

    Args:
        c: radius; 0 is the mean gradient, 1 and above gives common descent. As c grows the direction, of length about
            :math:`c \lVert g_0 \rVert`, becomes that of MGDA.
        rescale: the authors' code divides the step by :math:`1 + c^2` (its default) or by :math:`1 + c`; the paper does not.

    Raises:
        InputError: ``rescale`` is unknown, or c is negative or infinite.
    """
    if not 0 <= c < float("inf"):
        raise InputError(f"cagrad: c must be finite and at least 0, found {c}; 0 is the mean gradient, and the limit is mgda")
    factors = {"none": 1.0, "c": 1 / (1 + c), "c-squared": 1 / (1 + c * c)}
    if rescale not in factors:
        raise InputError(f"cagrad: rescale {rescale!r} is unknown; expected one of {', '.join(factors)}")
    length = None if rescale == "none" else output.constant(factors[rescale])
    return compose(weights.cagrad(c), output=length, name="cagrad")


@recipe(
    "nash-mtl",
    cite="Navon, Shamsian, Achituve, Maron, Kawaguchi, Chechik and Fetaya, Multi-Task Learning as a Bargaining Game, ICML "
    "2022, arXiv 2202.01017, Claim 3.1",
    holds=[
        *(nonnegative, common_descent, zero_at_weakly_stationary, zero_only_at_stationary, scale_invariant),
        *(shift_invariant, homogeneous_0, permutation_equivariant, deterministic, stateless, continuous),
        *(continuous_at_dependence,),
    ],
    fails=[simplex, linear_under_scaling],
)
def nash_mtl(max_norm: float | None = 1.0) -> Rule[Any]:
    r"""The Nash bargaining solution: :math:`G w = 1 / w`, so that every task improves at the same relative rate.

    The exact solution always has length :math:`\sqrt K`; at Pareto-stationary points there is none, and the weights are 0.
    The authors solve a sequence of approximations; this is the exact solution.

    Args:
        max_norm: the step is shortened to this length where it is longer, as in the authors' code; with 1 every step has
            length 1. ``None`` leaves it.

    Raises:
        InputError: ``max_norm`` is not positive.
    """
    return compose(weights.nash, output=_longest(max_norm), heads="weights", name="nash-mtl")


@recipe(
    "fairgrad",
    cite="Ban and Ji, Fair Resource Allocation in Multi-Task Learning, ICML 2024, arXiv 2402.15638, equation 7",
    holds=[
        *(nonnegative, common_descent, zero_at_weakly_stationary, zero_only_at_stationary, shift_invariant),
        *(permutation_equivariant, deterministic, stateless, continuous, continuous_at_dependence),
    ],
    fails=[simplex, scale_invariant, linear_under_scaling, homogeneous_1],
    when={scale_invariant: Condition("alpha = 1", {"alpha": 1.0})},
)
def fairgrad(alpha: float = 2.0, max_norm: float | None = 1.0) -> Rule[Any]:
    r"""Alpha-fair shares of the improvement: :math:`G w = w^{-1/\alpha}`.

    1 is Nash bargaining, 2 minimum potential delay, and large values approach MGDA's direction. For :math:`\alpha > 1` the step
    grows as gradients shrink, which is why the authors clip it. At Pareto-stationary points the weights are 0.

    Args:
        alpha: above 0.
        max_norm: the step is shortened to this length where it is longer; ``None`` leaves it.

    Raises:
        InputError: ``alpha`` or ``max_norm`` is not positive.
    """
    positive("fairgrad", "alpha", alpha, "1 is Nash bargaining")
    return compose(weights.fairgrad(alpha), output=_longest(max_norm), name="fairgrad")


@recipe(
    "upgrad",
    cite="Quinton and Rey, Jacobian Descent for Multi-Objective Optimization, arXiv 2406.16232, 2024, equation 4",
    holds=[
        *(nonnegative, common_descent, zero_at_strongly_stationary, zero_only_at_stationary),
        *(shift_invariant, linear_under_scaling, homogeneous_1, permutation_equivariant, deterministic),
        *(stateless, idle_tasks_change_nothing, continuous, continuous_at_dependence, converges_if_convex),
        *(converges_if_smooth,),
    ],
    fails=[zero_at_weakly_stationary, simplex, scale_invariant],
)
def upgrad() -> Rule[Any]:
    r"""Mean of the gradients' own projections onto the cone of directions that increase no loss."""
    return compose(weights.upgrad, name="upgrad")


@recipe(
    "dualproj",
    cite="Lopez-Paz and Ranzato, Gradient Episodic Memory for Continual Learning, NeurIPS 2017, arXiv 1706.08840, equation 11",
    holds=[
        *(nonnegative, common_descent, zero_at_strongly_stationary, zero_only_at_stationary),
        *(shift_invariant, homogeneous_1, permutation_equivariant, deterministic, stateless),
        *(idle_tasks_change_nothing, continuous, continuous_at_dependence, converges_if_convex),
        *(converges_if_smooth,),
    ],
    fails=[zero_at_weakly_stationary, simplex, scale_invariant, linear_under_scaling],
)
def dualproj() -> Rule[Any]:
    r"""Projection of the mean gradient onto the cone of directions that increase no loss."""
    return compose(weights.dualproj, name="dualproj")


@recipe(
    "conicgrad",
    cite="Hassanpour et al., Gradient-Based Multi-Objective Learning within a Cone, arXiv 2502.00217, 2025; the exact solution "
    "of its program",
    holds=[
        *(nonnegative, common_descent, zero_at_weakly_stationary, shift_invariant, homogeneous_1),
        *(permutation_equivariant, deterministic, stateless, continuous),
    ],
    fails=[simplex, scale_invariant, linear_under_scaling],
)
def conicgrad(c: float = 0.5, length: Literal["exact", "mean"] = "exact") -> Rule[Any]:
    r"""The best worst-task improvement within a cone round the mean gradient.

    .. math:: \max_d \min_k g_k^\top d - \tfrac12 \lVert d \rVert^2 \quad\text{s.t.}\quad g_0^\top d \ge c \lVert g_0 \rVert
              \lVert d \rVert

    The paper updates task weights iteratively; its constants could not be verified.

    Args:
        c: cosine of the cone's half-angle.
        length: that of the program's solution, or of the mean gradient.

    Raises:
        InputError: ``length`` is unknown, or (at the first step) c is outside [0, 1).
    """
    if length not in ("exact", "mean"):
        raise InputError(f"conicgrad: length {length!r} is unknown; expected 'exact' or 'mean'")
    return compose(weights.conicgrad(c), output=output.match_mean_norm if length == "mean" else None, name="conicgrad")


def _longest(max_norm: float | None) -> Output | None:
    return None if max_norm is None else output.at_most(max_norm)
