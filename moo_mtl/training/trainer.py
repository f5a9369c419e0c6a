"""Training a network on several tasks with any rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from moo_mtl.certificate import Certificate
from moo_mtl.data.dataset import Examples
from moo_mtl.errors import InputError
from moo_mtl.training import generators
from moo_mtl.training.batches import Data
from moo_mtl.training.certificates import certificate
from moo_mtl.training.checkpoint import Checkpoint
from moo_mtl.training.history import History
from moo_mtl.training.identity import identity
from moo_mtl.training.loop import Loop
from moo_mtl.training.scoring import Scores, require_targets, score
from moo_mtl.training.settings import Settings
from moo_mtl.training.step_log import StepLog
from moo_mtl.training.task import Task


class Trainer(Settings):
    """A network, its tasks, and how it is to be trained.

    Args:
        model: inputs to a mapping from each task's name to its output. It is trained in place.
        tasks: at least one; with one task and the rule ``equal`` this is ordinary single-task training.
        rule: weighs the tasks. One that multiplies gradients of independent batches (``Needs.CROSS``) is shown the two
            halves of each batch, and the first half gives the step.
        epochs: number of passes over the training data.
        batch_size: number of examples in a batch; ``None`` for the whole training set at once. Loaders make their own batches.
        optimizer: ``"sgd"``, ``"adam"``, ``"adamw"``, or a function from the parameters to an optimiser.
        lr: learning rate, a number or a function of the step counted from 1; not needed where ``optimizer`` is a function.
        momentum: of SGD, if ``optimizer`` is a name.
        weight_decay: of the optimiser, if ``optimizer`` is a name.
        seed: of the order of the data, of dropout, and of rules that draw random numbers. The initial parameters are those that
            ``model`` comes with.
        shared: the parameters on which the tasks' gradients are compared; by default those of ``model.trunk``, or all
            parameters of a model without such a part.
        heads: factors on the gradients of each task's own parameters, see ``Balancer``.
        engine: how per-task gradients are computed, see ``Balancer``.
        gramian_of: the part of ``shared`` that the rule looks at, see ``Balancer``.
        every: number of steps for which weights are kept, see ``Balancer``.
        preference: one number per task, for rules that follow one.
        clip: the gradient of all parameters together is shortened to this length where it is longer, after balancing.
        accumulate: number of parts in which each batch is passed. Their gradients are added up, so the step is that of the
            whole batch, with the memory of one part. Engines that hold no gradients refuse.
        precision: ``"full"``, or ``"bf16"`` or ``"fp16"`` for mixed precision (autocast, for ``"fp16"`` with a gradient
            scaler): parameters, losses and all that a rule sees keep float32's digits. Scores and certificates are in full.
        scheduler: a function from the optimiser to a scheduler of torch, which steps after every epoch; ``schedules.get`` has
            some by name.
        average: decay of an exponential average of the parameters, as in 0.999. If given, validation sees the average, and the
            model is left with it.
        certify_every: steps between half-batch estimates of Pareto-stationarity; 0 for none. The full training set and the
            validation set are always certified at the end. None of this counts into step times or changes the training.
        until: stop after the first epoch in which every task's mean training loss is below this.
        select: which epoch's parameters to keep when there are validation data: ``"loss"`` (lowest geometric mean of the
            losses), ``"metric"`` (best mean of each task's first metric), or a function of ``Scores`` and tasks whose lowest
            value is best.
        patience: stop after so many epochs in a row without a better one on the validation data.
        log_every: steps between lines of the step log; 0 for none. Logging changes no step.
        tensorboard: whether the log is written as TensorBoard's event files as well.
        distributed: whether the processes that ``torch.distributed`` has joined train this model together. Each reads the same
            batches and computes its part of them; the run is that of one process (see ``Balancer``), with batch
            normalisation over all parts. The first process writes all files.
        device: where to train; by default where the model is.
        dtype: of parameters and inputs; by default the model's.

    Raises:
        InputError: the list of tasks is empty or names one twice, a number is out of range, a name is unknown, or the rule is
            no rule.
    """

    def fit(
        self,
        train: Data,
        validation: Data | None = None,
        *,
        checkpoint: str | Path | None = None,
        checkpoint_interval: float = 5.0,
        log: str | Path | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> History:
        """Train, and leave the model with the parameters of the epoch that validation prefers (the last one without).

        Args:
            train: examples, or an iterable of batches: ``(inputs, {task: targets})``, ``(inputs, targets, present)`` or
                ``Examples``. A loader must shuffle with the global generator, if a run is to be resumed exactly. A task whose
                targets a batch leaves out is absent there. A mapping from each task's name to such data gives every task
                inputs of its own; an epoch is as long as the longest.
            validation: for model selection; the same kinds. Test data have no place here.
            checkpoint: a file to keep the state in. If it is there, training goes on from it, bit-identical to a run that was
                never interrupted. All settings must be as they were, but for a larger number of epochs.
            checkpoint_interval: seconds between writes of that file.
            log: a folder for the step log, for ``log_every``.
            progress: called with the number of epochs done, after each.

        Raises:
            InputError: a task has no output or no target, or what an option needs is not there.
            NonFiniteError: a loss is not finite; the message names the task and the step.
            RunError: the checkpoint is damaged, of another run, or cannot be written.
        """
        parts = [part if part is None else self._placed(part) for part in (train, validation)]
        for part in parts:
            self._check_targets(part)
        first = self.across is None or self.across.first
        self.require_data(validation is not None, log is not None or not first)
        steps, keeper = None, None
        if log is not None and self.log_every and first:
            steps = StepLog(Path(log), self.log_every, self.names, self.tensorboard)
        if checkpoint is not None and first:
            keeper = Checkpoint(Path(checkpoint), identity(self, train), checkpoint_interval)
        training = self.model.training
        try:
            with generators.seeded(self.seed, self.device):
                assert parts[0] is not None
                return Loop(self, parts[0], parts[1], keeper, steps).run(progress)
        finally:
            self.model.train(training)

    def score(self, data: Data) -> Scores:
        """Losses and metrics of the model as it is.

        Raises:
            InputError: a task has no output or no target, or there is no example.
        """
        return score(self.model, self.tasks, data, device=self.device, dtype=self.dtype)

    def certify(self, data: Data) -> Certificate:
        """Bounds on the distance of the model from Pareto-stationarity, for the mean losses over all of ``data``."""
        return certificate(self.model, self.tasks, self.shared, data, device=self.device, dtype=self.dtype)

    def _placed(self, data: Data) -> Data:
        if isinstance(data, Mapping):
            return {task: self._placed(source) for task, source in data.items()}
        return data.to(self.device, self.dtype) if isinstance(data, Examples) else data

    def _check_targets(self, data: Data | None) -> None:
        if isinstance(data, Mapping):
            if set(data) != set(self.names):
                raise InputError(
                    f"there are data for {', '.join(data)}, and the tasks are {', '.join(self.names)}; give data for each task"
                )
            sources: list[tuple[Sequence[Task], Any]] = [((task,), data[task.name]) for task in self.tasks]
        else:
            sources = [(self.tasks, data)]
        for tasks, source in sources:
            if isinstance(source, Examples):
                if len(source) == 0:
                    raise InputError("there is no example; the data are empty")
                require_targets(source, tasks, all_of_them=True)
