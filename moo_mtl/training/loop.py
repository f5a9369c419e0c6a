"""Steps and epochs of one training run, from wherever its checkpoint stands."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from moo_mtl.data.dataset import Examples
from moo_mtl.errors import NonFiniteError
from moo_mtl.observation import Needs
from moo_mtl.rules.slot import at
from moo_mtl.training import generators
from moo_mtl.training.batches import Data, batches, skip
from moo_mtl.training.certificates import half_batch_estimate
from moo_mtl.training.checkpoint import Checkpoint
from moo_mtl.training.history import History
from moo_mtl.training.scoring import labels_in, losses_of, score
from moo_mtl.training.state import EpochSums, TrainingState

if TYPE_CHECKING:
    from moo_mtl.training.trainer import Trainer


class Loop:
    """One call of ``Trainer.fit``.

    Args:
        trainer: what does not change.
        train: examples or loader.
        validation: the same, or ``None``.
        checkpoint: where the state is kept, or ``None``.
    """

    def __init__(self, trainer: Trainer, train: Data, validation: Data | None, checkpoint: Checkpoint | None) -> None:
        self.trainer, self.train, self.validation, self.checkpoint = trainer, train, validation, checkpoint
        self.optimizer = trainer.new_optimizer()
        self.balancer = trainer.new_balancer()
        self.state = TrainingState(self._no_sums(), converged=[0] * len(trainer.tasks))
        self.epoch_start = generators.states(trainer.device)

    def run(self, progress: Callable[[int], None] | None) -> History:
        """Train what is left to train, and keep the best epoch's parameters.

        Raises:
            NonFiniteError: a loss or a gradient is not finite.
            RunError: the checkpoint cannot be read or written.
        """
        saved = None if self.checkpoint is None else self.checkpoint.load()
        if saved is not None:
            self._restore(saved)
        while self.state.epochs_done < self.trainer.epochs and not self.state.stopped:
            self._epoch()
            if progress is not None:
                progress(self.state.epochs_done)
        if self.checkpoint is not None:
            self.checkpoint.save(self._saved())
        if self.state.best is not None:
            self.trainer.model.load_state_dict(self.state.best["parameters"])
        return self._history()

    def _epoch(self) -> None:
        trainer, state = self.trainer, self.state
        self.balancer.epoch = state.epoch
        trainer.model.train()
        for batch in self._rest_of_epoch():
            started, apart = time.perf_counter(), self._step(batch)
            state.seconds += time.perf_counter() - started - apart
            state.batch += 1
            if self.checkpoint is not None:
                self.checkpoint.offer(self._saved)
        if trainer.device.type == "cuda":
            started = time.perf_counter()
            torch.cuda.synchronize(trainer.device)
            state.seconds += time.perf_counter() - started
        self._close_epoch()
        if self.checkpoint is not None:
            self.checkpoint.offer(self._saved)

    def _rest_of_epoch(self) -> Iterator[Examples]:
        """The epoch's batches; in a resumed epoch those not yet seen, with the generators as they were left."""
        trainer, state = self.trainer, self.state
        left = None
        if state.batch:
            left = generators.states(trainer.device)
            generators.restore(self.epoch_start, trainer.device)
        elif self.checkpoint is not None:
            self.epoch_start = generators.states(trainer.device)
        stream = batches(
            self.train,
            trainer.batch_size,
            seed=trainer.seed,
            epoch=state.epoch,
            device=trainer.device,
            dtype=trainer.dtype,
        )
        if left is not None:
            skip(stream, state.batch)
            generators.restore(left, trainer.device)
        return stream

    def _step(self, batch: Examples) -> float:
        """One step; gives the seconds spent on the certificate, which do not count."""
        trainer, state = self.trainer, self.state
        state.step += 1
        if callable(trainer.lr):
            for group in self.optimizer.param_groups:
                group["lr"] = at(trainer.lr, state.step)
        self.optimizer.zero_grad(set_to_none=True)
        batch, *independent = _halves(batch) if Needs.CROSS in trainer.rule.needs else (batch,)
        losses = losses_of(trainer.model, trainer.tasks, batch)
        labels = labels_in(trainer.tasks, batch)
        if losses.device.type == "cpu":  # elsewhere looking would stall the device: the sums remember, and are read later
            self._refuse(losses)
        others = [losses_of(trainer.model, trainer.tasks, other) for other in independent]
        present = None if labels is None else labels > 0
        try:
            report = self.balancer.backward(losses, independent=others, present=present, preference=trainer.preference)
        except NonFiniteError as error:
            state.sums.require_finite(trainer.names)  # on an accelerator: the loss of an earlier step, by name
            raise NonFiniteError(f"{error} (tasks from 0: {', '.join(trainer.names)})") from error
        apart = 0.0
        due = trainer.certify_every and state.step % trainer.certify_every == 0
        if due and state.weights is not None and len(batch) > 1:
            apart = self._estimate(batch, state.weights)
        state.weights = report.weights
        if trainer.clip is not None:
            torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), trainer.clip)
        self.optimizer.step()
        if Needs.AFTER in trainer.rule.needs:
            with torch.no_grad(), _buffers_kept(trainer.model):
                self.balancer.observe(losses_of(trainer.model, trainer.tasks, batch))
        state.sums.add(losses, len(batch) if labels is None else labels, report.weights, state.step)
        return apart

    def _refuse(self, losses: Tensor) -> None:
        if not bool(losses.isfinite().all()):
            self.state.sums.add(losses, 0, losses, self.state.step)
            self.state.sums.require_finite(self.trainer.names)

    def _estimate(self, batch: Examples, weights: Tensor) -> float:
        started = time.perf_counter()
        trainer = self.trainer
        value = half_batch_estimate(trainer.model, trainer.tasks, trainer.shared, batch, weights)
        self.state.log["estimates"].append([self.state.step, float(value)])
        return time.perf_counter() - started

    def _close_epoch(self) -> None:
        trainer, state = self.trainer, self.state
        state.sums.require_finite(trainer.names)
        losses, weights = state.sums.means()
        state.log["losses"].append(losses)
        state.log["weights"].append(weights)
        state.log["seconds"].append(state.seconds / max(state.sums.steps, 1))
        if self.validation is not None:
            self._validate(self.validation)
        if trainer.until is not None:
            below = [loss < trainer.until for loss in losses]
            state.converged = [first or state.epoch * now for first, now in zip(state.converged, below, strict=True)]
            state.stopped = all(below)
        state.epoch, state.batch, state.seconds, state.sums = state.epoch + 1, 0, 0.0, self._no_sums()

    def _validate(self, validation: Data) -> None:
        trainer, state = self.trainer, self.state
        scores = score(trainer.model, trainer.tasks, validation, device=trainer.device, dtype=trainer.dtype)
        state.log["validation_losses"].append(scores.losses.tolist())
        state.log["metrics"].append(scores.metrics)
        value = trainer.select(scores, trainer.tasks)
        value = math.inf if math.isnan(value) else value
        if state.best is None or value < state.best["score"]:
            parameters = {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()}
            state.best = {"epoch": state.epoch, "score": value, "parameters": parameters}

    def _saved(self) -> dict[str, Any]:
        self.state.sums.require_finite(self.trainer.names)
        return {
            "model": self.trainer.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "balancer": self.balancer.state_dict(),
            "training": self.state.saved(),
            "generators": generators.states(self.trainer.device),
            "epoch_start": self.epoch_start,
        }

    def _restore(self, saved: dict[str, Any]) -> None:
        device = self.trainer.device
        self.trainer.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.balancer.load_state_dict(saved["balancer"])
        self.state = TrainingState.of(saved["training"], device)
        self.epoch_start = saved["epoch_start"]
        generators.restore(saved["generators"], device)

    def _history(self) -> History:
        trainer, state, log = self.trainer, self.state, self.state.log
        n_tasks = len(trainer.tasks)
        parts = {"train": self.train, "validation": self.validation}
        bounds = {part: trainer.certify(data) for part, data in parts.items() if data is not None}
        metrics = log["metrics"]

        def table(name: str, width: int) -> Tensor:
            return torch.tensor(log[name], dtype=torch.float64).reshape(-1, width)

        return History(
            tasks=trainer.names,
            losses=table("losses", n_tasks),
            weights=table("weights", n_tasks),
            validation_losses=table("validation_losses", n_tasks),
            metrics={
                name: torch.tensor([epoch[name] for epoch in metrics], dtype=torch.float64)
                for name in (metrics[0] if metrics else ())
            },
            seconds=torch.tensor(log["seconds"], dtype=torch.float64),
            estimates=table("estimates", 2),
            certificates={part: torch.stack([bound.lower, bound.upper]).cpu() for part, bound in bounds.items()},
            converged=torch.tensor(state.converged),
            best_epoch=state.epochs_done if state.best is None else state.best["epoch"],
            steps=state.step,
        )

    def _no_sums(self) -> EpochSums:
        return EpochSums.zero(len(self.trainer.tasks), self.trainer.device)


@contextmanager
def _buffers_kept(network: nn.Module) -> Iterator[None]:
    """A second look at a batch counts once in the running statistics."""
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    yield
    for name, buffer in network.named_buffers():
        buffer.copy_(before[name])


def _halves(batch: Examples) -> tuple[Examples, Examples]:
    middle = (len(batch) + 1) // 2
    return batch[:middle], batch[middle:]
