"""Everything that changes while a network trains, and nothing that does not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from moo_mtl.errors import NonFiniteError


@dataclass
class EpochSums:
    """Sums over the steps of one epoch, on the device; read once, at its end.

    Attributes:
        losses: of each task times its labels, ``[K]`` float64.
        labels: ``[K]`` float64.
        weights: ``[K]`` float64.
        steps: how many.
        moved: in how many of them the parameters changed.
        bad: the first step at which a task's loss was not finite, ``[K]`` int64; 0 if none.
    """

    losses: Tensor
    labels: Tensor
    weights: Tensor
    bad: Tensor
    steps: int = 0
    moved: int = 0

    @classmethod
    def zero(cls, n_tasks: int, device: torch.device) -> EpochSums:
        losses, labels, weights = torch.zeros(3, n_tasks, dtype=torch.float64, device=device)
        return cls(losses, labels, weights, torch.zeros(n_tasks, dtype=torch.int64, device=device))

    def add(self, losses: Tensor, labels: Tensor | int, weights: Tensor, step: int, moved: bool = True) -> None:
        """Count one step; one at which the parameters did not move has no weights."""
        self.losses = self.losses + losses.detach() * labels
        self.labels = self.labels + labels
        if moved:
            self.weights = self.weights + weights.detach()
            self.moved += 1
        self.bad = torch.where((self.bad == 0) & ~losses.isfinite(), step, self.bad)
        self.steps += 1

    def means(self) -> tuple[list[float], list[float]]:
        """Mean loss and mean weight of each task; NaN for the loss of a task without a label, and where nothing moved."""
        losses = torch.where(self.labels > 0, self.losses / self.labels.clamp(min=1), math.nan)
        return losses.tolist(), (self.weights / (self.moved or math.nan)).tolist()

    def require_finite(self, tasks: tuple[str, ...]) -> None:
        """Refuse to go on from a loss that was not finite.

        Raises:
            NonFiniteError: names the task and the step.
        """
        require_finite(tasks, self.bad)


def require_finite(tasks: tuple[str, ...], bad: Tensor) -> None:
    """Refuse a loss that was not finite; ``bad`` ``[K]`` is the step at which it was, or 0.

    Raises:
        NonFiniteError: names the task and the step.
    """
    for name, step in zip(tasks, bad.tolist(), strict=True):
        if step:
            raise NonFiniteError(
                f"the loss of task {name!r} is not finite at step {step}; lower the learning rate, or look at that task's data"
            )


@dataclass
class TrainingState:
    """Where a run stands, apart from network, optimiser and rule.

    Attributes:
        sums: of the epoch under way.
        epoch: the one under way, counted from 1.
        batch: number of its batches done.
        step: number of steps done in all.
        skipped: in how many of them scaled gradients overflowed, so that nothing moved.
        seconds: spent on the steps of this epoch.
        log: what the history will hold, per epoch done.
        best: epoch, score and parameters of the best epoch so far by validation.
        converged: per task the epoch in which its loss first fell below the bound; 0: not yet.
        weights: of the last step, ``[K]``.
        stopped: every task's loss was below the bound in the last epoch, or validation has waited long enough.
    """

    sums: EpochSums
    epoch: int = 1
    batch: int = 0
    step: int = 0
    skipped: int = 0
    seconds: float = 0.0
    log: dict[str, list[Any]] = field(
        default_factory=lambda: {
            name: [] for name in ("losses", "weights", "validation_losses", "metrics", "seconds", "estimates")
        }
    )
    best: dict[str, Any] | None = None
    converged: list[int] = field(default_factory=list)
    weights: Tensor | None = None
    stopped: bool = False

    @property
    def epochs_done(self) -> int:
        return len(self.log["losses"])

    def saved(self) -> dict[str, Any]:
        """All of it in types that ``torch.load(weights_only=True)`` reads."""
        return {**vars(self), "sums": vars(self.sums)}

    @classmethod
    def of(cls, saved: dict[str, Any], device: torch.device) -> TrainingState:
        """What ``saved`` wrote, on the device."""
        sums: dict[str, Any] = {
            key: value.to(device) if isinstance(value, Tensor) else value for key, value in saved["sums"].items()
        }
        weights = None if saved["weights"] is None else saved["weights"].to(device)
        return cls(**{**saved, "sums": EpochSums(**sums), "weights": weights})
