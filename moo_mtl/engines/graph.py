"""The autograd graph behind some losses, read without running it."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor
from torch.autograd.graph import GradientEdge

Root = Tensor | GradientEdge


def roots(losses: Tensor) -> list[Root | None]:
    """For each task where a backward pass of its loss alone begins; ``None`` for a loss that depends on nothing.

    A pass that began at an entry of a stacked tensor would send zeros through the heads of all other tasks: K times
    the work, and NaN where another task's gradient is infinite. So where ``losses`` is a stack, the passes begin below it.
    """
    stack, last = losses.grad_fn, losses.dim() - 1
    if stack is None or stack.name() != "StackBackward0" or stack._saved_dim not in (last, 2**64 - 1):  # type: ignore[attr-defined]
        return list(losses.unbind(dim=-1))
    return [None if below is None else GradientEdge(below, number) for below, number in stack.next_functions]


def leaves(outputs: Iterable[Tensor]) -> list[Tensor]:
    """The leaf tensors that ``outputs`` were computed from and whose ``.grad`` a backward pass would fill, in a fixed order."""
    found: dict[int, Tensor] = {}
    waiting = [output.grad_fn for output in outputs if output.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            found[id(leaf)] = leaf
        for below, _ in node.next_functions:
            if below is not None and below not in seen:
                seen.add(below)
                waiting.append(below)
    return list(found.values())
