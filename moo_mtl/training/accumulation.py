"""Micro-batches whose gradients make one step: sums of losses, rows and the tasks' own gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moo_mtl.engines import Look
from moo_mtl.engines.looped import combined, summed


@dataclass(frozen=True)
class Batch:
    """What one step is taken on.

    Attributes:
        losses: ``[..., K]``, as the rule is shown them.
        present: ``[..., K]`` bool; ``None`` where all tasks are.
        own: the parameters behind the losses that are not shared.
        look: at the gradients; ``None`` where nobody needs to look before the weights are known.
        stepped: whether the step is combined from what was looked at; if not, it is a pass of its own, so that
            observing changes no step.
        part: what backward passes start from where it is not ``losses``: the losses of this process's part of the batch.
        seed: the gradient that each loss has of itself: the factor of a gradient scaler, times this process's share.
        hidden: what ``engines.Behind`` says of the losses; ``None`` where nobody has walked their graph yet.
    """

    losses: Tensor
    present: Tensor | None
    own: Sequence[Tensor] = ()
    look: Look | None = None
    stepped: bool = True
    part: Tensor | None = None
    seed: Tensor | None = None
    hidden: bool | None = None

    @property
    def graph(self) -> Tensor:
        """``[..., K]``, where backward passes start."""
        return self.losses if self.part is None else self.part

    @property
    def here(self) -> list[bool] | None:
        """Which of K tasks are present; ``None`` where all are, where a device would have to be asked, or where networks are
        stacked.
        """
        if self.present is None or self.present.dim() != 1 or self.present.device.type != "cpu":
            return None
        return [bool(task) for task in self.present.tolist()]


class Accumulation:
    r"""The mean over micro-batches, :math:`\bar\ell_k = \sum_m c_{mk} \ell_{mk} / \sum_m c_{mk}`, and its gradients.

    A rule is no linear function of its gradients, so weighing each micro-batch and adding up would be another method.
    Here the K rows are added up (K times the memory of the shared parameters, however many micro-batches there are), and the
    rule is asked once.
    """

    def __init__(self) -> None:
        self.empty = True
        self._count = self._losses = self._rows = torch.zeros(())
        self._own: dict[int, Tensor] = {}
        self._own_sums: list[dict[int, Tensor]] = []

    def add(self, batch: Batch, count: Tensor) -> None:
        """Add a micro-batch of mean losses, seen by an engine that holds rows.

        Args:
            batch: losses and gradients.
            count: examples behind each loss, ``[..., K]``; 0 for a task that is absent here, whose loss may be anything.
        """
        assert batch.look is not None
        assert batch.look.rows is not None
        assert batch.look.by_task is not None
        losses, rows, by_task = batch.losses.detach(), batch.look.rows, batch.look.by_task()
        if self.empty:
            self._count, self._losses = torch.zeros_like(losses, dtype=torch.float64), torch.zeros_like(losses)
            self._rows, self._own_sums, self.empty = torch.zeros_like(rows), [{} for _ in by_task], False
        self._count = self._count + count
        self._losses = self._losses + torch.where(count > 0, losses * count.to(losses.dtype), 0.0)
        self._rows.addcmul_(rows, count.to(rows.dtype)[..., None])
        self._own |= {id(parameter): parameter for parameter in batch.own}
        for task, (sums, gradients) in enumerate(zip(self._own_sums, by_task, strict=True)):
            for parameter, part in zip(batch.own, summed(count, _alone(gradients, task, len(by_task)), batch.own), strict=True):
                if part is not None:
                    before = sums.get(id(parameter))
                    sums[id(parameter)] = part if before is None else before.add_(part)

    def mean(self) -> Batch:
        """The step's batch: a task that was in no micro-batch is absent, with loss 1."""
        present = self._count > 0
        total = torch.where(present, self._count, 1.0)
        rows = self._rows / total.to(self._rows.dtype)[..., None]
        own = list(self._own.values())
        by_task = [[sums.get(id(parameter)) for parameter in own] for sums in self._own_sums]
        look = Look(
            rows,
            None,
            lambda weights: combined(weights, rows),
            lambda factors: summed(factors / total.to(factors.dtype), by_task, own),
        )
        everyone = present.device.type == "cpu" and bool(present.all())
        losses = torch.where(present, self._losses / total.to(self._losses.dtype), 1.0)
        return Batch(losses, None if everyone else present, own, look)


def _alone(gradients: Sequence[Tensor | None], task: int, n_tasks: int) -> list[Sequence[Tensor | None]]:
    """``gradients`` in the place of their task, and nothing in the others."""
    return [gradients if place == task else [None] * len(gradients) for place in range(n_tasks)]
