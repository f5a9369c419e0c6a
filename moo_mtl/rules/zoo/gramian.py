"""Rules that solve a small program in the Gramian of the gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor

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
    zero_at_weakly_stationary,
)
from moo_mtl.rules import output, scaling, weights
from moo_mtl.rules.compose import compose
from moo_mtl.rules.recipe import recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.slot import Bound, Slot


@recipe(
    "mgda",
    cite="Desideri, Multiple-Gradient Descent Algorithm, C. R. Math. 350, 2012, Theorem 2.2; Sener and Koltun, "
    "Multi-Task Learning as Multi-Objective Optimization, NeurIPS 2018, arXiv 1810.04650, equation 4",
    holds=[
        nonnegative,
        simplex,
        common_descent,
        zero_at_weakly_stationary,
        shift_invariant,
        permutation_equivariant,
        deterministic,
        stateless,
        homogeneous_1,
    ],
    fails=[scale_invariant, linear_under_scaling],
    when={scale_invariant: "normalization = l2"},
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
        nonnegative,
        simplex,
        common_descent,
        zero_at_weakly_stationary,
        scale_invariant,
        shift_invariant,
        permutation_equivariant,
        deterministic,
        stateless,
        homogeneous_1,
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
