"""One step: what the gradients are, what the rule says of them, what is to be written. Nothing is changed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from moo_mtl.certificate import certify
from moo_mtl.engines import Choice, Processes
from moo_mtl.errors import NonFiniteError
from moo_mtl.observation import require_finite
from moo_mtl.rules.rule import Rule, Weighing, ask
from moo_mtl.state import flatten
from moo_mtl.training.accumulation import Batch
from moo_mtl.training.carried import Carried
from moo_mtl.training.directions import Heads, combined, on_heads, one_pass
from moo_mtl.training.observing import drawn, observed, seen
from moo_mtl.training.parameters import Columns
from moo_mtl.training.report import StepReport
from moo_mtl.training.verdict import all_finite, losses_finite


@dataclass(frozen=True)
class Asked:
    """What is asked of one step.

    Attributes:
        number: of the step, counted from 1.
        due: whether the rule is asked, or its last answer kept.
        certifying: whether a certificate is wanted.
        heads: the option of that name.
        seed: of a random rule's numbers.
        others: rows of independent batches.
        scale: of a gradient scaler, on the losses; what is written carries it.
        preference: ``[..., K]``.
        retain_graph: keep the graph for another backward pass.
    """

    number: int
    due: bool
    certifying: bool
    heads: Heads
    seed: int = 0
    others: Sequence[Tensor] = ()
    scale: Tensor | None = None
    preference: Tensor | None = None
    retain_graph: bool = False


@dataclass(frozen=True)
class Taken:
    """A step that is ready to be written and remembered.

    Attributes:
        gradients: for each shared parameter, and then for each of the batch's own ones.
        before: the rule's state before the step.
        state: that after it.
        weighing: what the rule said, or what was kept.
        finite: whether every loss and gradient is, ``[]`` bool.
        report: for the caller.
    """

    gradients: Sequence[Tensor | None]
    before: Any
    state: Any
    weighing: Weighing
    finite: Tensor
    report: StepReport


def take(
    rule: Rule[Any],
    batch: Batch,
    columns: Columns,
    carried: Carried,
    asked: Asked,
    choice: Choice | None = None,
    across: Processes | None = None,
) -> Taken:
    """Ask ``rule``, or keep what it said, and form the gradients.

    Args:
        rule: who weighs.
        batch: losses, and a look at their gradients where one is needed.
        columns: the layout of the shared parameters.
        carried: from the steps before; it is not changed.
        asked: what this step is to be.
        choice: the engine that looked, for the report.
        across: the processes that take the step together.

    Raises:
        InputError: the rule lacks something that it needs, or gives another shape than it should.
        NonFiniteError: a loss or gradient is not finite, where looking is free (on a CPU).
    """
    gradients = seen(batch.look, columns, asked.scale)
    obs = observed(
        rule,
        batch.losses,
        gradients,
        columns,
        others=asked.others,
        noise=drawn(rule, batch.losses, columns, asked.seed, asked.number),
        guess=None if carried.kept is None else carried.kept.weights,
        preference=asked.preference,
        present=batch.present,
        step=asked.number,
        epoch=carried.epoch,
    )
    require_finite(obs, rule.name)
    before = carried.started(rule, obs)
    weighing, after = ask(rule, obs, before) if asked.due or carried.kept is None else (carried.kept, before)
    heads = on_heads(weighing, asked.heads, columns, batch.losses.dtype)
    if batch.look is not None and batch.stepped:
        direction, on_own = combined(batch.look, weighing, columns, heads, asked.scale)
    else:
        direction, on_own = one_pass(batch, weighing, columns, heads, across, asked.retain_graph)

    remembered = flatten(after).values() if asked.due else ()
    small = [leaf for leaf in remembered if leaf.shape[-1:] != direction.shape[-1:]]  # rows show in the direction
    finite = all_finite([direction, *on_own, *small])
    if finite.device.type != "cpu":  # there nobody has looked at the losses
        finite = finite & losses_finite(batch.losses, batch.present)
    elif not bool(finite):
        raise NonFiniteError(
            f"{rule.name}: the step, or what the rule would remember of it, is not finite at step {asked.number}; "
            f"lower the learning rate or look at the losses"
        )
    certificate = None
    if asked.certifying and gradients.gramian is not None:
        certificate = certify(gradients.gramian, present=obs.present)
    report = StepReport(
        carried.tasks.names,
        batch.losses.detach(),
        weighing.weights,
        heads,
        finite,
        gradients.gramian,
        obs.present,
        weighing.gap,
        weighing.converged,
        certificate,
        choice,
    )
    return Taken([*columns.split(direction), *on_own], before, after, weighing, finite, report)
