"""Backward passes in two stages: through each task's own part, then through the common part, one by one or all at once."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from moo_mtl.engines.graph import Anatomy, Root
from moo_mtl.engines.passes import at_fault


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
    """K passes, each through one task's own part alone; ``one`` ``[K]`` is the gradient that each loss has of itself."""
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


def common(
    body: Anatomy, at_cuts: list[list[Tensor | None]], wanted: Sequence[Root], batched: bool, retain_graph: bool
) -> list[Tensor]:
    """Gradients of the K tasks with respect to ``wanted`` in the common part, ``[K, ...]`` each.

    Args:
        body: the graph.
        at_cuts: as in ``Private``.
        wanted: leaves, or edges within the common part.
        batched: one pass for all tasks, or one for each.
        retain_graph: keep the graph for another pass.
    """
    n_tasks = len(body.roots)
    if not wanted or not body.cuts:
        return [_nothing(place, n_tasks) for place in wanted]
    if batched:
        filled = [_stacked(cut) for cut in at_cuts]
        try:
            found = torch.autograd.grad(
                list(body.cuts),
                list(wanted),  # type: ignore[arg-type]
                filled,
                retain_graph=True,
                allow_unused=True,
                is_grads_batched=True,
            )
        except RuntimeError as error:
            if at_fault(error):
                raise
            why = str(error).partition("\n")[0].partition(". ")[0]  # torch goes on for pages
            warnings.warn(f"vmapped: this model cannot be batched ({why}); one pass per task is made instead", stacklevel=2)
        else:
            return [_nothing(place, n_tasks) if g is None else g for place, g in zip(wanted, found, strict=True)]
    by_task = []
    for task in range(n_tasks):
        here = [
            (cut, gradients[task]) for cut, gradients in zip(body.cuts, at_cuts, strict=True) if gradients[task] is not None
        ]
        keep = retain_graph or task + 1 < n_tasks
        by_task.append(_one_pass(here, wanted, keep))
    return [_gathered([row[place] for row in by_task], wanted[place]) for place in range(len(wanted))]


def weighted(
    body: Anatomy, at_cuts: list[list[Tensor | None]], factors: Tensor, wanted: Sequence[Tensor], retain_graph: bool
) -> list[Tensor | None]:
    """One pass through the common part for the sum of the tasks with ``factors`` ``[K]``: a gradient for each of ``wanted``."""
    here = []
    for cut, gradients in zip(body.cuts, at_cuts, strict=True):
        parts = [factors[task].to(gradient.dtype) * gradient for task, gradient in enumerate(gradients) if gradient is not None]
        if parts:
            here.append((cut, torch.stack(parts).sum(dim=0)))
    return _one_pass(here, wanted, retain_graph)


def _one_pass(
    here: Sequence[tuple[GradientEdge, Tensor | None]], wanted: Sequence[Root], retain_graph: bool
) -> list[Tensor | None]:
    if not here or not wanted:
        return [None] * len(wanted)
    edges, gradients = [cut for cut, _ in here], [gradient for _, gradient in here]
    return list(torch.autograd.grad(edges, list(wanted), gradients, retain_graph=retain_graph, allow_unused=True))  # type: ignore[arg-type]


def _stacked(gradients: list[Tensor | None]) -> Tensor:
    like = next(gradient for gradient in gradients if gradient is not None)
    return torch.stack([torch.zeros_like(like) if gradient is None else gradient for gradient in gradients])


def _gathered(rows: list[Tensor | None], place: Root) -> Tensor:
    return _nothing(place, len(rows)) if all(row is None for row in rows) else _stacked(rows)


def _nothing(place: Root, n_tasks: int) -> Tensor:
    """No task reaches it; the shape matters for leaves alone, an edge is only ever multiplied by what passes it."""
    return place.new_zeros(n_tasks, *place.shape) if isinstance(place, Tensor) else torch.zeros(n_tasks, 0)
