"""The drop-in: any rule in anyone's training loop, in place of ``loss.backward()``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from moo_mtl.engines import Behind, Choice, Processes
from moo_mtl.errors import InputError, NonFiniteError
from moo_mtl.observation import Needs
from moo_mtl.rules.rule import Rule, tell
from moo_mtl.training.accumulation import Accumulation, Batch
from moo_mtl.training.carried import Carried
from moo_mtl.training.directions import Heads
from moo_mtl.training.joint import joint
from moo_mtl.training.looking import Looking
from moo_mtl.training.notices import Notices
from moo_mtl.training.options import require_options
from moo_mtl.training.parameters import (
    Columns,
    Parameters,
    all_of,
    listed,
    own_parameters,
    part_of,
    partition,
    require_as_before,
    require_reached,
)
from moo_mtl.training.report import StepReport, untaken
from moo_mtl.training.step import Asked, take
from moo_mtl.training.task_order import Counts, Losses, TaskOrder
from moo_mtl.training.verdict import Unread, losses_finite
from moo_mtl.training.writing import skip, write

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
            heads: factor on the gradients of those others: what the rule's paper says (``"paper"``), 1 (``"raw"``), the slope
                of the loss transform (``"loss"``), or the whole weight (``"weighted"``).
            engine: how per-task gradients are computed. ``"auto"`` looks at the graph of the first step; ``chosen`` then says
                what it took, and why. ``"features"`` uses the gradients of the shared features instead (MGDA-UB, a bound).
                ``"products"`` is exact at the first step; later steps start from the last weights, at a cost that does not
                grow with K, and ``report.gap`` says how exact they are. All others are exact.
            gramian_of: the part of ``shared`` that the rule looks at (GradNorm, IMTL-G: the last shared layer); the
                weights act on all.
            groups: a partition of ``shared``; each group has a Gramian and weights of its own.
            every: number of steps for which weights are kept before the rule is asked again.
            certify_every: steps between certificates of the mini-batch gradients; 0 for none.
            nonfinite: what to do at a loss or gradient that is not finite: ``"raise"`` an error, or ``"skip"`` the step and
                count it in ``skipped``.
            seed: of the random numbers that some rules draw.
            across: the processes that train copies of the model, each on its part of every batch. All of them take the step
                that one process would take on the joint batch.

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
        given = all_of(shared, "shared")
        self.shared, self._frozen = listed(given, "shared"), [parameter for parameter in given if not parameter.requires_grad]
        self.gramian_of = None if gramian_of is None else part_of(listed(gramian_of, "gramian_of"), self.shared, "gramian_of")
        self.groups = None if groups is None else partition(groups, self.shared)
        self._carried = Carried()
        self._looking = Looking(engine, rule, self.shared, gramian_of is not None or groups is not None, across)
        self._columns: Columns | None = None
        self._sums = Accumulation()
        self._unread = Unread()
        self._notices = Notices(rule)

    @property
    def chosen(self) -> Choice | None:
        """The engine last taken, and why; ``None`` before the first look."""
        return self._looking.chosen

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return self._carried.step

    @property
    def skipped(self) -> int:
        """Number of steps not taken because a loss or gradient was not finite."""
        return self._carried.skipped

    @property
    def epoch(self) -> int:
        """The one under way, counted from 1; whoever counts epochs sets it, for rules that follow them."""
        return self._carried.epoch

    @epoch.setter
    def epoch(self, number: int) -> None:
        self._carried.epoch, self._notices.counted = number, True

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
        self._notices.of_calls(self.step)
        require_as_before(self.shared, self._frozen)
        if self.step == 0 and self._sums.empty:
            self._carried.tasks = TaskOrder()  # a first step that failed has named nobody
        tasks = self._carried.tasks
        values, present = tasks.aligned(losses, present)
        columns, gathering = self._laid_out(values), accumulate or not self._sums.empty
        if gathering and independent:
            raise InputError("Balancer: accumulate= does not go with independent=; pass each batch whole")
        counting = gathering or self.across is not None or counts is not None
        count = tasks.counted(counts, present, values) if counting else None
        present = count > 0 if counts is not None and count is not None else present
        if scaler is not None and not hasattr(scaler, "scale"):
            raise InputError(f"Balancer: scaler is a {type(scaler).__name__}, expected a torch.amp.GradScaler")
        scale = None if scaler is None else scaler.scale(torch.ones((), device=values.device))

        behind = Behind.of(values)
        if self.step == 0 or present is None:  # later those present may do without the trunk
            require_reached(behind, columns)
        if self.step == 0 and self._sums.empty and self.across is None and not behind.hidden:
            self._notices.of_graph(values, tasks.names, present, columns.places)
        own = own_parameters(behind.leaves, columns, self.across)
        batch = Batch(values, present, own, seed=scale, hidden=behind.hidden)
        if self.across is not None and count is not None:
            batch, count = joint(batch, count, self.across)
        asked = replace(self._asked(), scale=scale, preference=preference, retain_graph=retain_graph)
        stepped = gathering or bool(asked.due and self.rule.needs & _GRADIENTS)
        choice: Choice | None = None
        if stepped or asked.certifying:
            keep = retain_graph or not stepped
            look = self._looking.look(batch, gathering=gathering, features=features, retain_graph=keep)
            batch, choice = replace(batch, look=look, stepped=stepped), self.chosen
        if Needs.CROSS in self.rule.needs and asked.due:
            others = [self._looking.rows(other) for other in self._independent(independent, independent_counts)]
            asked = replace(asked, others=others)
        if gathering:
            assert count is not None
            self._sums.add(batch, count)
            if accumulate:
                return untaken(tasks.names, batch.losses, columns.per_group(batch.losses.detach()), finite=True)
            batch, self._sums = self._sums.mean(), Accumulation()
        try:
            taken = take(self.rule, batch, columns, self._carried, asked, choice, self.across)
        except NonFiniteError as error:
            overflow = scale is not None and bool(losses_finite(batch.losses, batch.present))
            if self.nonfinite == "raise" and not overflow:
                tasks.name_in(error)
                raise
            return skip(self.shared, batch, columns, self._carried, asked)
        except InputError as error:
            tasks.name_in(error)
            raise
        write(self.shared, batch, self._carried, asked, taken, self._unread)
        return taken.report

    def observe(self, losses: Losses, counts: Counts | None = None) -> None:
        """Show the rule the losses after the step; only rules that declare ``Needs.AFTER`` look at them.

        Args:
            losses: as in ``backward``, of the same batch.
            counts: likewise; they matter to several processes alone.

        Raises:
            NonFiniteError: a loss is not finite, unless ``nonfinite="skip"``; the rule's state is as it was.
        """
        carried, self._notices.observed = self._carried, True
        if Needs.AFTER in self.rule.needs and carried.state is not None and self._columns is not None:
            values, present = carried.tasks.aligned(losses)
            if self.across is not None:
                values = joint(Batch(values, None), carried.tasks.counted(counts, present, values), self.across)[0].losses
            if values.device.type == "cpu" and not bool(losses_finite(values, present)):
                if self.nonfinite == "raise":
                    raise NonFiniteError(
                        f"{self.rule.name}: a loss after step {self.step} is not finite; lower the learning rate"
                    )
                return
            carried.state = tell(self.rule, self._columns.per_group(values.detach()), carried.state)

    def state_dict(self) -> dict[str, Any]:
        """Everything the next step depends on: tensors by path under ``"rule"``, counters and task names.

        Raises:
            InputError: micro-batches wait for their step.
            NonFiniteError: the last step was not finite, and nobody has asked since.
        """
        self._raise_unread()
        if not self._sums.empty:
            raise InputError("Balancer: micro-batches are accumulated and no step was taken with them; save after the step")
        return self._carried.saved(self.rule.name)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where ``state_dict`` was taken; the rule's state is checked against the rule at the next step.

        Raises:
            InputError: an entry is missing, or the state is of another rule.
        """
        self._carried = Carried.of(state, self.rule.name)
        self._sums, self._unread = Accumulation(), Unread()
        self._notices.observed = self._notices.counted = True

    def _asked(self) -> Asked:
        """Whether the rule is asked at the next step, and whether a certificate is."""
        number = self.step + 1
        due = (number - 1) % self.every == 0 or self._carried.kept is None
        certifying = self.certify_every > 0 and number % self.certify_every == 0
        return Asked(number, due, certifying, self.heads, self.seed)

    def _laid_out(self, values: Tensor) -> Columns:
        if self._columns is None and self.across is not None and not self.across.alike(self._carried.tasks.names):
            raise InputError(
                "Balancer: the processes do not have the same tasks; give every task's loss in each, with a count of 0 where "
                "a process has no example of it"
            )
        if self._columns is None or self._columns.batch != values.shape[:-1]:
            self._columns = Columns(self.shared, values.shape[:-1], self.groups, self.gramian_of)
        if values.is_complex():
            raise InputError("Balancer: the losses are complex, expected real numbers; take their abs() or their real part")
        if not values.requires_grad:
            raise InputError(
                "Balancer: the losses do not depend on any parameter; compute them without torch.no_grad() "
                "and do not detach them"
            )
        return self._columns

    def _independent(self, independent: Sequence[Losses], counts: Sequence[Counts]) -> Iterator[Batch]:
        for place, losses in enumerate(independent):
            values, present = self._carried.tasks.aligned(losses)
            batch = Batch(values, present)
            if self.across is not None:
                given = counts[place] if place < len(counts) else None
                batch, _ = joint(batch, self._carried.tasks.counted(given, present, values), self.across)
            yield batch

    def _raise_unread(self) -> None:
        """On an accelerator a step is judged after it was queued: here the verdict on the last one is read."""
        step = self._unread.read()
        if step is not None and self.nonfinite == "raise":
            raise NonFiniteError(
                f"{self.rule.name}: a loss or gradient was not finite at step {step}; that step was masked, "
                f"lower the learning rate"
            )
        self._carried.skipped += step is not None
