"""What changes while a stack trains, and what its training leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class StackHistory:
    """What training a stack of shape ``[...]`` leaves behind, float64.

    Attributes:
        losses: mean training losses of each epoch's batches, ``[E, ..., K]``.
        validation: measures on the validation data, ``[V, ..., K]``, with rays ``[V, ..., P, K]``; empty without.
        best_epoch: the epoch whose parameters each part of the stack kept, int64 of the shape that ``select`` gives.
        seconds: per step, without validation.
        steps: number of steps taken.
    """

    losses: Tensor
    validation: Tensor
    best_epoch: Tensor
    seconds: float
    steps: int


@dataclass
class StackState:
    """Everything that changes, apart from the stack and the balancer.

    Attributes:
        moments: of the optimiser.
        epoch: number of epochs done.
        step: number of steps done.
        seconds: spent on them.
        losses: as the history will have them.
        validation: likewise.
        best: score, epoch and parameters kept so far.
    """

    moments: Any
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    losses: list[Tensor] = field(default_factory=list)
    validation: list[Tensor] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)

    def keep_better(self, score: Tensor, parameters: dict[str, Tensor]) -> None:
        """Keep the given parameters in each part of the stack, one a score, whose score is lower than that of the kept ones."""
        now: dict[str, Any] = {
            "score": score,
            "epoch": torch.full_like(score, self.epoch, dtype=torch.int64),
            "parameters": parameters,
        }
        if not self.best:
            self.best = now
            return
        better, kept = score < self.best["score"], self.best

        def chosen(new: Tensor, old: Tensor) -> Tensor:
            return torch.where(better.reshape(better.shape + (1,) * (new.dim() - better.dim())), new, old)

        both = {name: chosen(tensor, kept["parameters"][name]) for name, tensor in parameters.items()}
        self.best = {key: chosen(now[key], kept[key]) for key in ("score", "epoch")} | {"parameters": both}

    def history(self, shape: tuple[int, ...]) -> StackHistory:
        """What is left of it; ``shape`` is that of the losses."""
        best = self.best.get("epoch", torch.tensor(self.epoch))
        seen = torch.stack(self.validation) if self.validation else torch.empty(0, *shape, dtype=torch.float64)
        return StackHistory(torch.stack(self.losses).cpu(), seen.cpu(), best.cpu(), self.seconds / max(self.step, 1), self.step)
