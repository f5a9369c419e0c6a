"""Rules that change or select single gradients, or steady their weights over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

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
    homogeneous_1,
    in_law_per_pair,
    independent,
    linear_under_scaling,
    nonnegative,
    permutation_equivariant,
    scale_invariant,
    shift_invariant,
    simplex,
    stateless,
    two_tasks,
    zero_at_weakly_stationary,
    zero_only_at_stationary,
)
from moo_mtl.rules import output, projections, weights
from moo_mtl.rules.averaged import Averaged
from moo_mtl.rules.compose import compose
from moo_mtl.rules.recipe import get, of_user, recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Schedule, positive, within


@recipe(
    "pcgrad",
    cite="Yu, Kumar, Gupta, Levine, Hausman and Finn, Gradient Surgery for Multi-Task Learning, NeurIPS 2020, "
    "arXiv 2001.06782, Algorithm 1",
    holds=[
        *(nonnegative, zero_only_at_stationary, shift_invariant, linear_under_scaling, homogeneous_1),
        *(stateless, continuous, continuous_at_dependence, converges_if_convex, converges_if_smooth),
    ],
    fails=[
        *(common_descent, zero_at_weakly_stationary, simplex, scale_invariant, deterministic, permutation_equivariant),
    ],
    when={common_descent: two_tasks, zero_at_weakly_stationary: two_tasks, permutation_equivariant: in_law_per_pair},
)
def pcgrad(
    reduction: Literal["sum", "mean"] = "sum", order: Literal["random", "fixed"] = "random", skip_self: bool = True
) -> Rule[Any]:
    r"""Every gradient is projected off those it conflicts with, one after the other in random order; their sum is the step.

    All weights are at least 1. With three tasks or more the step may still conflict with one of them.

    Args:
        reduction: sum of the projected gradients, or their mean.
        order: ``"fixed"`` visits tasks by number, which is what the authors' code does, since it drops its shuffle.
        skip_self: the paper's; False lets a projected gradient be projected off its own original, as three code bases do.

    Raises:
        InputError: ``reduction`` or ``order`` is unknown.
    """
    if reduction not in ("sum", "mean"):
        raise InputError(f"pcgrad: reduction {reduction!r} is unknown; expected 'sum' or 'mean'")
    length = output.per_task if reduction == "mean" else None
    return compose(projections.surgery(order, skip_self), output=length, name="pcgrad")


@recipe(
    "gradvac",
    cite="Wang, Tsvetkov, Firat and Cao, Gradient Vaccine: Investigating and Improving Multi-Task Optimization in Massively "
    "Multilingual Models, ICLR 2021, arXiv 2010.05874, Algorithm 1",
    holds=[
        *(nonnegative, zero_only_at_stationary, shift_invariant, homogeneous_1, continuous),
        *(continuous_at_dependence, converges_if_convex, converges_if_smooth),
    ],
    fails=[
        *(common_descent, zero_at_weakly_stationary, simplex, scale_invariant, deterministic, permutation_equivariant),
        stateless,
    ],
    when={permutation_equivariant: in_law_per_pair},
)
def gradvac(
    beta: float = 0.01, order: Literal["random", "fixed"] = "random", update: Literal["always", "on-conflict"] = "always"
) -> Rule[Any]:
    r"""As PCGrad, but each pair's cosine is lifted to its own running mean instead of to 0.

    Args:
        beta: weight of a new cosine in the mean; about 0.01 in the paper, 0.5 in most public code.
        order: random, or by number.
        update: the mean takes every cosine (``"always"``), or only those that were lifted.

    Raises:
        InputError: ``beta`` outside [0, 1], or ``order`` or ``update`` unknown.
    """
    return compose(projections.vaccine(beta, order, update), name="gradvac")


@recipe(
    "krum",
    cite="Blanchard, El Mhamdi, Guerraoui and Stainer, Machine Learning with Adversaries: Byzantine Tolerant Gradient "
    "Descent, NeurIPS 2017, arXiv 1703.02757, Section 4",
    holds=[nonnegative, simplex, zero_only_at_stationary, shift_invariant, homogeneous_1, deterministic, stateless],
    fails=[common_descent, zero_at_weakly_stationary, permutation_equivariant, scale_invariant, linear_under_scaling],
    when={permutation_equivariant: Condition("K >= f + 4 and independent gradients", min_tasks=5, independent=True)},
    min_tasks=4,
)
def krum(byzantine: int = 1, selected: int = 1, distance: Literal["squared", "plain"] = "squared") -> Rule[Any]:
    r"""The mean of the gradients that lie closest to their :math:`K - f - 2` nearest others.

    Args:
        byzantine: f, how many gradients may be arbitrary; the rule needs f + 3 tasks. With no more than that the closest pair
            ties, and the one of the smaller number is taken, as at every tie.
        selected: how many gradients are averaged; 1 is Krum, more Multi-Krum.
        distance: the paper sums squared distances; TorchJD sums plain ones.

    Raises:
        InputError: ``byzantine`` is negative, ``selected`` not positive, or ``distance`` unknown.
    """
    within("krum", "byzantine", byzantine, 0, float("inf"), "it is a number of gradients")
    positive("krum", "selected", selected, "it is a number of gradients")
    fewest = max(byzantine + 3, selected)
    return compose(weights.nearest_rows(byzantine, selected, distance), name="krum", min_tasks=fewest)


@recipe(
    "cr-mogm",
    cite="Zhou, Zhang, Jiang, Zhong, Gu and Zhu, On the Convergence of Stochastic Multi-Objective Gradient Manipulation and "
    "Beyond, NeurIPS 2022, Algorithm 1",
    holds=[
        *(nonnegative, simplex, zero_only_at_stationary, shift_invariant, homogeneous_1),
        *(permutation_equivariant, deterministic, continuous),
        *(continuous_at_dependence, converges_if_convex, converges_if_smooth),
    ],
    fails=[common_descent, zero_at_weakly_stationary, scale_invariant, stateless, linear_under_scaling],
    when={copies_change_nothing: independent},  # otherwise weights are not unique, and the next step has other gradients
)
def cr_mogm(rule: str | Rule[Any] | Callable[..., Rule[Any]] = "mgda", rho: Schedule = 0.9, **parameters: Any) -> Rule[Any]:
    r"""The weights of any rule, averaged over time: :math:`w_t = \rho_t w_{t-1} + (1 - \rho_t) \hat w_t`.

    What is declared of it holds around MGDA; in general it inherits signs and sums, and loses guarantees of the direction.

    Args:
        rule: a rule, its name (``"my_module:my_rule"`` is one too), or a function or class that gives it.
        rho: share of the old weights; the paper lets it grow as the learning rate falls.
        parameters: of the rule, where it is not built yet.

    Raises:
        InputError: the rule or a parameter is unknown, or ``rho`` outside [0, 1], now or at a later step.
    """
    if isinstance(rule, str):
        inner = get(rule, **parameters)
    else:
        inner = of_user(getattr(rule, "__name__", getattr(rule, "name", "rule")), rule, parameters)
    return Averaged(inner, rho, name="cr-mogm")
