"""Backward passes through the common part, from the gradients at its cuts: for all tasks at once, one by one, or weighted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from moo_mtl.engines.graph import Anatomy, Root
from moo_mtl.engines.passes import at_fault

AtCuts = Sequence[Sequence[Tensor | None]]  # for each cut, the gradient of each task there


class NotBatchedError(Exception):
    """An operation of the model cannot take several gradients at once; the graph is as it was."""


def at_once(body: Anatomy, at_cuts: AtCuts, wanted: Sequence[Root]) -> list[Tensor | None]:
    """One pass for all K tasks: gradients ``[K, ...]`` with respect to ``wanted``, leaves or edges in the common part. The
    graph is kept.

    Raises:
        NotBatchedError: an operation cannot be batched.
    """
    if not wanted or not body.cuts:
        return [None] * len(wanted)
    try:
        found = torch.autograd.grad(
            list(body.cuts),
            list(wanted),  # type: ignore[arg-type]
            [_stacked(cut) for cut in at_cuts],
            retain_graph=True,
            allow_unused=True,
            is_grads_batched=True,
        )
    except RuntimeError as error:
        if at_fault(error):
            raise
        raise NotBatchedError(str(error).partition("\n")[0].partition(". ")[0]) from error  # torch goes on for pages
    return list(found)


def one_by_one(body: Anatomy, at_cuts: AtCuts, wanted: Sequence[Root], retain_graph: bool) -> Iterator[Sequence[Tensor | None]]:
    """A pass for each task, and its gradients with respect to ``wanted``."""
    n_tasks = len(body.roots)
    for task in range(n_tasks):
        here = [(cut, of_tasks[task]) for cut, of_tasks in zip(body.cuts, at_cuts, strict=True) if of_tasks[task] is not None]
        yield _one_pass(here, wanted, retain_graph or task + 1 < n_tasks)


def weighted(
    body: Anatomy, at_cuts: AtCuts, factors: Tensor, wanted: Sequence[Tensor], retain_graph: bool
) -> list[Tensor | None]:
    """One pass for the sum of the tasks with ``factors`` ``[K]``: a gradient for each of ``wanted``."""
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


def _stacked(gradients: Sequence[Tensor | None]) -> Tensor:
    like = next(gradient for gradient in gradients if gradient is not None)
    return torch.stack([torch.zeros_like(like) if gradient is None else gradient for gradient in gradients])
