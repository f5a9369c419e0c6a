"""Rules of the zoo with a part exchanged, for ablations.

In an experiment file: ``rule = { name = "moo_mtl.rules.variants:after_log", of = "pcgrad" }``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from moo_mtl.errors import InputError
from moo_mtl.rules import losses, memory, scaling, weights
from moo_mtl.rules.compose import Composition, compose
from moo_mtl.rules.recipe import get
from moo_mtl.rules.rule import Rule
from moo_mtl.rules.scaling import Statistic
from moo_mtl.rules.slot import Bound


def after_log(of: str = "equal", lower_bound: Bound = None) -> Rule[Any]:
    r"""A rule that sees :math:`\log(\ell_k - b_k)` and its gradients; the tasks' own parameters descend the logarithms.

    Args:
        of: name of a rule without a loss transform of its own.
        lower_bound: a number below every loss, or one per task.

    Raises:
        InputError: the rule is unknown, is no composition, or transforms its losses already.
    """
    rule = get(of)
    if not isinstance(rule, Composition) or rule.loss is not None:
        raise InputError(f"after_log: {of!r} must be a composition of slots without a loss slot, so that one can be put there")
    return replace(rule, loss=losses.log(lower_bound), heads="loss", name=f"log + {of}")


def dual_balancing(magnitude: Statistic | float = "max", beta: float = 0.5, sigma: float = 0.5) -> Rule[Any]:
    r"""DB-MTL with another common length in the place of :math:`\max_j \lVert \hat g_j \rVert`.

    Args:
        magnitude: ``"max"`` (the paper's), ``"min"``, ``"mean"``, ``"median"``, or a constant.
        beta: as in ``rules.db_mtl``.
        sigma: as in ``rules.db_mtl``.

    Raises:
        InputError: a parameter out of its range.
    """
    past = None if beta == 0 else memory.row_ema(beta, sigma)
    length = scaling.common_norm(magnitude)
    return compose(weights.uniform, loss=losses.log(), memory=past, scale=length, heads="loss", name=f"db-mtl, {length.name}")
