"""Products with a Gramian that is never formed: what a step costs does not grow with the number of tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moo_mtl.engines.look import Look
from moo_mtl.errors import InputError


def products(losses: Tensor, shared: Sequence[Tensor], own: Sequence[Tensor] = (), retain_graph: bool = False) -> Look:
    r"""The Gramian through :math:`G w = J (J^\top w)`, in the graph of the one forward pass: same dropout masks,
    same batch statistics.

    :math:`J^\top w` is a backward pass of the weighted sum. With :math:`g(u) = J^\top u`, built once with a graph of its own,
    :math:`J v = \partial_u \langle g(u), v \rangle` is a backward pass through that one.

    Args:
        losses: ``[K]``.
        shared: parameters the tasks share.
        own: parameters that are not balanced.
        retain_graph: keep the graph for another use.

    Raises:
        InputError: an operation of the model cannot be differentiated twice.
    """
    u = torch.ones_like(losses, requires_grad=True)
    try:
        base = torch.autograd.grad(losses, list(shared), u, create_graph=True, allow_unused=True)
    except RuntimeError as error:
        raise InputError(f"engine 'products' differentiates twice, and this model cannot be ({error}); use 'auto'") from error
    reached = [(parameter, gradient) for parameter, gradient in zip(shared, base, strict=True) if gradient is not None]
    last: list[tuple[Tensor, tuple[Tensor, ...]]] = []

    def pulled(weights: Tensor) -> tuple[Tensor, ...]:
        if last and torch.equal(last[0][0], weights):
            return last[0][1]
        found = torch.autograd.grad(losses, [p for p, _ in reached], weights.to(losses.dtype), retain_graph=True)
        last[:] = [(weights.clone(), found)]
        return found

    def product(weights: Tensor) -> Tensor:
        try:
            (pushed,) = torch.autograd.grad([g for _, g in reached], u, list(pulled(weights)), retain_graph=True)
        except RuntimeError as error:
            raise InputError(
                f"engine 'products' differentiates twice, and this model cannot be ({error}); use 'auto'"
            ) from error
        return pushed.detach()

    def direction(weights: Tensor) -> Tensor:
        found = {id(p): g for (p, _), g in zip(reached, pulled(weights), strict=True)}
        return torch.cat([found.get(id(p), torch.zeros_like(p)).reshape(-1) for p in shared])

    def own_gradients(factors: Tensor) -> list[Tensor | None]:
        if not own:
            return []
        return list(
            torch.autograd.grad(losses, list(own), factors.to(losses.dtype), retain_graph=retain_graph, allow_unused=True)
        )

    return Look(None, None, direction, own_gradients, product)
