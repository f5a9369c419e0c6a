"""What a loop around the Balancer may forget without any step failing: told once, as a warning."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from moo_mtl.engines import Behind, roots
from moo_mtl.observation import Needs
from moo_mtl.rules.rule import Rule


class Notices:
    """What one Balancer has told its user, and what it may still have to.

    Args:
        rule: whose needs decide.

    Attributes:
        observed: whether the rule was shown losses after a step.
        counted: whether anybody counts epochs.
    """

    def __init__(self, rule: Rule[Any]) -> None:
        self.rule, self.observed, self.counted = rule, False, False

    def of_calls(self, step: int) -> None:
        """Calls that the rule relies on and that were not made in the ``step`` steps so far."""
        if step == 1 and Needs.AFTER in self.rule.needs and not self.observed:
            _tell(
                f"{self.rule.name} learns from the losses after a step, and was shown none; compute them again after "
                f"optimizer.step() and call balancer.observe(losses), or its weights stay as they are"
            )
        if step == 0 and Needs.EPOCH in self.rule.needs and not self.counted:
            self.counted = True  # the first call may be refused, and come again
            _tell(
                f"{self.rule.name} follows epochs, and nobody counts them: set balancer.epoch = 1, 2, ... as each epoch "
                f"begins, or to the rule the first one never ends"
            )

    def of_graph(self, losses: Tensor, names: Sequence[str], present: Tensor | None, shared: set[int]) -> None:
        """Tasks that do not use the shared parameters, ``shared`` by ``id``: their gradient there is zero."""
        looked = present is not None and present.device.type == "cpu"  # elsewhere looking would stall the device
        here = present.reshape(-1, len(names)).any(dim=0).tolist() if present is not None and looked else None
        starts = zip(names, roots(losses, here), strict=True)
        apart = [
            name
            for name, start in starts
            if start is not None and not any(id(leaf) in shared for leaf in Behind.of(start).leaves)
        ]
        if apart:
            _tell(
                f"the loss of task {apart[0]!r} does not depend on the shared parameters, and to {self.rule.name} its gradient "
                f"is zero; pass as shared what all tasks use"
            )


def _tell(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=4)  # the line that called Balancer.backward
