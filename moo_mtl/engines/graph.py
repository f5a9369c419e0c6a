"""The autograd graph behind some losses, read without running it."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor


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
