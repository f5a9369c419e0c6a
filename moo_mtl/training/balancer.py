"""The drop-in: any rule in anyone's training loop, in place of ``loss.backward()``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from moo_mtl.certificate import certify
from moo_mtl.engines import Processes, leaves
from moo_mtl.errors import InputError, NonFiniteError
from moo_mtl.observation import Needs, Observation, require_finite
from moo_mtl.rules.rule import Rule, Weighing, ask
from moo_mtl.state import flatten, unflatten
from moo_mtl.training.accumulation import Accumulation, Batch
from moo_mtl.training.directions import Heads, combined, on_heads, one_pass
from moo_mtl.training.joint import joint
from moo_mtl.training.looking import Looking
from moo_mtl.training.observing import drawn, observed, seen
from moo_mtl.training.options import require_options
from moo_mtl.training.parameters import Columns, Parameters, listed, part_of, partition
from moo_mtl.training.report import StepReport, reported, untaken
from moo_mtl.training.task_order import Counts, Losses, TaskOrder
from moo_mtl.training.verdict import Unread, all_finite, kept, losses_finite, masked

_GRADIENTS = Needs.GRAMIAN | Needs.PRODUCTS | Needs.CROSS | Needs.ROWS


class Balancer:
    """Writes the gradient that a rule asks for; the optimiser then steps as ever.

    >>> import torch
    >>> from moo_mtl import Balancer, rules
    >>> trunk, left, right = torch.nn.Linear(3, 2), torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    >>> balancer = Balancer(rules.mgda(), trunk)
    >>> features = trunk(torch.ones(5, 3)).tanh()
    >>> report = balancer.backward({"left": left(features).square().mean(), "right": (right(features) - 1).square().mean()})
    >>> float(report.weights.sum()), trunk.weight.grad.shape
    (1.0, torch.Size([2, 3]))
    """

    def __init__(
        self,
        rule: Rule[Any],
        shared: Parameters,
        *,
        heads: Heads = "paper",
        engine: Literal["auto", "looped", "vmapped", "gramian", "features", "products"] = "auto",
        gramian_of: Parameters | None = None,
        groups: Sequence[Parameters] | None = None,
        every: int = 1,
        certify_every: int = 0,
        nonfinite: Literal["raise", "skip"] = "raise",
        seed: int = 0,
        across: Processes | None = None,
    ) -> None:
        """
        Args:
            rule: from ``rules.get``, ``rules.compose``, or one of your own.
            shared: the module, or the parameters, that all tasks share. Every other parameter behind the losses
                belongs to its task.
            heads: what those others receive: what the rule's paper says, the raw gradient (``"raw"``), the slope of
                the loss transform (``"loss"``), or the whole weight (``"weighted"``).
            engine: how per-task gradients are found; all but ``"features"`` (the MGDA-UB bound) are exact.
                ``"auto"`` looks at the first step's graph and says in ``chosen`` what it took and why.
            gramian_of: the part of ``shared`` that the rule looks at (GradNorm, IMTL-G: the last shared layer); the
                weights act on all.
            groups: a partition of ``shared``, each part with a Gramian and weights of its own.
            every: steps for which weights are kept before the rule looks again.
            certify_every: steps between certificates of the mini-batch gradients; 0 for none.
            nonfinite: raise an error at a loss or gradient that is not finite, or skip the step and count it in ``skipped``.
            seed: of the numbers that random rules draw.
            across: the processes that train copies of the model, each on its part of every batch. The step is that of one
                process on the joint batch, in all of them.

        Raises:
            InputError: an option is unknown, parameters are missing, or the options exclude each other.
        """
        require_options(
            rule,
            heads=heads,
            engine=engine,
            nonfinite=nonfinite,
            every=every,
            certify_every=certify_every,
            in_part=gramian_of is not None,
            in_groups=groups is not None,
            in_processes=across is not None,
        )
        self.rule, self.heads, self.engine = rule, heads, engine
        self.every, self.certify_every, self.nonfinite, self.seed = every, certify_every, nonfinite, seed
        self.across = across
        self.shared = listed(shared, "shared")
        self.gramian_of = None if gramian_of is None else part_of(listed(gramian_of, "gramian_of"), self.shared, "gramian_of")
        self.groups = None if groups is None else partition([listed(group, "a group") for group in groups], self.shared)
        self.step, self.epoch, self.skipped = 0, 1, 0
        self._tasks = TaskOrder()
        self._looking = Looking(engine, rule, self.shared, gramian_of is not None or groups is not None, across)
        self._state: Any = None
        self._saved: Mapping[str, Tensor] | None = None
        self._kept: Weighing | None = None
        self._columns: Columns | None = None
        self._sums = Accumulation()
        self._unread = Unread()

    @property
    def chosen(self) -> tuple[str, str] | None:
        """The engine last taken, and why; ``None`` before the first look."""
        return self._looking.chosen

    def backward(
        self,
        losses: Losses,
        *,
        features: Tensor | None = None,
        independent: Sequence[Losses] = (),
        independent_counts: Sequence[Counts] = (),
        present: Tensor | None = None,
        counts: Counts | None = None,
        accumulate: bool = False,
        scaler: torch.amp.GradScaler | None = None,
        preference: Tensor | None = None,
        retain_graph: bool = False,
    ) -> StepReport:
        """Write ``.grad`` of the shared parameters and of every other parameter behind the losses; what stood there is
        replaced.

        Args:
            losses: one per task, as a mapping or ``[K]``. ``[..., K]`` trains stacked networks at once: every
                parameter then carries the same leading dimensions. A task that a mapping leaves out is absent in this step.
            features: the shared representation, for ``engine="features"``. Without it that engine looks where the graph is
                seen to divide; exact engines look at the parameters themselves and need no hint.
            independent: the losses of one or two further batches, for rules that multiply gradients of independent
                batches. With one, its gradients meet those of ``losses``; with two, theirs meet each other and
                ``losses`` gives the step.
            independent_counts: as ``counts``, for each of ``independent``; they matter to several processes alone.
            present: ``[..., K]`` bool; an absent task has weight 0 and leaves its state as it was. Kept on the CPU it spares
                absent tasks their backward pass, and their losses may be anything.
            counts: examples behind each loss, one number, ``[..., K]`` or a mapping: weights of micro-batches and of the
                processes' parts, whose losses are means. A task with none is absent; in one of several processes its loss
                must be given all the same, and may be anything.
            accumulate: this is a micro-batch and more follow; ``.grad`` is written by the first call without it. Until
                then K rows are kept. The step is that of one large batch, unless layers mix the examples of a batch.
            scaler: losses go through backward scaled, the rule sees them as they are, and ``.grad`` is left scaled, ready for
                ``scaler.step(optimizer)``. Where scaled gradients overflow, ``.grad`` is infinite, so that the scaler passes
                over the step and lowers its scale, and the rule's state stays as it was.
            preference: ``[..., K]``, for rules that follow one.
            retain_graph: keep the graph for another backward pass.

        Raises:
            InputError: losses do not fit the tasks seen before, have no graph, or lie outside the rule's domain; arguments
                exclude each other, or the engine.
            NonFiniteError: a loss or gradient is not finite, unless ``nonfinite="skip"``; ``.grad`` and state are as
                they were. On an accelerator the step writes zeros instead, and the next call raises, so that the
                device is never waited for.
        """
        self._raise_unread()
        values, present = self._tasks.aligned(losses, present)
        columns, gathering = self._laid_out(values), accumulate or not self._sums.empty
        if gathering and independent:
            raise InputError("Balancer: accumulate= does not go with independent=; pass each batch whole")
        counting = gathering or self.across is not None or counts is not None
        count = self._tasks.counted(counts, present, values) if counting else None
        present = count > 0 if counts is not None and count is not None else present
        scale = None if scaler is None else scaler.scale(torch.ones((), device=values.device))

        batch = Batch(values, present, self._own(values, columns), seed=scale)
        if self.across is not None and count is not None:
            batch, count = joint(batch, count, self.across)
        step = self.step + 1
        due, certifying = self._due(step)
        stepped = gathering or bool(due and self.rule.needs & _GRADIENTS)
        if stepped or certifying:
            keep = retain_graph or not stepped
            look = self._looking.look(batch, gathering=gathering, features=features, retain_graph=keep)
            batch = replace(batch, look=look, stepped=stepped)
        others = []
        if Needs.CROSS in self.rule.needs and due:
            others = [self._looking.rows(other) for other in self._independent(independent, independent_counts)]
        if gathering:
            assert count is not None
            self._sums.add(batch, count)
            if accumulate:
                return untaken(self._tasks.names, batch.losses, columns.per_group(batch.losses.detach()), finite=True)
            batch, self._sums = self._sums.mean(), Accumulation()
        try:
            return self._take(batch, columns, others, scale, preference, retain_graph)
        except NonFiniteError:
            overflow = scale is not None and bool(losses_finite(batch.losses, batch.present))
            if self.nonfinite == "raise" and not overflow:
                raise
            return self._skip(batch, columns, None if scale is None else torch.inf)

    def observe(self, losses: Losses, counts: Counts | None = None) -> None:
        """Show the rule the losses after the step; only rules that declare ``Needs.AFTER`` look at them.

        Args:
            losses: as in ``backward``, of the same batch.
            counts: likewise; they matter to several processes alone.

        Raises:
            NonFiniteError: a loss is not finite, unless ``nonfinite="skip"``; the rule's state is as it was.
        """
        if Needs.AFTER in self.rule.needs and self._state is not None and self._columns is not None:
            values, present = self._tasks.aligned(losses)
            if self.across is not None:
                values = joint(Batch(values, None), self._tasks.counted(counts, present, values), self.across)[0].losses
            if values.device.type == "cpu" and not bool(losses_finite(values, present)):
                if self.nonfinite == "raise":
                    raise NonFiniteError(
                        f"{self.rule.name}: a loss after step {self.step} is not finite; lower the learning rate"
                    )
                return
            self._state = self.rule.observe(self._columns.per_group(values.detach()), self._state)

    def state_dict(self) -> dict[str, Any]:
        """Everything the next step depends on: tensors by path under ``"rule"``, counters and task names.

        Raises:
            InputError: micro-batches wait for their step.
            NonFiniteError: the last step was not finite, and nobody has asked since.
        """
        self._raise_unread()
        if not self._sums.empty:
            raise InputError("Balancer: micro-batches are accumulated and no step was taken with them; save after the step")
        kept = self._kept
        parts = {} if kept is None else {"weights": kept.weights, "slope": kept.slope, "heads": kept.heads}
        return {
            "name": self.rule.name,
            "rule": {path: tensor.clone() for path, tensor in self._flat_state().items()},
            "kept": {name: tensor for name, tensor in parts.items() if tensor is not None},
            "step": self.step,
            "epoch": self.epoch,
            "skipped": self.skipped,
            "tasks": list(self._tasks.names),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where ``state_dict`` was taken; the rule's state is checked against the rule at the next step.

        Raises:
            InputError: an entry is missing, or the state is of another rule.
        """
        missing = {"name", "rule", "kept", "step", "epoch", "skipped", "tasks"} - state.keys()
        if missing:
            raise InputError(
                f"Balancer: saved state lacks {', '.join(sorted(missing))}; it was not written by Balancer.state_dict"
            )
        if state["name"] != self.rule.name:
            raise InputError(
                f"Balancer: the saved state is of rule {state['name']}, and this one's is {self.rule.name}; load it there"
            )
        self.step, self.epoch, self.skipped = state["step"], state["epoch"], state["skipped"]
        self._tasks = TaskOrder(tuple(state["tasks"]))
        self._state, self._saved = None, (state["rule"] if self.step else None)
        kept = state["kept"]
        self._kept = Weighing(kept["weights"], heads=kept.get("heads"), slope=kept.get("slope")) if kept else None
        self._sums, self._unread = Accumulation(), Unread()

    def _due(self, step: int) -> tuple[bool, bool]:
        """Whether the rule is asked at this step, and whether a certificate is."""
        certifying = self.certify_every > 0 and step % self.certify_every == 0
        return (step - 1) % self.every == 0 or self._kept is None, certifying

    def _laid_out(self, values: Tensor) -> Columns:
        if self._columns is None and self.across is not None and not self.across.alike(self._tasks.names):
            raise InputError(
                "Balancer: the processes do not have the same tasks; give every task's loss in each, with a count of 0 where "
                "a process has no example of it"
            )
        if self._columns is None or self._columns.batch != values.shape[:-1]:
            self._columns = Columns(self.shared, values.shape[:-1], self.groups, self.gramian_of)
        if not values.requires_grad:
            raise InputError(
                "Balancer: the losses do not depend on any parameter; compute them without torch.no_grad() "
                "and do not detach them"
            )
        return self._columns

    def _own(self, values: Tensor, columns: Columns) -> list[Tensor]:
        """The parameters that are not shared: those behind the losses; in several processes the model's, in its order."""
        behind = [leaf for leaf in leaves([values]) if id(leaf) not in columns.places]
        if self.across is None:
            return behind
        known = {id(parameter): parameter for parameter in self.across.parameters}
        if any(id(leaf) not in known for leaf in behind):
            raise InputError(
                "Balancer: a parameter behind the losses is unknown to across=, so that other processes could not tell which "
                "it is; pass the whole model to Processes(model)"
            )
        return [parameter for parameter in known.values() if id(parameter) not in columns.places]

    def _independent(self, independent: Sequence[Losses], counts: Sequence[Counts]) -> Iterator[Batch]:
        for place, losses in enumerate(independent):
            values, present = self._tasks.aligned(losses)
            batch = Batch(values, present)
            if self.across is not None:
                given = counts[place] if place < len(counts) else None
                batch, _ = joint(batch, self._tasks.counted(given, present, values), self.across)
            yield batch

    def _take(
        self,
        batch: Batch,
        columns: Columns,
        others: Sequence[Tensor],
        scale: Tensor | None,
        preference: Tensor | None,
        retain_graph: bool,
    ) -> StepReport:
        """Ask the rule, write the gradients, and only then remember the step."""
        step, on_host = self.step + 1, batch.losses.device.type == "cpu"
        due, certifying = self._due(step)
        gradients = seen(batch.look, columns, scale)
        obs = observed(
            self.rule,
            batch.losses,
            gradients,
            columns,
            others=others,
            noise=drawn(self.rule, batch.losses, columns, self.seed, step),
            guess=None if self._kept is None else self._kept.weights,
            preference=preference,
            present=batch.present,
            step=step,
            epoch=self.epoch,
        )
        require_finite(obs, self.rule.name)
        state = self._started(obs)
        weighing, after = ask(self.rule, obs, state) if due or self._kept is None else (self._kept, state)
        heads = on_heads(weighing, self.heads, columns, batch.losses.dtype)
        if batch.look is not None and batch.stepped:
            direction, on_own = combined(batch.look, weighing, columns, heads, scale)
        else:
            direction, on_own = one_pass(batch, weighing, columns, heads, self.across, retain_graph)

        finite = losses_finite(batch.losses, batch.present) & all_finite([direction, *on_own])
        written: list[Tensor | None] = [*columns.split(direction), *on_own]
        if on_host and not bool(finite):
            raise NonFiniteError(
                f"{self.rule.name}: the step is not finite at step {step}; lower the learning rate or look at the losses"
            )
        if not on_host:
            overflow = losses_finite(batch.losses, batch.present) if scale is not None else finite
            self._unread.write(step, finite | overflow)
            written = masked(finite, written, 0.0 if scale is None else torch.inf)
            after, weighing_kept = kept(finite, after, state, weighing, self._kept)
        else:
            weighing_kept = weighing
        for parameter, gradient in zip([*self.shared, *batch.own], written, strict=True):
            parameter.grad = gradient
        self.step, self._state, self._kept = step, after, weighing_kept
        certificate = None
        if certifying and gradients.gramian is not None:
            certificate = certify(gradients.gramian, present=obs.present)
        return reported(
            self._tasks.names, batch.losses, weighing, heads, obs, gradients.gramian, batch.present, certificate, finite
        )

    def _started(self, obs: Observation) -> Any:
        if self._state is not None:
            return self._state
        fresh = self.rule.init(obs)
        return fresh if self._saved is None else unflatten(fresh, self._saved)

    def _flat_state(self) -> Mapping[str, Tensor]:
        """The rule's state by path; what was loaded, where no step has been taken since."""
        return (self._saved or {}) if self._state is None else flatten(self._state)

    def _skip(self, batch: Batch, columns: Columns, instead: float | None) -> StepReport:
        """A step not taken: no gradient, so that the optimiser passes over the parameters, and no change of state."""
        for parameter in (*self.shared, *batch.own):
            parameter.grad = None if instead is None else torch.full_like(parameter, instead)
        self.skipped += 1
        return untaken(self._tasks.names, batch.losses, columns.per_group(batch.losses.detach()), finite=False)

    def _raise_unread(self) -> None:
        """On an accelerator a step is judged after it was queued: here the verdict on the last one is read."""
        step = self._unread.read()
        if step is not None and self.nonfinite == "raise":
            raise NonFiniteError(
                f"{self.rule.name}: a loss or gradient was not finite at step {step}; that step was masked, "
                f"lower the learning rate"
            )
        self.skipped += step is not None
