"""Training a stack of networks: many preferences, seeds and learning rates as one program."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moo_mtl import descent
from moo_mtl.data.dataset import Examples
from moo_mtl.descent import Optimizer
from moo_mtl.errors import InputError, NonFiniteError
from moo_mtl.models.stack import Stack
from moo_mtl.observation import Needs
from moo_mtl.rules.rule import Rule, require_rule
from moo_mtl.rules.slot import Schedule, at
from moo_mtl.training import generators
from moo_mtl.training.balancer import Balancer
from moo_mtl.training.batches import visiting_order
from moo_mtl.training.checkpoint import Checkpoint
from moo_mtl.training.identity import hyper_parameters
from moo_mtl.training.members import answers, for_all, judged, scores
from moo_mtl.training.sampling import Dirichlet
from moo_mtl.training.scoring import evaluating, require_targets
from moo_mtl.training.stack_history import StackHistory, StackState
from moo_mtl.training.task import Task

Selection = Callable[[Tensor], Tensor]


class StackTrainer:
    """``Trainer`` for a stack; its members end where a ``Trainer`` of their own would take them, up to rounding.

    Wherever members may differ there is a tensor with the dimensions of the stack, each of which may be 1: a stack of shape
    ``(S, P)`` is trained with ``seeds`` of shape ``[S, 1]`` and a ``preference`` of shape ``[1, P, K]``. Members of one seed
    then see the same batches. A population rule takes the last dimension for its population.

    Args:
        stack: the networks, trained in place.
        tasks: what they learn, at least one.
        rule: weighs the tasks. Rules that learn from the losses after a step, or multiply independent batches, are refused.
        epochs: number of passes over the training data.
        batch_size: number of examples in a batch; ``None`` for all at once.
        optimizer: ``"sgd"`` or ``"adam"``.
        lr: a number, a function of the step counted from 1, or a tensor of numbers for the members.
        seeds: integers, of the data order and of ``Dirichlet``; by default 0 for all.
        preference: ``[..., K]``, or ``Dirichlet`` to draw one for each seed and step. It reaches the rule, and a network that
            takes a preference as its second argument (``conditioned``).
        rays: preferences ``[P, K]`` at which a conditioned network is judged.
        select: from validation losses ``[..., K]`` (with rays ``[..., P, K]``) to a score of the stack or of its leading
            dimensions, the lower the better: the parameters of the best epoch are kept. ``None`` keeps the last.
        validate_every: epochs between looks at the validation data.
        measures: what validation and ``losses`` report in place of ``tasks``, as many: published tables may judge a network by
            another number than the loss it was trained by.
        measured_in: mean over consecutive batches of this size, each counted alike, as some tables have it; another number
            where a loss is no mean over examples. ``None``: all examples at once.

    Raises:
        InputError: a number is out of range, a shape does not fit the stack, or the rule is of a kind that is not served.
    """

    def __init__(
        self,
        stack: Stack,
        tasks: Sequence[Task],
        rule: Rule[Any],
        *,
        epochs: int,
        batch_size: int | None = None,
        optimizer: Optimizer = "adam",
        lr: Schedule | Tensor,
        seeds: Tensor | None = None,
        preference: Tensor | Dirichlet | None = None,
        rays: Tensor | None = None,
        select: Selection | None = None,
        validate_every: int = 1,
        measures: Sequence[Task] | None = None,
        measured_in: int | None = None,
    ) -> None:
        require_rule(rule, "StackTrainer")
        if rule.needs & (Needs.AFTER | Needs.CROSS):
            raise InputError(f"StackTrainer: {rule.name} looks at more than one batch a step; train its networks with Trainer")
        for name, value in (("epochs", epochs), ("batch_size", batch_size or 1), ("validate_every", validate_every)):
            if value < 1:
                raise InputError(f"StackTrainer: {name} must be at least 1, found {value}")
        self.stack, self.tasks, self.rule = stack, tuple(tasks), rule
        self.epochs, self.batch_size, self.optimizer = epochs, batch_size, optimizer
        self.select, self.validate_every = select, validate_every
        self.measures, self.measured_in = (self.tasks if measures is None else tuple(measures)), measured_in
        ones, device = (1,) * len(stack.shape), next(stack.parameters()).device
        self.seeds = torch.zeros(ones, dtype=torch.int64, device=device) if seeds is None else seeds.to(device)
        self.lr = lr
        self.preference = preference.to(device) if isinstance(preference, Tensor) else preference
        self.rays = None if rays is None else rays.to(device)
        self.conditioned = bool(getattr(stack.network, "conditioned", False))
        for name, given, width in (("seeds", self.seeds, ()), ("lr", lr, ()), ("preference", preference, (len(self.tasks),))):
            if isinstance(given, Tensor):
                self._require_fit(name, given, width)
        if self.conditioned and (preference is None or rays is None):
            raise InputError(
                "StackTrainer: the networks take a preference; give preference=Dirichlet(...) and rays= to judge at"
            )

    def fit(
        self,
        train: Examples,
        validation: Examples | None = None,
        *,
        checkpoint: str | Path | None = None,
        checkpoint_interval: float = 5.0,
        progress: Callable[[int], None] | None = None,
    ) -> StackHistory:
        """Train, and leave the stack with the parameters that ``select`` prefers.

        Args:
            train: examples.
            validation: for selection. Test data have no place here.
            checkpoint: a file to keep the state in after an epoch. If it is there, training goes on from it, bit-identical to a
                run that was never interrupted.
            checkpoint_interval: least seconds between writes of that file.
            progress: called with the number of epochs done, after each.

        Raises:
            InputError: a task has no output or no target, or there are validation data to select by and no ``select``, or
                the other way round.
            NonFiniteError: a loss is not finite.
            RunError: the checkpoint is damaged, of another run, or cannot be written.
        """
        if (validation is None) != (self.select is None):
            raise InputError("StackTrainer: validation data and select= go together; give both, or neither")
        for part in (train, validation):
            if part is not None:
                require_targets(part, self.tasks, all_of_them=True)
        train, validation = self._placed(train), None if validation is None else self._placed(validation)
        keeper = None if checkpoint is None else Checkpoint(Path(checkpoint), self._identity(train), checkpoint_interval)
        balancer = Balancer(self.rule, self.stack.shared_parameters())
        state = StackState(descent.start(self._joined(list(self.stack.parameters())), self.optimizer))
        with generators.seeded(int(self.seeds.flatten()[0]), self.seeds.device):
            saved = None if keeper is None else keeper.load()
            if saved is not None:
                self._restore(saved, state, balancer)
            while state.epoch < self.epochs:
                self._epoch(state, balancer, train)
                if validation is not None and (state.epoch % self.validate_every == 0 or state.epoch == self.epochs):
                    self._validate(state, validation)
                if keeper is not None:
                    keeper.offer(lambda: self._saved(state, balancer))
                if progress is not None:
                    progress(state.epoch)
            if keeper is not None:
                keeper.save(self._saved(state, balancer))
        if state.best:
            self.stack.load_state_dict(state.best["parameters"])
        return state.history((*self.stack.shape, len(self.tasks)))

    @torch.no_grad()
    def losses(self, data: Examples, *, as_trained: bool = False) -> Tensor:
        """Every member's measures on all examples, ``[..., K]`` float64, at each ray ``[..., P, K]``, in evaluation mode.

        Args:
            data: examples.
            as_trained: the losses of ``tasks`` over all examples at once, in place of ``measures``.
        """
        judges, size = (self.tasks, None) if as_trained else (self.measures, self.measured_in)
        data = self._placed(data)
        with evaluating(self.stack):
            if not self.conditioned or self.rays is None:
                return scores(self.stack, judges, self.tasks, data, batch_size=size)
            at_rays = [scores(self.stack, judges, self.tasks, data, ray, batch_size=size) for ray in self.rays]
            return torch.stack(at_rays, dim=-2)

    def _epoch(self, state: StackState, balancer: Balancer, train: Examples) -> None:
        started = time.perf_counter()
        state.epoch += 1
        balancer.epoch = state.epoch
        self.stack.train()
        total, n = torch.zeros(*self.stack.shape, len(self.tasks), dtype=torch.float64, device=self.seeds.device), 0
        for batch, size in self._batches(train, state.epoch):
            losses = self._step(state, balancer, batch)
            total, n = total + losses.double() * size, n + size
        state.losses.append(total / n)
        state.seconds += time.perf_counter() - started

    def _step(self, state: StackState, balancer: Balancer, batch: Examples) -> Tensor:
        state.step += 1
        batch_dims = len(self.stack.shape)
        preference = self._preferred(state.step)
        parameters = list(self.stack.parameters())
        for parameter in parameters:
            parameter.grad = None
        outputs = answers(self.stack, self.tasks, batch, preference if self.conditioned else None)
        losses = judged(self.stack, self.tasks, outputs, batch)
        if not bool(losses.isfinite().all()):
            raise NonFiniteError(
                f"StackTrainer: a loss of {self.rule.name} is not finite at step {state.step}; lower the learning rate"
            )
        follows = preference is not None and Needs.PREFERENCE in self.rule.needs
        wanted = preference.expand(losses.shape) if follows and preference is not None else None
        balancer.backward(losses, preference=wanted)
        direction = self._joined([torch.zeros_like(p) if p.grad is None else p.grad for p in parameters])
        rate = self.lr.to(direction).unsqueeze(-1) if isinstance(self.lr, Tensor) else at(self.lr, state.step)
        update, state.moments = descent.step(direction, state.moments, rate)
        widths = [parameter.flatten(batch_dims).shape[-1] for parameter in parameters]
        with torch.no_grad():
            for parameter, part in zip(parameters, update.split(widths, dim=-1), strict=True):
                parameter.add_(part.reshape(parameter.shape))
        return losses.detach()

    def _batches(self, data: Examples, epoch: int) -> Iterator[tuple[Examples, int]]:
        """Batches ``[..., B, ...]`` in the order that each seed visits the examples, and B."""
        if self.batch_size is None:
            yield for_all(data, len(self.stack.shape)), len(data)
            return
        orders = [visiting_order(len(data), seed, epoch, self.seeds.device) for seed in self.seeds.flatten().tolist()]
        for index in torch.stack(orders).reshape(*self.seeds.shape, len(data)).split(self.batch_size, dim=-1):
            yield data[index], index.shape[-1]

    def _preferred(self, step: int) -> Tensor | None:
        if isinstance(self.preference, Dirichlet):
            return self.preference.draw(self.seeds, step, len(self.tasks)).to(self.seeds.device)
        return self.preference

    def _placed(self, data: Examples) -> Examples:
        """Where the stack is, in its precision."""
        like = next(self.stack.parameters())
        return data.to(like.device, like.dtype)

    def _joined(self, tensors: Sequence[Tensor]) -> Tensor:
        return torch.cat([tensor.detach().flatten(len(self.stack.shape)) for tensor in tensors], dim=-1)

    def _validate(self, state: StackState, validation: Examples) -> None:
        assert self.select is not None
        seen = self.losses(validation)
        state.validation.append(seen)
        score = self.select(seen).nan_to_num(nan=torch.inf)
        if score.shape != self.stack.shape[: score.dim()]:
            raise InputError(
                f"StackTrainer: select gave shape {tuple(score.shape)}, expected leading ones of {self.stack.shape}"
            )
        state.keep_better(score, {name: tensor.detach().clone() for name, tensor in self.stack.state_dict().items()})

    def _identity(self, train: Examples) -> dict[str, Any]:
        def plain(value: Any) -> Any:
            return value.tolist() if isinstance(value, Tensor) else repr(value) if isinstance(value, Dirichlet) else value

        settings = {
            "tasks": [task.name for task in self.tasks],
            "rule": self.rule.name,
            "seeds": self.seeds.tolist(),
            "batch size": self.batch_size,
            "number of examples": len(train),
            "optimizer": self.optimizer,
            "lr": float(at(self.lr, 1)) if callable(self.lr) else plain(self.lr),
            "preference": plain(self.preference),
            "validate every": self.validate_every,
        }
        shapes = {f"shape of parameter {name}": list(p.shape) for name, p in self.stack.network.named_parameters()}
        return settings | shapes | dict(hyper_parameters(self.rule))

    def _saved(self, state: StackState, balancer: Balancer) -> dict[str, Any]:
        return {
            "stack": self.stack.state_dict(),
            "balancer": balancer.state_dict(),
            "state": {**vars(state), "moments": tuple(state.moments)},
            "generators": generators.states(self.seeds.device),
        }

    def _restore(self, saved: Mapping[str, Any], state: StackState, balancer: Balancer) -> None:
        self.stack.load_state_dict(saved["stack"])
        balancer.load_state_dict(saved["balancer"])
        kind = type(state.moments)
        for name, value in saved["state"].items():
            setattr(state, name, kind(*value) if name == "moments" else value)
        generators.restore(saved["generators"], self.seeds.device)

    def _require_fit(self, name: str, given: Tensor, width: tuple[int, ...]) -> None:
        shape = (*self.stack.shape, *width)
        fits = given.dim() == len(shape) and all(
            one in (1, all_) for one, all_ in zip(given.shape[: len(self.stack.shape)], self.stack.shape, strict=True)
        )
        if not fits or given.shape[len(self.stack.shape) :] != width:
            raise InputError(
                f"StackTrainer: {name} has shape {tuple(given.shape)}, expected {shape} for this stack, each leading one or 1"
            )
