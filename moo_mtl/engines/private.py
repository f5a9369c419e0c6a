"""Backward passes through the tasks' own parts, down to where the common part begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """Gradients in the tasks' own parts; ``one`` ``[K]`` is the gradient that each loss has of itself."""
    together = body.apart and (body.cuts or any(body.own))
    return _together(body, one, retain_graph) if together else _one_by_one(body, one, retain_graph)


def _one_by_one(body: Anatomy, one: Tensor, retain_graph: bool) -> Private:
    """K passes, each through one task's own part alone."""
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


def _together(body: Anatomy, one: Tensor, retain_graph: bool) -> Private:
    """One pass for all tasks, whose own parts have nothing in common: a call costs more than a small head.

    Autograd adds up at a cut what comes from all tasks, so each task's share is caught at the doors of its own part.
    """
    shares: list[list[list[Tensor]]] = [[[] for _ in body.roots] for _ in body.cuts]

    def caught(task: int, slots: Sequence[tuple[int, int]]) -> Callable[..., None]:
        def hook(passed: Sequence[Tensor | None], _: object) -> None:
            for slot, cut in slots:
                share = passed[slot]
                if share is not None:
                    shares[cut][task].append(share)

        return hook

    leaves = [leaf for own in body.own for leaf in own]
    pairs = [(root, seed) for root, seed in zip(body.roots, one.unbind(), strict=True) if root is not None]
    doors = [(task, door) for task, of_task in enumerate(body.doors) for door in of_task.items()]
    handles = [node.register_hook(caught(task, slots)) for task, (node, slots) in doors]
    try:
        found = torch.autograd.grad(
            [root for root, _ in pairs],  # type: ignore[arg-type]
            [*body.cuts, *leaves],  # type: ignore[arg-type]
            [seed for _, seed in pairs],
            retain_graph=retain_graph or bool(body.cuts),
            allow_unused=True,
        )
    finally:
        for handle in handles:
            handle.remove()
    gradients = iter(found[len(body.cuts) :])
    of_leaves = [{id(leaf): g for leaf in own if (g := next(gradients)) is not None} for own in body.own]
    at_cuts = [[_total(share, whole) for share in by_task] for by_task, whole in zip(shares, found, strict=False)]
    return Private(at_cuts, of_leaves)


def _total(shares: Sequence[Tensor], like: Tensor | None) -> Tensor | None:
    """Their sum; what an operation has broadcast is added up after its hooks, and so here."""
    total: Tensor | None = None
    for share in shares:
        part = share if like is None else share.sum_to_size(like.shape).to(like.dtype)
        total = part if total is None else total + part
    return total
