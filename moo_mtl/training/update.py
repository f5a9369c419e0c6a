"""One step of training: from a batch to new parameters."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from moo_mtl.errors import NonFiniteError
from moo_mtl.observation import Needs
from moo_mtl.rules.slot import at
from moo_mtl.training import generators
from moo_mtl.training.batches import Batch, split
from moo_mtl.training.certificates import half_batch_estimate
from moo_mtl.training.precision import Precision
from moo_mtl.training.report import StepReport
from moo_mtl.training.scoring import labels_in, losses_of
from moo_mtl.training.settings import Settings
from moo_mtl.training.state import require_finite


class Taken(NamedTuple):
    """What became of a step.

    Attributes:
        report: of the rule, with the losses of the whole batch.
        labels: behind each of them, ``[K]``, or one number for all.
        moved: whether parameters changed; not where scaled gradients overflowed.
        estimate: of the distance to Pareto-stationarity, where it was asked for.
        apart: seconds spent on that.
    """

    report: StepReport
    labels: Tensor | int
    moved: bool
    estimate: float | None
    apart: float


class Update:
    """What changes parameters: rule, optimiser, precision, and the average of the parameters so far.

    Args:
        settings: what does not change.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.optimizer = settings.new_optimizer()
        self.scheduler = None if settings.scheduler is None else settings.scheduler(self.optimizer)
        self.balancer = settings.new_balancer()
        self.precision = Precision(settings.precision, settings.device)
        average = None if settings.average is None else get_ema_multi_avg_fn(settings.average)
        self.average = None if average is None else AveragedModel(settings.model, multi_avg_fn=average)

    @property
    def lr(self) -> float:
        """The learning rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def judged(self) -> nn.Module:
        """The network that validation sees: the average, where there is one."""
        return self.settings.model if self.average is None else self.average.module

    def take(self, batch: Batch, step: int, weights: Tensor | None) -> Taken:
        """Step ``step``, on the batch of all processes; ``weights`` of the step before judge it where an estimate is due.

        Raises:
            NonFiniteError: a loss or a gradient is not finite.
        """
        settings = self.settings
        if callable(settings.lr):
            for group in self.optimizer.param_groups:
                group["lr"] = at(settings.lr, step)
        self.optimizer.zero_grad(set_to_none=True)
        whole, *independent = split(batch, 2) if Needs.CROSS in settings.rule.needs else (batch,)
        count = min(settings.accumulate, max(len(whole), 1))
        parts = [self._mine(part) for part in (split(whole, count) if count > 1 else [whole])]
        with generators.of_process(settings.across, settings.seed, step, settings.device):
            others = [self._mine(other) for other in independent]
            for number, part in enumerate(parts, start=1):
                report = self._backward(part, others, step, more=number < len(parts))
        started, estimate = time.perf_counter(), None
        if settings.certify_every and step % settings.certify_every == 0 and weights is not None and len(whole) > 1:
            placed = whole.to(settings.device, settings.dtype)
            estimate = float(half_batch_estimate(settings.model, settings.tasks, settings.shared, placed, weights))
        apart = time.perf_counter() - started
        moved = self._move(report)
        if moved and Needs.AFTER in settings.rule.needs:
            with generators.of_process(settings.across, settings.seed, -step, settings.device):
                self._observe(parts)
        labels = labels_in(settings.tasks, whole)
        return Taken(report, len(whole) if labels is None else labels.to(settings.device), moved, estimate, apart)

    def close_epoch(self, score: float | None) -> None:
        """Let the scheduler step; ``score`` of the validation data is for one that waits for a plateau."""
        if self.scheduler is None:
            return
        if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            assert score is not None, "refused by fit without validation data"
            self.scheduler.step(score)
        else:
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, but for the network."""
        scaler = self.precision.scaler
        return {
            "optimizer": self.optimizer.state_dict(),
            "balancer": self.balancer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on where ``state_dict`` was taken."""
        self.optimizer.load_state_dict(saved["optimizer"])
        self.balancer.load_state_dict(saved["balancer"])
        for name, part in (("scheduler", self.scheduler), ("scaler", self.precision.scaler), ("average", self.average)):
            if part is not None:
                part.load_state_dict(saved[name])
        # A scheduler warns where it steps before its optimiser has; this one's steps were taken before the interruption.
        self.optimizer._opt_called = True  # type: ignore[attr-defined]

    def _mine(self, batch: Batch) -> Batch:
        """This process's part of a batch, on the device."""
        settings = self.settings
        if settings.across is not None:
            batch = split(batch, settings.across.size)[settings.across.rank]
        return batch.to(settings.device, settings.dtype)

    def _losses(self, batch: Batch) -> Tensor:
        return losses_of(self.settings.model, self.settings.tasks, batch, self.precision)

    def _counts(self, batch: Batch) -> Tensor | int:
        labels = labels_in(self.settings.tasks, batch)
        return len(batch) if labels is None else labels

    def _backward(self, batch: Batch, others: Sequence[Batch], step: int, more: bool) -> StepReport:
        settings = self.settings
        losses, labels = self._losses(batch), labels_in(settings.tasks, batch)
        if settings.across is None and losses.device.type == "cpu":  # elsewhere looking would stall the device
            self._refuse(losses, step)
        alone = settings.across is None and settings.accumulate == 1
        try:
            return self.balancer.backward(
                losses,
                independent=[self._losses(other) for other in others],
                independent_counts=[] if alone else [self._counts(other) for other in others],
                present=None if labels is None or not alone else labels > 0,
                counts=None if alone else self._counts(batch),
                accumulate=more,
                preference=settings.preference,
                scaler=self.precision.scaler,
            )
        except NonFiniteError as error:
            raise NonFiniteError(f"{error} (tasks from 0: {', '.join(settings.names)})") from error

    def _refuse(self, losses: Tensor, step: int) -> None:
        require_finite(self.settings.names, torch.where(losses.isfinite(), 0, step))

    def _move(self, report: StepReport) -> bool:
        settings, scaler = self.settings, self.precision.scaler
        if settings.clip is not None:
            if scaler is not None:
                scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(settings.model.parameters(), settings.clip)
        if scaler is None:
            self.optimizer.step()
        else:
            scaler.step(self.optimizer)
            scaler.update()
            if not bool(report.finite):  # the scaler has waited for the device already
                return False
        if self.average is not None:
            self.average.update_parameters(settings.model)
        return True

    def _observe(self, parts: Sequence[Batch]) -> None:
        """Show the rule the losses after the step, on the batch as a whole."""
        with torch.no_grad(), _buffers_kept(self.settings.model):
            if len(parts) == 1:
                self.balancer.observe(self._losses(parts[0]), self._counts(parts[0]))
                return
            losses = torch.stack([self._losses(part) for part in parts])
            counts = torch.stack([torch.as_tensor(self._counts(part)).expand(len(self.settings.tasks)) for part in parts])
            counts = counts.to(losses.device)
            total = counts.sum(dim=0)
            self.balancer.observe((losses * counts).sum(dim=0) / total.clamp(min=1), total)


@contextmanager
def _buffers_kept(network: nn.Module) -> Iterator[None]:
    """A second look at a batch counts once in the running statistics."""
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    yield
    for name, buffer in network.named_buffers():
        buffer.copy_(before[name])
