"""What a Balancer carries from one step to the next, and how it is saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.observation import Observation
from moo_mtl.rules.rule import Rule, Weighing, started
from moo_mtl.state import flatten, unflatten
from moo_mtl.training.task_order import TaskOrder


@dataclass
class Carried:
    """Everything the next step depends on, apart from parameters and losses.

    Attributes:
        tasks: their names and order.
        step: number of steps taken.
        epoch: the one under way, counted from 1.
        skipped: number of steps not taken because something was not finite.
        kept: what the rule said last, for steps at which it is not asked and as a start for iterative solvers.
        state: of the rule; ``None`` before the first step, and after loading until the rule's structure is known.
        loaded: that state by path, as it was saved.
    """

    tasks: TaskOrder = field(default_factory=TaskOrder)
    step: int = 0
    epoch: int = 1
    skipped: int = 0
    kept: Weighing | None = None
    state: Any = None
    loaded: Mapping[str, Tensor] | None = None

    def started(self, rule: Rule[Any], obs: Observation) -> Any:
        """The state that ``rule`` goes on from.

        Raises:
            InputError: what was loaded is no state of this rule on these tasks and this network, or the rule gives none.
        """
        if self.state is not None:
            return self.state
        fresh = started(rule, obs)
        return fresh if self.loaded is None else unflatten(fresh, self.loaded)

    def saved(self, rule: str) -> dict[str, Any]:
        """Tensors by path under ``"rule"``, the weights last given, counters and names, in plain types."""
        kept = self.kept
        parts = {} if kept is None else {"weights": kept.weights, "slope": kept.slope, "heads": kept.heads}
        flat = (self.loaded or {}) if self.state is None else flatten(self.state)
        return {
            "name": rule,
            "rule": {path: tensor.clone() for path, tensor in flat.items()},
            "kept": {name: tensor for name, tensor in parts.items() if tensor is not None},
            "step": self.step,
            "epoch": self.epoch,
            "skipped": self.skipped,
            "tasks": list(self.tasks.names),
        }

    @classmethod
    def of(cls, saved: Mapping[str, Any], rule: str) -> Carried:
        """What ``saved`` wrote.

        Raises:
            InputError: an entry is missing, or the state is of another rule.
        """
        if not isinstance(saved, Mapping):
            raise InputError(f"Balancer: found a {type(saved).__name__}, expected what Balancer.state_dict gave")
        missing = {"name", "rule", "kept", "step", "epoch", "skipped", "tasks"} - saved.keys()
        if missing:
            raise InputError(
                f"Balancer: saved state lacks {', '.join(sorted(missing))}; it was not written by Balancer.state_dict"
            )
        if saved["name"] != rule:
            raise InputError(f"Balancer: the saved state is of rule {saved['name']}, and this one's is {rule}; load it there")
        kept, step = saved["kept"], saved["step"]
        return cls(
            TaskOrder(tuple(saved["tasks"])),
            step,
            saved["epoch"],
            saved["skipped"],
            kept=Weighing(kept["weights"], heads=kept.get("heads"), slope=kept.get("slope")) if kept else None,
            loaded=saved["rule"] if step else None,
        )
