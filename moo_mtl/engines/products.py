"""Products with a Gramian that is never formed: what a step costs does not grow with the number of tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moo_mtl.engines.graph import Root, roots
from moo_mtl.engines.look import Look
from moo_mtl.engines.passes import ones, weighted_sum
from moo_mtl.errors import InputError


def products(
    losses: Tensor,
    shared: Sequence[Tensor],
    own: Sequence[Tensor] = (),
    retain_graph: bool = False,
    here: Sequence[bool] | None = None,
    seed: Tensor | None = None,
) -> Look:
    r"""The Gramian through :math:`G w = J (J^\top w)`, in the graph of the one forward pass: same dropout masks,
    same batch statistics.

    :math:`J^\top w` is a backward pass of the weighted sum. With :math:`g(u) = J^\top u`, built once with a graph of its own,
    :math:`J v = \partial_u \langle g(u), v \rangle` is a backward pass through that one.

    Args:
        losses: ``[K]``.
        shared: parameters the tasks share.
        own: parameters that are not balanced.
        retain_graph: keep the graph for another use.
        here: for each task whether it is present; one that is not has gradient 0.
        seed: the gradient that each loss has of itself, ``[...]`` or ``[..., K]``: 1, the factor of a gradient scaler, or this
            process's share of the batch; the look carries it.

    Raises:
        InputError: an operation of the model cannot be differentiated twice.
    """
    starts, one = roots(losses, here), ones(losses, seed)
    u = torch.ones_like(losses, requires_grad=True)
    try:
        base = _with_graph(starts, u * one, shared)
    except RuntimeError as error:
        raise _refusal(error) from error
    reached = [(parameter, gradient) for parameter, gradient in zip(shared, base, strict=True) if gradient is not None]
    last: list[tuple[Tensor, list[Tensor | None]]] = []

    def pulled(weights: Tensor) -> list[Tensor | None]:
        if not last or not torch.equal(last[0][0], weights):
            found = weighted_sum(starts, weights.to(losses.dtype) * one, [p for p, _ in reached], retain_graph=True)
            last[:] = [(weights.clone(), found)]
        return last[0][1]

    def pushed(vectors: Sequence[Tensor | None]) -> Tensor:
        pairs = [(g, v) for (_, g), v in zip(reached, vectors, strict=True) if v is not None]
        try:
            (products,) = torch.autograd.grad([g for g, _ in pairs], u, [v for _, v in pairs], retain_graph=True)
        except RuntimeError as error:
            raise _refusal(error) from error
        return products.detach()

    def along(direction: Tensor) -> Tensor:
        parts = {id(p): part.view_as(p) for p, part in zip(shared, direction.split([p.numel() for p in shared]), strict=True)}
        return pushed([parts[id(p)].to(p.dtype) for p, _ in reached])

    def direction(weights: Tensor) -> Tensor:
        found = {id(p): g for (p, _), g in zip(reached, pulled(weights), strict=True)}
        parts = [found.get(id(p)) for p in shared]
        return torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for p, g in zip(shared, parts, strict=True)])

    def own_gradients(factors: Tensor) -> list[Tensor | None]:
        return weighted_sum(starts, factors.to(losses.dtype) * one, own, retain_graph=retain_graph)

    return Look(None, None, direction, own_gradients, lambda weights: pushed(pulled(weights)), along=along)


def _with_graph(starts: Sequence[Root | None], seeds: Tensor, shared: Sequence[Tensor]) -> Sequence[Tensor | None]:
    pairs = [(start, weight) for start, weight in zip(starts, seeds.unbind(), strict=True) if start is not None]
    return torch.autograd.grad(
        [start for start, _ in pairs],  # type: ignore[arg-type]
        list(shared),
        [weight for _, weight in pairs],
        create_graph=True,
        allow_unused=True,
    )


def _refusal(error: RuntimeError) -> InputError:
    return InputError(f"engine 'products' differentiates twice, and this model cannot be ({error}); use 'auto'")
