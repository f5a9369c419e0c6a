"""The answer of every solver, with the number that bounds its error."""

from typing import NamedTuple

from torch import Tensor


class Solution(NamedTuple):
    """Weights and their proof.

    Attributes:
        weights: ``[..., K]`` float64; an absent task has weight 0.
        value: the program's objective at ``weights``, ``[...]``, in the units the solver's docstring states.
        gap: duality gap or residual at ``weights``, ``[...]``, absolute, never negative; each solver states what it bounds.
        converged: ``[...]`` bool, whether the gap is within the solver's relative tolerance.
    """

    weights: Tensor
    value: Tensor
    gap: Tensor
    converged: Tensor
