"""Rules that look at the losses alone and cost one backward pass."""

from __future__ import annotations

from typing import Any, Literal

from moo_mtl.errors import InputError
from moo_mtl.properties import (
    common_descent,
    deterministic,
    homogeneous_1,
    linear_under_scaling,
    nonnegative,
    permutation_equivariant,
    scale_invariant,
    shift_invariant,
    simplex,
    stateless,
    sums_to_k,
    zero_at_weakly_stationary,
)
from moo_mtl.rules import output, weights
from moo_mtl.rules.compose import compose
from moo_mtl.rules.recipe import recipe
from moo_mtl.rules.rule import Rule


@recipe(
    "equal",
    cite="Unitary scalarization, the baseline of every comparison: Kurin et al., In Defense of the Unitary "
    "Scalarization for Deep Multi-Task Learning, NeurIPS 2022, arXiv 2201.04122",
    holds=[
        nonnegative,
        sums_to_k,
        shift_invariant,
        permutation_equivariant,
        deterministic,
        stateless,
        linear_under_scaling,
        homogeneous_1,
    ],
    fails=[simplex, common_descent, zero_at_weakly_stationary, scale_invariant],
)
def equal(reduction: Literal["sum", "mean"] = "sum") -> Rule[Any]:
    r"""Descent on the sum (or mean) of the losses: :math:`w_k = 1` (or :math:`1/K`).

    Raises:
        InputError: ``reduction`` is unknown.
    """
    if reduction not in ("sum", "mean"):
        raise InputError(f"equal: reduction {reduction!r} is unknown; expected 'sum' or 'mean'")
    return compose(weights.uniform, output=output.simplex if reduction == "mean" else None, name="equal")
