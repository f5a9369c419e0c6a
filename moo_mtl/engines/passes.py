"""One backward pass, whatever the graph is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from moo_mtl.engines.graph import Root
from moo_mtl.errors import InputError


@contextmanager
def unspent() -> Iterator[None]:
    """Around backward passes: says what to do where the graph has been used up by an earlier one, or allows only one.

    Raises:
        InputError: it has, or does.
    """
    try:
        yield
    except RuntimeError as error:
        if "donated buffer" in str(error):
            raise InputError(
                "Balancer: torch.compile made a backward function that can be called once, and this rule calls it for every "
                "task; set torch._functorch.config.donated_buffer = False before the model is compiled"
            ) from error
        if "second time" not in str(error):
            raise
        raise InputError(
            "Balancer: the graph of the losses has been used by an earlier backward; leave loss.backward() out, because "
            "balancer.backward(losses) takes its place, or keep the graph with retain_graph=True"
        ) from error


def at_fault(error: RuntimeError) -> bool:
    """Whether the graph itself cannot be passed through, in this way or in another."""
    return any(word in str(error) for word in ("second time", "inplace operation", "donated buffer"))


def gradients(
    roots: Sequence[Root], wanted: Sequence[Tensor], seeds: Sequence[Tensor], *, retain_graph: bool, hidden: bool
) -> list[Tensor | None]:
    """Gradients of ``sum(seed * root)`` with respect to ``wanted``; ``None`` where no root reaches.

    Args:
        roots: where the pass begins.
        wanted: leaves.
        seeds: the gradient at each root.
        retain_graph: keep the graph for another pass.
        hidden: whether a re-entrant checkpoint hides parameters from the graph (``Behind``).

    Raises:
        InputError: the graph hides a parameter that is not wanted; the pass would fill its ``.grad`` unweighed.
    """
    if not roots or not wanted:
        return [None] * len(wanted)
    if not hidden:
        found = torch.autograd.grad(roots, wanted, seeds, retain_graph=retain_graph, allow_unused=True)  # type: ignore[arg-type]
        return list(found)
    before = [leaf.grad for leaf in wanted]
    try:
        for leaf in wanted:
            leaf.grad = None
        with _Known(wanted):
            torch.autograd.backward(roots, seeds, retain_graph=retain_graph)  # type: ignore[arg-type]
        return [leaf.grad for leaf in wanted]
    finally:
        for leaf, gradient in zip(wanted, before, strict=True):
            leaf.grad = gradient


class _Known(TorchFunctionMode):
    """Holds what a re-entrant checkpoint computes anew, in the backward pass, to the parameters that are wanted."""

    def __init__(self, wanted: Sequence[Tensor]) -> None:
        super().__init__()
        self.wanted = {id(leaf) for leaf in wanted}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, nn.Parameter) and value.requires_grad and id(value) not in self.wanted:
                raise InputError(
                    f"Balancer: a re-entrant checkpoint hides a parameter of shape {tuple(value.shape)} that is not in shared; "
                    f"checkpoint what belongs to one task with use_reentrant=False"
                )
        return func(*args, **(kwargs or {}))


def strided(gradient: Tensor) -> Tensor:
    """The gradient with every entry, where an embedding gave it sparse."""
    return gradient.to_dense() if gradient.is_sparse else gradient


def ones(losses: Tensor, seed: Tensor | None) -> Tensor:
    """The gradient that each loss has of itself, ``[..., K]``: 1, or ``seed``."""
    return torch.ones_like(losses) if seed is None else seed.to(losses.dtype).expand(losses.shape)


def weighted_sum(
    starts: Sequence[Root | None], weights: Tensor, wanted: Sequence[Tensor], *, retain_graph: bool, hidden: bool = False
) -> list[Tensor | None]:
    """Gradients of the sum of the tasks with ``weights`` ``[..., K]``, in one pass from where each task begins."""
    pairs = [(start, weights[..., task]) for task, start in enumerate(starts) if start is not None]
    roots, seeds = [start for start, _ in pairs], [weight for _, weight in pairs]
    return gradients(roots, wanted, seeds, retain_graph=retain_graph, hidden=hidden)
