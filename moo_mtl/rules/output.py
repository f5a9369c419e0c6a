"""Output slots: the overall length of the step, which every comparison of rules has to state."""

import torch
from torch import Tensor

from moo_mtl.observation import Needs, Observation
from moo_mtl.rules import present
from moo_mtl.rules.slot import Output, positive


def _per_total(total: Tensor, weights: Tensor) -> Tensor:
    sums = weights.sum(dim=-1)
    return torch.where(sums == 0, 1.0, total / torch.where(sums == 0, 1.0, sums))


def _tasks(raw: Observation) -> Tensor:
    return raw.mask.sum(dim=-1).clamp(min=1).double()


def _mean_length(weights: Tensor, length: Tensor | None, raw: Observation) -> Tensor:
    assert length is not None
    assert raw.gramian is not None
    mean = present.equal(raw.mask)
    wanted = (mean[..., None, :] @ raw.gramian @ mean[..., None]).squeeze((-2, -1)).clamp(min=0).sqrt()
    return torch.where(length > 0, wanted / torch.where(length > 0, length, 1.0), 1.0)


def _unit_length(weights: Tensor, length: Tensor | None, raw: Observation) -> Tensor:
    assert length is not None
    return torch.where(length > 0, 1 / torch.where(length > 0, length, 1.0), 1.0)


simplex = Output("simplex", lambda weights, length, raw: _per_total(torch.ones_like(weights[..., 0]), weights))
"""Weights on the raw gradients sum to 1; zero weights stay zero."""

sum_to_k = Output("sum-to-k", lambda weights, length, raw: _per_total(raw.mask.sum(dim=-1).double(), weights))
"""Weights on the raw gradients sum to the number of tasks present, as those of equal weighting do."""

match_mean_norm = Output("match-mean-norm", _mean_length, Needs.GRAMIAN)
"""The step is as long as the mean gradient, so that one learning rate means the same for every rule."""

unit_length = Output("unit-length", _unit_length, Needs.GRAMIAN)
"""The step has length 1, or 0 at a stationary point."""

times_tasks = Output("times-tasks", lambda weights, length, raw: _tasks(raw))
"""The step times the number of tasks present: a mean becomes a sum."""

per_task = Output("per-task", lambda weights, length, raw: 1 / _tasks(raw))
"""The step divided by the number of tasks present: a sum becomes a mean."""


def per_task_of(total: float) -> Output:
    """A K-th of ``total``, K the number of tasks present."""
    return Output(f"per-task-of-{total:g}", lambda weights, length, raw: total / _tasks(raw))


def constant(factor: float) -> Output:
    """The step times a number."""
    return Output(f"times-{factor:g}", lambda weights, length, raw: torch.full_like(weights[..., 0], factor))


def at_most(longest: float) -> Output:
    """The step shortened to a given length where it is longer, as gradient clipping does.

    Raises:
        InputError: ``longest`` is not positive and finite.
    """
    positive("at-most", "max_norm", longest, "it is the length of the longest step; without a bound leave the output out")

    def factor(weights: Tensor, length: Tensor | None, raw: Observation) -> Tensor:
        assert length is not None
        return longest / length.clamp(min=longest)

    return Output(f"at-most-{longest:g}", factor, Needs.GRAMIAN)
