"""Rules that look at this step's losses alone and cost one backward pass."""

from __future__ import annotations

from typing import Any, Literal

from moo_mtl.errors import InputError
from moo_mtl.properties import (
    common_descent,
    common_shift_invariant,
    continuous,
    continuous_at_dependence,
    converges_if_convex,
    converges_if_smooth,
    deterministic,
    homogeneous_0,
    homogeneous_1,
    idle_tasks_change_nothing,
    in_law_per_task,
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
from moo_mtl.rules import losses, output, weights
from moo_mtl.rules.compose import compose
from moo_mtl.rules.recipe import recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Bound

_GUARANTEES_NOTHING = [common_descent, zero_at_weakly_stationary]


@recipe(
    "equal",
    cite="Unitary scalarization, the baseline of every comparison: Kurin et al., In Defense of the Unitary "
    "Scalarization for Deep Multi-Task Learning, NeurIPS 2022, arXiv 2201.04122",
    holds=[
        *(nonnegative, sums_to_k, zero_only_at_stationary, scale_invariant_weights, shift_invariant),
        *(linear_under_scaling, homogeneous_1, permutation_equivariant, deterministic, stateless),
        *(idle_tasks_change_nothing, continuous, continuous_at_dependence, unbiased, converges_if_convex),
        *(converges_if_smooth,),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, scale_invariant],
)
def equal(reduction: Literal["sum", "mean"] = "sum") -> Rule[Any]:
    r"""Descent on the sum (or mean) of the losses: :math:`w_k = 1` (or :math:`1/K`).

    Raises:
        InputError: ``reduction`` is unknown.
    """
    if reduction not in ("sum", "mean"):
        raise InputError(f"equal: reduction {reduction!r} is unknown; expected 'sum' or 'mean'")
    return compose(weights.uniform, output=output.simplex if reduction == "mean" else None, name="equal")


@recipe(
    "rlw",
    cite="Lin, Ye, Zhang and Tsang, Reasonable Effectiveness of Random Weighting: a Litmus Test for Multi-Task Learning, "
    "TMLR 2022, arXiv 2111.10603, Section 3",
    holds=[
        *(nonnegative, simplex, zero_only_at_stationary, scale_invariant_weights, shift_invariant),
        *(linear_under_scaling, homogeneous_1, stateless, continuous, continuous_at_dependence, unbiased),
        *(converges_if_convex, converges_if_smooth),
    ],
    fails=[*_GUARANTEES_NOTHING, scale_invariant, deterministic, permutation_equivariant],
    when={permutation_equivariant: in_law_per_task},
)
def rlw(law: Literal["normal", "uniform", "dirichlet", "one-task"] = "normal") -> Rule[Any]:
    r"""Weights drawn afresh at every step, :math:`w = \mathrm{softmax}(z)`, :math:`z \sim N(0, I)`; their mean is :math:`1/K`.

    Args:
        law: what is drawn: normal or uniform numbers before the softmax, a flat Dirichlet vector, or one task (the paper's
            constrained Bernoulli law).

    Raises:
        InputError: ``law`` is unknown.
    """
    return compose(weights.random_shares(law), heads="weights", name="rlw")


@recipe(
    "sum-of-logs",
    cite="Scale-invariant linear scalarization: Lin et al., arXiv 2308.12029, Section 3.1; the loss stage of DB-MTL",
    holds=[
        *(nonnegative, lighter_with_loss, zero_only_at_stationary, scale_invariant),
        *(trajectory_scale_invariant, homogeneous_0, permutation_equivariant, deterministic, stateless),
        *(idle_tasks_change_nothing, continuous, continuous_at_dependence, unbiased, converges_if_convex),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, shift_invariant, linear_under_scaling, converges_if_smooth],
)
def sum_of_logs(lower_bound: Bound = None) -> Rule[Any]:
    r"""Descent on :math:`\sum_k \log \ell_k`: :math:`w_k = 1 / \ell_k`.

    Code that takes :math:`\log(1 + \ell)` in its place is not scale invariant.

    Args:
        lower_bound: a number below every loss, or one per task, subtracted before the logarithm.
    """
    return compose(weights.uniform, loss=losses.log(lower_bound), name="sum-of-logs")


@recipe(
    "gls",
    cite="Chennupati, Sistu, Yogamani and Rawashdeh, MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss "
    "Strategy for Multi-Task Learning, CVPR Workshops 2019, arXiv 1904.08492, equation 1",
    holds=[
        *(nonnegative, lighter_with_loss, zero_only_at_stationary, scale_invariant),
        *(trajectory_scale_invariant, homogeneous_1, permutation_equivariant, deterministic, stateless),
        *(idle_tasks_change_nothing, continuous, continuous_at_dependence, unbiased, converges_if_convex),
        *(converges_if_smooth,),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, shift_invariant, linear_under_scaling],
)
def gls(lower_bound: Bound = None) -> Rule[Any]:
    r"""Descent on the geometric mean :math:`F = (\prod_k \ell_k)^{1/K}`: :math:`w_k = F / (K \ell_k)`.

    Args:
        lower_bound: a number below every loss, or one per task, subtracted first.
    """
    return compose(weights.uniform, loss=losses.geometric(lower_bound), name="gls")


@recipe(
    "uw-o",
    cite="Kirchdorfer, Elich, Kutsche, Stuckenschmidt, Schott and Koehler, Analytical Uncertainty-Based Loss Weighting in "
    "Multi-Task Learning, GCPR 2024, arXiv 2408.07985, Section 3.2",
    holds=[
        *(nonnegative, lighter_with_loss, zero_only_at_stationary, scale_invariant),
        *(trajectory_scale_invariant, homogeneous_0, permutation_equivariant, deterministic, stateless),
        *(idle_tasks_change_nothing, continuous, continuous_at_dependence, unbiased, converges_if_convex),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, shift_invariant, linear_under_scaling, converges_if_smooth],
)
def uw_o(likelihood: Literal["laplace", "normal"] = "laplace", lower_bound: Bound = None) -> Rule[Any]:
    r"""Uncertainty weighting with the uncertainties solved for: :math:`\sigma_k = \ell_k`, hence :math:`w_k = 1 / \ell_k`.

    Args:
        likelihood: ``"normal"`` halves the weights.
        lower_bound: a number below every loss, or one per task, subtracted first.

    Raises:
        InputError: ``likelihood`` is unknown.
    """
    if likelihood not in ("laplace", "normal"):
        raise InputError(f"uw-o: likelihood {likelihood!r} is unknown; expected 'laplace' or 'normal'")
    half = output.constant(0.5) if likelihood == "normal" else None
    return compose(weights.uniform, loss=losses.log(lower_bound), output=half, name="uw-o")


@recipe(
    "uw-so",
    cite="Kirchdorfer, Elich, Kutsche, Stuckenschmidt, Schott and Koehler, Analytical Uncertainty-Based Loss Weighting in "
    "Multi-Task Learning, GCPR 2024, arXiv 2408.07985, equation 8",
    holds=[
        *(nonnegative, simplex, lighter_with_loss, zero_only_at_stationary, permutation_equivariant),
        *(deterministic, stateless, idle_tasks_change_nothing, continuous, continuous_at_dependence),
        *(unbiased, converges_if_convex, converges_if_smooth),
    ],
    fails=[*_GUARANTEES_NOTHING, scale_invariant, shift_invariant, common_shift_invariant, linear_under_scaling, homogeneous_1],
)
def uw_so(temperature: float = 1.0, lower_bound: Bound = None) -> Rule[Any]:
    r"""Softmax of the inverse losses: :math:`w = \mathrm{softmax}(1 / (T \ell))`.

    Args:
        temperature: T, to be tuned (the authors try five to seven values): large is equal weighting, small descends the
            smallest loss alone.
        lower_bound: a number below every loss, or one per task, subtracted first.

    Raises:
        InputError: ``temperature`` is not positive.
    """
    return compose(weights.uniform, loss=losses.inverse_softmax(temperature, lower_bound), name="uw-so")
