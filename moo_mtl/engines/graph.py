"""The autograd graph behind K losses, read without running it: where the tasks are separate, and where they are one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor
from torch.autograd.graph import GradientEdge

Root = Tensor | GradientEdge
Node = Any  # torch.autograd.graph.Node, whose attributes depend on the operation


def roots(losses: Tensor, here: Sequence[bool] | None = None) -> list[Root | None]:
    """For each task where a backward pass of its loss alone begins; ``None`` for a loss that depends on nothing, and for
    a task that is not ``here``.

    A pass that began at an entry of a stacked tensor would send zeros through the heads of all other tasks: K times
    the work, and NaN where another task's gradient is infinite. So where ``losses`` is a stack, the passes begin below it.
    """
    stack, last = losses.grad_fn, losses.dim() - 1
    starts: list[Root | None]
    if stack is None or stack.name() != "StackBackward0" or stack._saved_dim not in (last, 2**64 - 1):  # type: ignore[attr-defined]
        starts = list(losses.unbind(dim=-1))
    else:
        starts = [None if below is None else GradientEdge(below, number) for below, number in stack.next_functions]
    return starts if here is None else [start if present else None for start, present in zip(starts, here, strict=True)]


def operations(outputs: Iterable[Root]) -> Iterator[Node]:
    """Every operation behind ``outputs``, each once, in a fixed order; leaves are those with a ``variable``."""
    nodes = (output.node if isinstance(output, GradientEdge) else output.grad_fn for output in outputs)
    waiting = [node for node in nodes if node is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        yield node
        for below, _ in node.next_functions:
            if below is not None and below not in seen:
                seen.add(below)
                waiting.append(below)


class Behind(NamedTuple):
    """What stands behind losses, read in one walk, for a step that has both questions.

    Attributes:
        leaves: the tensors whose ``.grad`` a backward pass would fill, each once, in a fixed order.
        hidden: whether a re-entrant checkpoint keeps others from being seen; their gradients then appear in ``.grad`` alone.
    """

    leaves: Sequence[Tensor]
    hidden: bool

    @classmethod
    def of(cls, losses: Root) -> Behind:
        """What is behind ``losses``, or behind the loss of one task."""
        found, hidden = {}, False
        for node in operations([losses]):
            leaf = getattr(node, "variable", None)
            if leaf is not None:
                found[id(leaf)] = leaf
            elif node.name() == "CheckpointFunctionBackward":
                hidden = True
        return cls(list(found.values()), hidden)


@dataclass(frozen=True)
class Anatomy:
    """K graphs and the part they have in common.

    Attributes:
        roots: where the pass of each task begins; ``None`` for a loss that depends on nothing.
        cuts: the edges that lead from a task's own part into the common part.
        reach: for each task, which of ``cuts`` its own part leads to.
        own: for each task, the leaves that its own part leads to (they may be reached through the common part as well).
        common: the leaves that the common part leads to.
        nodes: the operations of the common part.
        uses: how many operations use each leaf, by ``id``.
    """

    roots: Sequence[Root | None]
    cuts: Sequence[GradientEdge]
    reach: Sequence[Sequence[int]]
    own: Sequence[Sequence[Tensor]]
    common: Sequence[Tensor]
    nodes: Sequence[Node]
    uses: Counter[int]


def anatomy(losses: Tensor, here: Sequence[bool] | None = None) -> Anatomy:
    """Colour the graph behind ``losses`` ``[K]``: an operation that two tasks reach is common, and so is all below it.

    A pass through a task's own part must end where the common part begins, and autograd ends it at an edge only with all that
    reaches the edge by any path. So no cut may lie below another: where one does (a head that also reads an early layer), the
    operations between them are left to the tasks' own passes, and the common part begins at the lower cut. Likewise no leaf may
    lie in both parts (a head that is tied to a layer of the trunk): a pass that is asked for its gradient would run on through
    the cut. A task that is not ``here`` has no graph at all.
    """
    starts = roots(losses, here)
    owner: dict[Node, int | None] = {}
    for task, start in enumerate(starts):
        _colour(_edge(start)[0], task, owner)
    base = _separate({node for node, task in owner.items() if task is None}, owner, starts)

    cuts: dict[tuple[Node, int], int] = {}
    reach: list[list[int]] = []
    own: list[list[Tensor]] = []
    uses: Counter[int] = Counter()
    for start in starts:
        reached: dict[int, None] = {}
        private: dict[int, Tensor] = {}
        waiting, seen = [_edge(start)], set()
        while waiting:
            node, number = waiting.pop()
            if node is None:
                continue
            leaf = getattr(node, "variable", None)
            if leaf is not None:
                private[id(leaf)] = leaf
                uses[id(leaf)] += 1
            elif node in base:
                reached[cuts.setdefault((node, number), len(cuts))] = None
            elif node not in seen:
                seen.add(node)
                waiting.extend(node.next_functions)
        reach.append(list(reached))
        own.append(list(private.values()))

    common: dict[int, Tensor] = {}
    shared = [node for node in owner if node in base]
    for node in shared:
        for below, _ in node.next_functions:
            leaf = getattr(below, "variable", None)
            if leaf is not None:
                common[id(leaf)] = leaf
                uses[id(leaf)] += 1
    edges = [GradientEdge(node, number) for node, number in cuts]
    return Anatomy(starts, edges, reach, own, list(common.values()), shared, uses)


def _edge(root: Root | None) -> tuple[Node, int]:
    if root is None:
        return None, 0
    return (root.node, root.output_nr) if isinstance(root, GradientEdge) else (root.grad_fn, root.output_nr)


def _colour(start: Node, task: int, owner: dict[Node, int | None]) -> None:
    """Give ``task`` every operation below ``start`` that nobody has; what somebody has becomes common, with all below it.

    Leaves have no colour: what matters is through which part they are reached.
    """
    waiting = [(start, False)]
    while waiting:
        node, common = waiting.pop()
        if node is None or hasattr(node, "variable"):
            continue
        if node not in owner:
            owner[node] = None if common else task
        elif owner[node] is None or (owner[node] == task and not common):
            continue
        else:
            owner[node] = None
            common = True
        waiting.extend((below, common) for below, _ in node.next_functions)


def _separate(base: set[Node], nodes: Iterable[Node], starts: Sequence[Root | None]) -> set[Node]:
    """The largest part of ``base`` that passes through the rest can end at, and that has no leaf in common with the rest."""
    while True:
        base = _unnested(base, nodes, starts)
        outside = {below for node in nodes if node not in base for below, _ in node.next_functions}
        above: dict[Node, list[Node]] = {}
        for node in base:
            for below, _ in node.next_functions:
                above.setdefault(below, []).append(node)
        waiting = [leaf for leaf in outside if leaf in above and hasattr(leaf, "variable")]
        tied: set[Node] = set()
        while waiting:
            for node in above.get(waiting.pop(), ()):
                if node not in tied:
                    tied.add(node)
                    waiting.append(node)
        if not tied:
            return base
        base = base - tied


def _unnested(base: set[Node], nodes: Iterable[Node], starts: Sequence[Root | None]) -> set[Node]:
    """The largest part of ``base`` that is closed downwards and whose entrances do not lead to one another."""
    while True:
        entrances = {below for node in nodes if node not in base for below, _ in node.next_functions if below in base}
        entrances |= {node for node, _ in map(_edge, starts) if node in base}
        lowest = {entrance for entrance in entrances if not (_strictly_below(entrance) & entrances)}
        if lowest == entrances:
            return base
        base = lowest | {node for entrance in lowest for node in _strictly_below(entrance)}


def _strictly_below(node: Node) -> set[Node]:
    found: set[Node] = set()
    waiting = [node]
    while waiting:
        for below, _ in waiting.pop().next_functions:
            if below is not None and below not in found and not hasattr(below, "variable"):
                found.add(below)
                waiting.append(below)
    return found
