"""Which engine a step takes, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from moo_mtl.engines.graph import anatomy
from moo_mtl.engines.look import Look
from moo_mtl.engines.looped import looped
from moo_mtl.engines.products import products
from moo_mtl.engines.split import features, layered, vmapped
from moo_mtl.errors import InputError
from moo_mtl.observation import Needs


class Engine(Protocol):
    """From losses to a look at their gradients."""

    def __call__(
        self,
        losses: Tensor,
        shared: Sequence[Tensor],
        own: Sequence[Tensor] = (),
        retain_graph: bool = False,
        here: Sequence[bool] | None = None,
        seed: Tensor | None = None,
    ) -> Look: ...


ENGINES: dict[str, Engine] = {
    "looped": looped,
    "vmapped": vmapped,
    "gramian": layered,
    "features": features,
    "products": products,
}
_WITH_ROWS = ("looped", "vmapped")


def choose(name: str, losses: Tensor, rule: str, needs: Needs, rows_for: str | None) -> tuple[str, str]:
    """The engine's name and the reason, in words.

    Args:
        name: what the user asks for; ``"auto"`` looks at the graph.
        losses: of this step, ``[..., K]``.
        rule: its name, for messages.
        needs: of the rule.
        rows_for: options for which only rows will do, with their verb; ``None`` where there are none.

    Raises:
        InputError: the engine asked for cannot serve this rule, these options or these losses.
    """
    what = rows_for or (f"rule {rule} needs" if needs & (Needs.ROWS | Needs.CROSS) else None)
    stacked = losses.dim() > 1
    if name != "auto":
        if stacked and name != "looped":
            raise InputError(
                f"engine {name!r} takes one network, and these losses are of {losses.shape[:-1].numel()} "
                f"stacked ones; use 'looped'"
            )
        if what is not None and name not in _WITH_ROWS:
            raise InputError(f"engine {name!r} never holds the rows that {what}; use 'looped', 'vmapped' or 'auto'")
        if name == "products" and needs & (Needs.GRAMIAN | Needs.ROWS | Needs.CROSS):
            raise InputError(
                f"engine 'products' never forms the Gramian that rule {rule} needs; it serves min-norm without a scale slot"
            )
        return name, "as asked"
    if stacked:
        return "looped", "stacked networks are batched already"
    operations = [node.name() for node in anatomy(losses).nodes]
    if any("Convolution" in operation for operation in operations):
        return "looped", "the trunk convolves, and a convolution's weight gradients cost the same in every engine"
    if any("Checkpoint" in operation or "Compiled" in operation for operation in operations):
        return "looped", "the trunk holds operations that cannot be taken apart"
    if what is not None:
        return "vmapped", f"{what} rows, and the trunk is dense"
    return "gramian", "the trunk is dense, and the rule looks at the Gramian alone"
