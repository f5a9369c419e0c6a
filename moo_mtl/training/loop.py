"""Steps and epochs of one training run, from wherever its checkpoint stands."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from moo_mtl.certificate import Certificate
from moo_mtl.errors import NonFiniteError
from moo_mtl.training import generators
from moo_mtl.training.batches import Batch, Data, batches, skip
from moo_mtl.training.certificates import certificate
from moo_mtl.training.checkpoint import Checkpoint
from moo_mtl.training.history import History
from moo_mtl.training.scoring import score
from moo_mtl.training.settings import Settings
from moo_mtl.training.state import EpochSums, TrainingState
from moo_mtl.training.step_log import StepLog
from moo_mtl.training.update import Update


class Loop:
    """One call of ``Trainer.fit``.

    Args:
        settings: what does not change.
        train: examples or loader.
        validation: the same, or ``None``.
        checkpoint: where the state is kept, or ``None``; of several processes the first writes it.
        log: where steps are noted, or ``None``.
    """

    def __init__(
        self,
        settings: Settings,
        train: Data,
        validation: Data | None,
        checkpoint: Checkpoint | None,
        log: StepLog | None,
    ) -> None:
        self.settings, self.train, self.validation, self.checkpoint, self.log = settings, train, validation, checkpoint, log
        self.update = Update(settings)
        self.state = TrainingState(self._no_sums(), converged=[0] * len(settings.tasks))
        self.epoch_start = generators.states(settings.device)

    def run(self, progress: Callable[[int], None] | None) -> History:
        """Train what is left to train, and keep the best epoch's parameters.

        Raises:
            NonFiniteError: a loss or a gradient is not finite.
            RunError: the checkpoint cannot be read or written.
        """
        saved = self._load()
        if saved is not None:
            self._restore(saved)
        with nullcontext() if self.log is None else self.log.after(self.state.step):
            while self.state.epochs_done < self.settings.epochs and not self.state.stopped:
                self._epoch()
                if progress is not None:
                    progress(self.state.epochs_done)
        if self.checkpoint is not None:
            self.checkpoint.save(self._saved())
        if self.state.best is not None:
            self.settings.model.load_state_dict(self.state.best["parameters"])
        elif self.update.average is not None:
            self.settings.model.load_state_dict(self.update.judged.state_dict())
        return self._history()

    def _epoch(self) -> None:
        settings, state = self.settings, self.state
        self.update.balancer.epoch = state.epoch
        settings.model.train()
        for batch in self._rest_of_epoch():
            started, apart = time.perf_counter(), self._step(batch)
            state.seconds += time.perf_counter() - started - apart
            state.batch += 1
            if self.checkpoint is not None:
                self.checkpoint.offer(self._saved)
        if settings.device.type == "cuda":
            started = time.perf_counter()
            torch.cuda.synchronize(settings.device)
            state.seconds += time.perf_counter() - started
        self._close_epoch()
        if self.checkpoint is not None:
            self.checkpoint.offer(self._saved)

    def _rest_of_epoch(self) -> Iterator[Batch]:
        """The epoch's batches; in a resumed epoch those not yet seen, with the generators as they were left."""
        settings, state = self.settings, self.state
        left = None
        if state.batch:
            left = generators.states(settings.device)
            generators.restore(self.epoch_start, settings.device)
        elif self.checkpoint is not None:
            self.epoch_start = generators.states(settings.device)
        stream = batches(self.train, settings.batch_size, seed=settings.seed, epoch=state.epoch)
        if left is not None:
            skip(stream, state.batch)
            generators.restore(left, settings.device)
        return stream

    def _step(self, batch: Batch) -> float:
        """One step; gives the seconds spent on the certificate, which do not count."""
        state = self.state
        state.step += 1
        try:
            taken = self.update.take(batch, state.step, state.weights)
        except NonFiniteError:
            state.sums.require_finite(self.settings.names)  # on an accelerator: the loss of an earlier step, by name
            raise
        if taken.estimate is not None:
            state.log["estimates"].append([state.step, taken.estimate])
        report = taken.report
        if taken.moved:
            state.weights = report.weights
        state.skipped += not taken.moved
        state.sums.add(report.losses, taken.labels, report.weights, state.step, taken.moved)
        if self.log is not None:
            self.log.write(state.step, state.epoch, self.update.lr, report)
        return taken.apart

    def _close_epoch(self) -> None:
        settings, state = self.settings, self.state
        state.sums.require_finite(settings.names)
        losses, weights = state.sums.means()
        state.log["losses"].append(losses)
        state.log["weights"].append(weights)
        state.log["seconds"].append(state.seconds / max(state.sums.steps, 1))
        self.update.close_epoch(None if self.validation is None else self._validate(self.validation))
        if settings.until is not None:
            below = [loss < settings.until for loss in losses]
            state.converged = [first or state.epoch * now for first, now in zip(state.converged, below, strict=True)]
            state.stopped = all(below)
        if settings.patience is not None and state.best is not None:
            state.stopped |= state.epoch - state.best["epoch"] >= settings.patience
        state.epoch, state.batch, state.seconds, state.sums = state.epoch + 1, 0, 0.0, self._no_sums()

    def _validate(self, validation: Data) -> float:
        """The epoch's score, the lower the better."""
        settings, state, network = self.settings, self.state, self.update.judged
        scores = score(network, settings.tasks, validation, device=settings.device, dtype=settings.dtype)
        state.log["validation_losses"].append(scores.losses.tolist())
        state.log["metrics"].append(scores.metrics)
        value = settings.select(scores, settings.tasks)
        value = math.inf if math.isnan(value) else value
        if state.best is None or value < state.best["score"]:
            parameters = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
            state.best = {"epoch": state.epoch, "score": value, "parameters": parameters}
        return value

    def _load(self) -> dict[str, Any] | None:
        def load() -> dict[str, Any] | None:
            return None if self.checkpoint is None else self.checkpoint.load()

        return load() if self.settings.across is None else self.settings.across.from_first(load)

    def _saved(self) -> dict[str, Any]:
        self.state.sums.require_finite(self.settings.names)
        return {
            "model": self.settings.model.state_dict(),
            **self.update.state_dict(),
            "training": self.state.saved(),
            "generators": generators.states(self.settings.device),
            "epoch_start": self.epoch_start,
        }

    def _restore(self, saved: dict[str, Any]) -> None:
        device = self.settings.device
        self.settings.model.load_state_dict(saved["model"])
        self.update.load_state_dict(saved)
        self.state = TrainingState.of(saved["training"], device)
        self.epoch_start = saved["epoch_start"]
        generators.restore(saved["generators"], device)

    def _history(self) -> History:
        settings, state, log = self.settings, self.state, self.state.log
        n_tasks = len(settings.tasks)
        parts = {"train": self.train, "validation": self.validation}
        bounds = {part: self._certificate(data) for part, data in parts.items() if data is not None}
        metrics = log["metrics"]

        def table(name: str, width: int) -> Tensor:
            return torch.tensor(log[name], dtype=torch.float64).reshape(-1, width)

        return History(
            tasks=settings.names,
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
            skipped=state.skipped,
        )

    def _certificate(self, data: Data) -> Certificate:
        settings = self.settings
        network, tasks, shared = settings.model, settings.tasks, settings.shared
        return certificate(network, tasks, shared, data, device=settings.device, dtype=settings.dtype)

    def _no_sums(self) -> EpochSums:
        return EpochSums.zero(len(self.settings.tasks), self.settings.device)
