"""A step's gradients go to the parameters, and only then is the step remembered."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moo_mtl.training.accumulation import Batch
from moo_mtl.training.carried import Carried
from moo_mtl.training.parameters import Columns
from moo_mtl.training.report import StepReport, untaken
from moo_mtl.training.step import Asked, Taken
from moo_mtl.training.verdict import Unread, kept, losses_finite, masked


def write(shared: Sequence[Tensor], batch: Batch, carried: Carried, asked: Asked, taken: Taken, unread: Unread) -> None:
    """Write ``.grad`` of ``shared`` and of the batch's own parameters, and carry the step on.

    On an accelerator a step that is not finite is masked, gradients and state, and its verdict waits in ``unread``.
    """
    gradients, state, weighing = taken.gradients, taken.state, taken.weighing
    if batch.losses.device.type != "cpu":
        scaled = asked.scale is not None
        overflow = losses_finite(batch.losses, batch.present) if scaled else taken.finite
        unread.write(asked.number, taken.finite | overflow)
        gradients = masked(taken.finite, gradients, torch.inf if scaled else 0.0)
        state, weighing = kept(taken.finite, state, taken.before, weighing, carried.kept)
    for parameter, gradient in zip([*shared, *batch.own], gradients, strict=True):
        parameter.grad = gradient
    carried.step, carried.state, carried.kept = asked.number, state, weighing


def skip(shared: Sequence[Tensor], batch: Batch, columns: Columns, carried: Carried, asked: Asked) -> StepReport:
    """A step not taken and no change of state.

    There is no gradient then, so that the optimiser passes over the parameters; under a gradient scaler an infinite one,
    so that the scaler does, and lowers its scale.
    """
    for parameter in (*shared, *batch.own):
        parameter.grad = None if asked.scale is None else torch.full_like(parameter, torch.inf)
    carried.skipped += 1
    return untaken(carried.tasks.names, batch.losses, columns.per_group(batch.losses.detach()), finite=False)
