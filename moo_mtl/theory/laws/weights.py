"""Signs and sums of weights, and how a task's share follows its loss."""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl import properties
from moo_mtl.theory.episode import told
from moo_mtl.theory.law import Law, of_losses
from moo_mtl.theory.measure import Case, ratio

RISE = 1.2  # factor on one task's loss


def _nonnegative(case: Case) -> Tensor:
    weights = case.answer.weights
    return ratio((-weights).clamp(min=0).amax(dim=-1), weights.abs().amax(dim=-1))


def _sum(case: Case, wanted: float) -> Tensor:
    weights = case.answer.weights
    return (weights.sum(dim=-1) - wanted).abs() / weights.abs().sum(dim=-1).clamp(min=1)


def _change_of_share(case: Case) -> Tensor:
    """How the shares of the first and the last task change when their loss rises in the last step, ``[2, ...]``."""
    changes = []
    for task in (0, -1):
        losses = case.story.losses.clone()
        losses[-1, ..., task] *= RISE
        after = told(case.rule, case.story._replace(losses=losses))
        before, later = (ratio(w[..., task], w.abs().sum(dim=-1)) for w in (case.answer.weights[-1], after.weights[-1]))
        changes.append(later - before)
    return torch.stack(changes)


LAWS = (
    Law(properties.nonnegative, _nonnegative),
    Law(properties.simplex, lambda case: torch.maximum(_nonnegative(case), _sum(case, 1.0))),
    Law(properties.affine, lambda case: _sum(case, 1.0)),
    Law(properties.sums_to_k, lambda case: _sum(case, float(case.story.n_tasks))),
    Law(properties.heavier_with_loss, lambda case: (-_change_of_share(case)).clamp(min=0), asked=of_losses),
    Law(properties.lighter_with_loss, lambda case: _change_of_share(case).clamp(min=0), asked=of_losses),
)
