"""What a step does to the losses: common descent, its end, and how evenly the tasks improve."""

from __future__ import annotations

from torch import Tensor

from moo_mtl import properties
from moo_mtl.gramian import gramian
from moo_mtl.solvers import min_norm
from moo_mtl.theory.families import INDEPENDENT, STATIONARY, strongly_stationary
from moo_mtl.theory.law import Law
from moo_mtl.theory.measure import Case, ratio, unit


def _rates(case: Case) -> Tensor:
    """Rates of improvement along the step, ``J d``, ``[T, ..., K]``."""
    return (case.story.rows @ case.answer.directions[..., None]).squeeze(-1)


def _common_descent(case: Case) -> Tensor:
    per_length = ratio(-_rates(case), case.story.rows.norm(dim=-1))
    return ratio(per_length.amax(dim=-1).clamp(min=0), case.length)


def _vanishing(case: Case) -> Tensor:
    return ratio(case.answer.directions.norm(dim=-1), case.length)


def _shorter_than_any_combination(case: Case) -> Tensor:
    rows = unit(case.story.rows)
    shortest = min_norm(gramian(rows)).value.clamp(min=0).sqrt()
    return (shortest - _vanishing(case)).clamp(min=0)


def _unequal_projections(case: Case) -> Tensor:
    along = ratio(_rates(case), case.story.rows.norm(dim=-1))
    return ratio(along.amax(dim=-1) - along.amin(dim=-1), case.answer.directions.norm(dim=-1))


def _unequal_rates(case: Case) -> Tensor:
    relative = _rates(case) / case.story.losses
    return ratio(relative.amax(dim=-1) - relative.amin(dim=-1), relative.abs().amax(dim=-1))


LAWS = (
    Law(properties.common_descent, _common_descent),
    Law(properties.zero_at_weakly_stationary, _vanishing, STATIONARY),
    Law(properties.zero_at_strongly_stationary, _vanishing, {"strongly_stationary": strongly_stationary}),
    Law(properties.zero_only_at_stationary, _shorter_than_any_combination),
    Law(properties.equal_projections, _unequal_projections, INDEPENDENT),
    Law(properties.equal_loss_rates, _unequal_rates, INDEPENDENT),
)
