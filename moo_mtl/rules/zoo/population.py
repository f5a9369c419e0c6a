"""Rules for a population of solutions that spread along the front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moo_mtl.properties import (
    common_descent,
    continuous,
    continuous_at_dependence,
    deterministic,
    homogeneous_1,
    linear_under_scaling,
    nonnegative,
    permutation_equivariant,
    scale_invariant,
    shift_invariant,
    simplex,
    stateless,
    unbiased,
    zero_at_weakly_stationary,
    zero_only_at_stationary,
)
from moo_mtl.rules import population
from moo_mtl.rules.compose import compose
from moo_mtl.rules.recipe import recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import positive

_GUARANTEES_NOTHING = [common_descent, zero_at_weakly_stationary]


@recipe(
    "hypervolume",
    cite="Emmerich and Deutz, Time Complexity and Zeros of the Hypervolume Indicator Gradient Field, EVOLVE 2014; Deist, "
    "Grewal, Dankers, Alderliesten and Bosman, arXiv 2102.04523",
    holds=[
        *(nonnegative, zero_only_at_stationary, scale_invariant, homogeneous_1, permutation_equivariant),
        *(deterministic, stateless, continuous_at_dependence, unbiased),
    ],
    fails=[*_GUARANTEES_NOTHING, simplex, shift_invariant, linear_under_scaling],
    min_tasks=2,
    max_tasks=2,
)
def hypervolume(reference: Sequence[float] | None = None) -> Rule[Any]:
    r"""Ascent on the area that a population's two losses dominate, each member's weights scaled to unit length.

    Dominated members ascend the area of their own layer of the non-dominated sorting. A member alone at the end of a layer is
    bounded by the reference point; one beyond it stands still.

    Args:
        reference: the reference point, two numbers; by default 1.1 times the population's largest losses, at every step.
    """
    slot = population.hypervolume_gradient(reference)
    return compose(slot, heads="weights", name="hypervolume", min_tasks=2)


@recipe(
    "moo-svgd",
    cite="Liu, Tong and Liu, Profiling Pareto Front with Multi-Objective Stein Variational Gradient Descent, NeurIPS 2021, "
    "equation 7",
    holds=[shift_invariant, permutation_equivariant, deterministic, stateless, continuous, continuous_at_dependence],
    fails=[*_GUARANTEES_NOTHING, nonnegative, simplex, scale_invariant, linear_under_scaling, homogeneous_1],
)
def moo_svgd() -> Rule[Any]:
    r"""MGDA for a population whose members share directions while near, and push each other's losses apart.

    LibMOON averages weights in place of directions, and its kernel multiplies by the bandwidth where it should divide.
    """
    return compose(population.stein(), heads="weights", name="moo-svgd")


@recipe(
    "pmtl",
    cite="Lin, Zhen, Li, Zhang and Kwong, Pareto Multi-Task Learning, NeurIPS 2019, arXiv 1912.12854, Algorithm 1",
    holds=[homogeneous_1, permutation_equivariant, deterministic, continuous_at_dependence],
    fails=[*_GUARANTEES_NOTHING, nonnegative, simplex, stateless, scale_invariant, shift_invariant, linear_under_scaling],
)
def pmtl(search_steps: int = 200) -> Rule[Any]:
    r"""Each member of a population descends within the sector of losses nearest to its own preference.

    Give each member of the population its preference, the last batch axis but one.

    Args:
        search_steps: steps after which a member that has not reached its sector descends all the same; two epochs in the paper.

    Raises:
        InputError: ``search_steps`` is not positive.
    """
    positive("pmtl", "search_steps", search_steps, "it is a number of steps")
    return compose(population.sectors(search_steps), heads="weights", name="pmtl")
