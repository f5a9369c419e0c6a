"""Which engine a step takes, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from moo_mtl.engines.convolution import narrow_convolutions
from moo_mtl.engines.dense import dense_layers, multiplications, saved
from moo_mtl.engines.features import features
from moo_mtl.engines.graph import Behind, anatomy, operations
from moo_mtl.engines.layered import layered
from moo_mtl.engines.look import Engine
from moo_mtl.engines.looped import looped
from moo_mtl.engines.products import products
from moo_mtl.engines.vmapped import vmapped
from moo_mtl.errors import InputError
from moo_mtl.observation import Needs


class Choice(NamedTuple):
    """An engine, and why it was taken.

    Attributes:
        name: a key of ``ENGINES``.
        why: in words.
    """

    name: str
    why: str


ENGINES: dict[str, Engine] = {
    "looped": looped,
    "vmapped": vmapped,
    "gramian": layered,
    "features": features,
    "products": products,
}
_WITH_ROWS = ("looped", "vmapped")


def choose(name: str, losses: Tensor, shared: Sequence[Tensor], rule: str, needs: Needs, rows_for: str | None) -> Choice:
    """The engine that looks, and why.

    Args:
        name: what the user asks for; ``"auto"`` looks at the graph.
        losses: of this step, ``[..., K]``.
        shared: the parameters.
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
        if name != "looped" and Behind.of(losses).hidden:
            raise InputError(
                f"engine {name!r} reads the graph, and a re-entrant checkpoint hides its parameters from it; "
                f"use 'looped' or 'auto', or checkpoint with use_reentrant=False"
            )
        if name != "looped" and _sparse(losses, shared):
            raise InputError(f"engine {name!r} cannot take sparse gradients of an embedding apart; use 'looped' or 'auto'")
        if name == "products" and needs & (Needs.GRAMIAN | Needs.ROWS | Needs.CROSS):
            raise InputError(
                f"engine 'products' never forms the Gramian that rule {rule} needs; use 'auto', or a rule of min-norm, "
                f"DualProj or CAGrad without a scale slot"
            )
        return Choice(name, "as asked")
    if stacked:
        return Choice("looped", "stacked networks are batched already")
    return _by_graph(losses, shared, what)


def _by_graph(losses: Tensor, shared: Sequence[Tensor], rows_for: str | None) -> Choice:
    if Behind.of(losses).hidden:
        return Choice("looped", "a re-entrant checkpoint hides its parameters from the graph")
    if _sparse(losses, shared):
        return Choice("looped", "an embedding of the trunk has sparse gradients, which are written out one task at a time")
    body = anatomy(losses)
    kinds = [node.name() for node in body.nodes]
    if any("SyncBatchNorm" in kind for kind in kinds):
        return Choice("looped", "batch normalisation over several processes takes one task's pass at a time")
    if any("Checkpoint" in kind or "Compiled" in kind for kind in kinds):
        return Choice("looped", "the trunk holds operations that cannot be taken apart")
    n_tasks, size = losses.shape[-1], sum(parameter.numel() for parameter in shared)
    if any("Convolution" in kind for kind in kinds):
        narrow = [] if rows_for else narrow_convolutions(body, shared, n_tasks)
        if narrow:
            channels = " and ".join(f"{layer.weight.shape[1]} to {layer.weight.shape[0]}" for layer in narrow[:2])
            return Choice("gramian", f"weight gradients of convolutions of few channels ({channels}) cost less all at once")
        return Choice("looped", "the trunk convolves, and a wide convolution's weight gradients cost the same in every engine")
    layers = [] if rows_for else dense_layers(body, shared, n_tasks)
    dense = sum(parameter.numel() for layer in layers for parameter in layer.parameters)
    if dense > size / 2 and sum(saved(layer, n_tasks) for layer in layers) > _DIVIDING:
        return Choice(
            "gramian", f"{dense / size:.0%} of the trunk is in dense layers whose Gramian is cheaper than their gradients"
        )
    if n_tasks >= _MANY and 0 < multiplications(body) <= _SMALL:
        return Choice("vmapped", f"operations of the trunk are so small that {n_tasks} calls of each cost more than arithmetic")
    if rows_for is not None:
        return Choice("looped", f"{rows_for} rows, and one pass after the other writes them with the least memory")
    return Choice("looped", "for so many tasks, and a batch of this size, gradients are the cheapest way to the Gramian")


def _sparse(losses: Tensor, shared: Sequence[Tensor]) -> bool:
    """Whether an embedding among ``shared`` was made with ``sparse=True``."""
    ours = {id(parameter) for parameter in shared}
    sparse = (node for node in operations([losses]) if getattr(node, "_saved_sparse", False))
    return any(id(getattr(below, "variable", None)) in ours for node in sparse for below, _ in node.next_functions)


# Measured on one core: two dense layers of width 16 to 256, a transformer block and a graph network, K from 2 to 20, batches of
# 4 to 256.
_DIVIDING = 25_000_000  # multiplications that take as long as it takes to divide the graph
_MANY = 5  # tasks from which on one batched pass is faster than small passes
_SMALL = 200_000  # multiplications of an operation below which its call costs more
