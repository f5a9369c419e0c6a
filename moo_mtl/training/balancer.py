"""The drop-in: any rule in anyone's training loop, in place of ``loss.backward()``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from moo_mtl.certificate import certify
from moo_mtl.engines import ENGINES, Look, choose, leaves, looped
from moo_mtl.errors import InputError, NonFiniteError
from moo_mtl.gramian import cross_gramian, gramian
from moo_mtl.observation import Needs, Observation, require_finite
from moo_mtl.randomness import uniforms
from moo_mtl.rules.rule import Rule, Weighing
from moo_mtl.state import flatten, keep_where, unflatten
from moo_mtl.training.directions import combined, one_pass
from moo_mtl.training.parameters import Columns, Parameters, listed, part_of, partition
from moo_mtl.training.report import StepReport, reported
from moo_mtl.training.task_order import Losses, TaskOrder

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
        heads: Literal["paper", "raw", "loss", "weighted"] = "paper",
        engine: Literal["auto", "looped", "vmapped", "gramian", "features", "products"] = "auto",
        gramian_of: Parameters | None = None,
        groups: Sequence[Parameters] | None = None,
        every: int = 1,
        certify_every: int = 0,
        nonfinite: Literal["raise", "skip"] = "raise",
        seed: int = 0,
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

        Raises:
            InputError: an option is unknown, parameters are missing, or the options exclude each other.
        """
        for name, value, known in (
            ("heads", heads, ("paper", "raw", "loss", "weighted")),
            ("engine", engine, ("auto", *ENGINES)),
            ("nonfinite", nonfinite, ("raise", "skip")),
        ):
            if value not in known:
                raise InputError(f"Balancer: {name} {value!r} is unknown; expected one of {', '.join(known)}")
        if every < 1 or certify_every < 0:
            raise InputError(
                f"Balancer: every must be at least 1 and certify_every at least 0, found {every} and {certify_every}"
            )
        self.rule, self.heads, self.engine = rule, heads, engine
        self.every, self.certify_every, self.nonfinite, self.seed = every, certify_every, nonfinite, seed
        self.shared = listed(shared, "shared")
        self.gramian_of = None if gramian_of is None else part_of(listed(gramian_of, "gramian_of"), self.shared, "gramian_of")
        self.groups = None if groups is None else partition([listed(group, "a group") for group in groups], self.shared)
        if self.gramian_of is not None and (self.groups is not None or Needs.ROWS in rule.needs):
            raise InputError("Balancer: gramian_of does not go with groups=, nor with a rule that looks at rows; leave it out")
        if engine == "features" and certify_every:
            raise InputError(
                "Balancer: the Gramian of features certifies nothing about the shared parameters; use another engine"
            )
        if every > 1 and Needs.ROWS in rule.needs:
            raise InputError(
                f"Balancer: {rule.name} gives a direction, not weights that could be kept for {every} steps; use every=1"
            )
        self.step, self.epoch, self.skipped = 0, 1, 0
        self.chosen: tuple[str, str] | None = None
        self._tasks = TaskOrder()
        self._state: Any = None
        self._saved: Mapping[str, Tensor] | None = None
        self._kept: Weighing | None = None
        self._columns: Columns | None = None
        self._unread: tuple[int, Tensor] | None = None

    def backward(
        self,
        losses: Losses,
        *,
        independent: Sequence[Losses] = (),
        present: Tensor | None = None,
        preference: Tensor | None = None,
        retain_graph: bool = False,
    ) -> StepReport:
        """Write ``.grad`` of the shared parameters and of every other parameter behind the losses; what stood there is
        replaced.

        Args:
            losses: one per task, as a mapping or ``[K]``. ``[..., K]`` trains stacked networks at once: every
                parameter then carries the same leading dimensions. A task that a mapping leaves out is absent in this step.
            independent: the losses of one or two further batches, for rules that multiply gradients of independent
                batches. With one, its gradients meet those of ``losses``; with two, theirs meet each other and
                ``losses`` gives the step.
            present: ``[..., K]`` bool; an absent task has weight 0 and leaves its state as it was.
            preference: ``[..., K]``, for rules that follow one.
            retain_graph: keep the graph for another backward pass.

        Raises:
            InputError: losses do not fit the tasks seen before, have no graph, or lie outside the rule's domain.
            NonFiniteError: a loss or gradient is not finite, unless ``nonfinite="skip"``; ``.grad`` and state are as
                they were. On an accelerator the step writes zeros instead, and the next call raises, so that the
                device is never waited for.
        """
        self._raise_unread()
        values, mask = self._tasks.aligned(losses, present)
        step, due = self.step + 1, self.step % self.every == 0 or self._kept is None
        columns = self._laid_out(values)
        own = [leaf for leaf in leaves([values]) if not any(leaf is parameter for parameter in self.shared)]

        certifying = self.certify_every > 0 and step % self.certify_every == 0
        looking = (due and bool(self.rule.needs & _GRADIENTS)) or certifying
        found = self._look(values, own, retain_graph) if looking else None
        obs, raw = self._observation(values, found, columns, independent, mask, preference, step)
        try:
            if self.nonfinite == "skip" or values.device.type == "cpu":
                require_finite(obs, self.rule.name)
            state = self._started(obs)
            weighing, after = self.rule.weigh(obs, state) if due else (self._kept, state)
        except NonFiniteError:
            if self.nonfinite == "raise":
                raise
            return self._skip(values, own)
        assert weighing is not None

        on_heads = self._heads(weighing, values)
        if found is not None:
            direction, on_own = combined(found, weighing, columns, on_heads, own)
        else:
            direction, on_own = one_pass(values, weighing, columns, on_heads, own, retain_graph)
        finite = _all_finite(direction)
        if mask is None:
            finite = finite & values.detach().isfinite().all()
        if values.device.type == "cpu" and not bool(finite):
            if self.nonfinite == "skip":
                return self._skip(values, own)
            raise NonFiniteError(
                f"{self.rule.name}: the step is not finite at step {step}; lower the learning rate or look at the losses"
            )
        if values.device.type != "cpu":
            self._unread = (step, finite)
            after = keep_where(finite, after, state) if not values.shape[:-1] else after
            direction = torch.where(finite, direction, 0.0)
            on_own = [None if gradient is None else torch.where(finite, gradient, 0.0) for gradient in on_own]

        for parameter, gradient in zip(self.shared, columns.split(direction), strict=True):
            parameter.grad = gradient
        for parameter, on_parameter in zip(own, on_own, strict=True):
            parameter.grad = on_parameter
        self.step, self._state, self._kept = step, after, weighing
        certificate = certify(raw) if certifying and raw is not None else None
        return reported(self._tasks.names, values, weighing, on_heads, obs, raw, mask, certificate, finite)

    def observe(self, losses: Losses) -> None:
        """Show the rule the losses after the step; only rules that declare ``Needs.AFTER`` look at them."""
        if Needs.AFTER in self.rule.needs and self._state is not None:
            values, _ = self._tasks.aligned(losses)
            self._state = self.rule.observe(self._per_group(values.detach()), self._state)

    def state_dict(self) -> dict[str, Any]:
        """Everything the next step depends on: tensors by path under ``"rule"``, counters and task names."""
        self._raise_unread()
        kept = self._kept
        parts = {} if kept is None else {"weights": kept.weights, "slope": kept.slope, "heads": kept.heads}
        return {
            "rule": {path: tensor.clone() for path, tensor in self._flat_state().items()},
            "kept": {name: tensor for name, tensor in parts.items() if tensor is not None},
            "step": self.step,
            "epoch": self.epoch,
            "skipped": self.skipped,
            "tasks": list(self._tasks.names),
        }

    def _flat_state(self) -> Mapping[str, Tensor]:
        """The rule's state by path; what was loaded, where no step has been taken since."""
        return (self._saved or {}) if self._state is None else flatten(self._state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where ``state_dict`` was taken; the rule's state is checked against the rule at the next step.

        Raises:
            InputError: an entry is missing.
        """
        missing = {"rule", "kept", "step", "epoch", "skipped", "tasks"} - state.keys()
        if missing:
            raise InputError(
                f"Balancer: saved state lacks {', '.join(sorted(missing))}; it was not written by Balancer.state_dict"
            )
        self.step, self.epoch, self.skipped = state["step"], state["epoch"], state["skipped"]
        self._tasks = TaskOrder(tuple(state["tasks"]))
        self._state, self._saved = None, (state["rule"] if self.step else None)
        kept = state["kept"]
        self._kept = Weighing(kept["weights"], heads=kept.get("heads"), slope=kept.get("slope")) if kept else None
        self._unread = None

    def _laid_out(self, values: Tensor) -> Columns:
        batch = values.shape[:-1]
        if not values.requires_grad:
            raise InputError(
                "Balancer: the losses do not depend on any parameter; compute them without torch.no_grad() "
                "and do not detach them"
            )
        if self._columns is None or self._columns.batch != batch:
            for parameter in self.shared:
                if parameter.shape[: len(batch)] != batch:
                    raise InputError(
                        f"Balancer: losses of shape {tuple(values.shape)} train {tuple(batch)} stacked networks, but a "
                        f"shared parameter has "
                        f"shape {tuple(parameter.shape)}; reduce the losses to one per task, or stack the parameters alike"
                    )
            self._columns = Columns(self.shared, batch, self.groups, self.gramian_of)
        return self._columns

    def _look(self, values: Tensor, own: Sequence[Tensor], retain_graph: bool) -> Look:
        if self.chosen is None:
            by_column = self.groups is not None or self.gramian_of is not None
            self.chosen = choose(self.engine, values, self.rule.name, self.rule.needs, by_column)
        return ENGINES[self.chosen[0]](values, self.shared, own, retain_graph)

    def _observation(
        self,
        values: Tensor,
        found: Look | None,
        columns: Columns,
        independent: Sequence[Losses],
        present: Tensor | None,
        preference: Tensor | None,
        step: int,
    ) -> tuple[Observation, Tensor | None]:
        """What the rule sees, and the raw Gramian where gradients were found."""
        needs, losses = self.rule.needs, self._per_group(values.detach())
        seen = None if found is None or found.rows is None else columns.view(found.rows)
        raw = gramian(seen) if seen is not None else found.gramian if found is not None else None
        noise = None
        if Needs.NOISE in needs:
            count = self.rule.draws(losses.shape[-1], sum(columns.widths))
            members = torch.arange(losses.shape[:-1].numel(), device=losses.device).reshape(losses.shape[:-1])
            noise = uniforms(2 * self.seed, members, step, count)
        if Needs.PREFERENCE in needs and preference is None:
            raise InputError(
                f"Balancer: rule {self.rule.name} follows a preference and none is given; pass preference=, one number per task"
            )
        obs = Observation(
            losses,
            gramian=raw if needs & (Needs.GRAMIAN | Needs.PRODUCTS) else None,
            product=_product(raw, found) if Needs.PRODUCTS in needs else None,
            cross=self._cross(seen, columns, independent) if Needs.CROSS in needs and seen is not None else None,
            rows=seen if Needs.ROWS in needs else None,
            noise=noise,
            guess=None if self._kept is None else self._kept.weights,
            preference=None if preference is None else self._per_group(preference.to(losses)).expand(losses.shape),
            present=None if present is None else self._per_group(present).expand(losses.shape),
            step=step,
            epoch=self.epoch,
        )
        return obs, raw

    def _cross(self, seen: Tensor, columns: Columns, independent: Sequence[Losses]) -> Tensor:
        if len(independent) not in (1, 2):
            raise InputError(
                f"Balancer: rule {self.rule.name} multiplies gradients of independent batches; pass the losses of one or "
                f"two further "
                f"batches as independent=, found {len(independent)}"
            )
        others = [columns.view(_rows(self._tasks.aligned(batch)[0], self.shared)) for batch in independent]
        left, right = (seen, others[0]) if len(others) == 1 else others
        return cross_gramian(left, right)

    def _per_group(self, tensor: Tensor) -> Tensor:
        """``[..., K]``, repeated for each group, ``[..., P, K]``, where there are groups."""
        if self.groups is None:
            return tensor
        return tensor.unsqueeze(-2).expand(*tensor.shape[:-1], len(self.groups), tensor.shape[-1])

    def _started(self, obs: Observation) -> Any:
        if self._state is not None:
            return self._state
        fresh = self.rule.init(obs)
        return fresh if self._saved is None else unflatten(fresh, self._saved)

    def _heads(self, weighing: Weighing, values: Tensor) -> Tensor:
        """Factors on the tasks' own parameters, ``[..., K]``; a task's groups count alike."""
        ones = torch.ones_like(weighing.weights)
        slope = ones if weighing.slope is None else weighing.slope
        paper = weighing.weights if weighing.heads is None else weighing.heads
        factors = {"paper": paper, "raw": ones, "loss": slope, "weighted": weighing.weights}[self.heads]
        return (factors if self.groups is None else factors.mean(dim=-2)).to(values.dtype)

    def _skip(self, values: Tensor, own: Sequence[Tensor]) -> StepReport:
        """A step not taken: no gradient, so that the optimiser passes over the parameters, and no change of state."""
        for parameter in (*self.shared, *own):
            parameter.grad = None
        self.skipped += 1
        zero = torch.zeros_like(values.detach())
        no = torch.tensor(False, device=values.device)
        return StepReport(
            self._tasks.names, values.detach(), self._per_group(zero), zero, None, None, None, None, None, None, no
        )

    def _raise_unread(self) -> None:
        """On an accelerator a step is judged after it was queued: here the verdict on the last one is read."""
        if self._unread is None:
            return
        (step, finite), self._unread = self._unread, None
        if bool(finite):
            return
        if self.nonfinite == "skip":
            self.skipped += 1
            return
        raise NonFiniteError(
            f"{self.rule.name}: a loss or gradient was not finite at step {step}; that step was masked, lower the learning rate"
        )


def _product(matrix: Tensor | None, found: Look | None) -> Callable[[Tensor], Tensor] | None:
    if matrix is None:
        return None if found is None else found.product
    return lambda w: (matrix @ w[..., None]).squeeze(-1)


def _all_finite(tensor: Tensor) -> Tensor:
    """Whether every entry is, ``[]`` bool. A finite sum settles it at a third of the cost, where branching is free."""
    if tensor.device.type == "cpu" and bool(tensor.sum().isfinite()):
        return torch.tensor(True)
    return tensor.isfinite().all()


def _rows(losses: Tensor, shared: Sequence[Tensor]) -> Tensor:
    rows = looped(losses, shared).rows
    assert rows is not None
    return rows
