"""Backward passes through the tasks' own parts, down to where the common part begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moo_mtl.engines.graph import Anatomy, Root


@dataclass(frozen=True)
class Private:
    """What the tasks' own parts give.

    Attributes:
        at_cuts: for each cut, the gradient of each task there; ``None`` where a task does not reach it.
        of_leaves: for each task, the gradients of the leaves that its own part leads to, by ``id``.
    """

    at_cuts: list[list[Tensor | None]]
    of_leaves: list[dict[int, Tensor]]


def private(body: Anatomy, one: Tensor, retain_graph: bool) -> Private:
    """K passes, each through one task's own part alone; ``one`` ``[K]`` is the gradient that each loss has of itself.

    One pass for all of them, each task's share of a cut caught on its way, was tried: it saves under a tenth of this, because
    the heads' arithmetic is the cost, not the calls.
    """
    at_cuts: list[list[Tensor | None]] = [[None] * len(body.roots) for _ in body.cuts]
    of_leaves: list[dict[int, Tensor]] = []
    for task, root in enumerate(body.roots):
        cuts, leaves = body.reach[task], body.own[task]
        wanted: list[Root] = [*(body.cuts[cut] for cut in cuts), *leaves]
        found: Sequence[Tensor | None] = ()
        if root is not None and wanted:
            keep = retain_graph or bool(body.cuts) or task + 1 < len(body.roots)  # own parts may overlap where nothing is cut
            found = torch.autograd.grad(root, wanted, one[task], retain_graph=keep, allow_unused=True)  # type: ignore[arg-type]
        for cut, gradient in zip(cuts, found, strict=False):
            at_cuts[cut][task] = gradient
        named = zip(leaves, found[len(cuts) :], strict=False)
        of_leaves.append({id(leaf): gradient for leaf, gradient in named if gradient is not None})
    return Private(at_cuts, of_leaves)
