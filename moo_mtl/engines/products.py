"""Products with a Gramian that is never formed: what a step costs does not grow with the number of tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from moo_mtl.engines.graph import Root, operations, roots
from moo_mtl.engines.look import Look
from moo_mtl.engines.passes import at_fault, ones, weighted_sum
from moo_mtl.engines.tangent import tangents
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

    :math:`J^\top w` is a backward pass of the weighted sum. For :math:`J v`, let :math:`\delta(u)` be the gradient of
    :math:`u^\top \ell` at the outputs of all dense layers and convolutions, built once with a graph of its own, and
    :math:`\dot y` how far :math:`v` moves each output while its inputs stay: then
    :math:`J v = \partial_u \langle \delta(u), \dot y \rangle`, a backward pass through the graph of :math:`\delta`.
    Parameters of other operations stand in :math:`\delta(u)` with their own gradients, and move by :math:`v` itself.

    Args:
        losses, shared, own, retain_graph, here, seed: those of an ``Engine``, of one network.

    Raises:
        InputError: an operation of the model cannot be differentiated twice.
    """
    starts, one = roots(losses, here), ones(losses, seed)
    u = torch.ones_like(losses, requires_grad=True)
    places = tangents(operations([losses]), shared)
    covered = {id(parameter) for place in places for parameter in place.parameters}
    others = [parameter for parameter in shared if id(parameter) not in covered]
    delta = _with_graph(starts, u * one, [*(GradientEdge(place.node, 0) for place in places), *others])
    last: list[tuple[Tensor, Tensor]] = []

    def along(direction: Tensor) -> Tensor:
        parts = direction.split([parameter.numel() for parameter in shared])
        changes = {id(p): part.view_as(p).to(p.dtype) for p, part in zip(shared, parts, strict=True)}
        moves = [*(place.moved(changes) for place in places), *(changes[id(parameter)] for parameter in others)]
        pairs = [(d, move) for d, move in zip(delta, moves, strict=True) if d is not None and d.requires_grad]
        try:
            (pushed,) = torch.autograd.grad([d for d, _ in pairs], u, [move for _, move in pairs], retain_graph=True)
        except RuntimeError as error:
            raise _refusal(error) from error
        return pushed.detach()

    def direction(weights: Tensor) -> Tensor:
        if not last or not torch.equal(last[0][0], weights):
            found = weighted_sum(_wanted(starts, weights), weights.to(losses.dtype) * one, shared, retain_graph=True)
            parts = [torch.zeros_like(p) if g is None else g for p, g in zip(shared, found, strict=True)]
            last[:] = [(weights.clone(), torch.cat([part.reshape(-1) for part in parts]))]
        return last[0][1]

    def own_gradients(factors: Tensor) -> list[Tensor | None]:
        return weighted_sum(starts, factors.to(losses.dtype) * one, own, retain_graph=retain_graph)

    return Look(None, None, direction, own_gradients, lambda weights: along(direction(weights)), along=along)


def _wanted(starts: Sequence[Root | None], weights: Tensor) -> Sequence[Root | None]:
    """Where passes begin, of tasks that count: a head whose weight is 0 is not passed through. A device is not waited for."""
    if weights.device.type != "cpu":
        return starts
    return [start if weight else None for start, weight in zip(starts, weights.tolist(), strict=True)]


def _with_graph(starts: Sequence[Root | None], seeds: Tensor, wanted: Sequence[Root]) -> Sequence[Tensor | None]:
    pairs = [(start, weight) for start, weight in zip(starts, seeds.unbind(), strict=True) if start is not None]
    try:
        return torch.autograd.grad(
            [start for start, _ in pairs],  # type: ignore[arg-type]
            list(wanted),  # type: ignore[arg-type]
            [weight for _, weight in pairs],
            create_graph=True,
            allow_unused=True,
        )
    except RuntimeError as error:
        raise _refusal(error) from error


def _refusal(error: RuntimeError) -> RuntimeError | InputError:
    if at_fault(error):
        return error
    return InputError(
        f"engine 'products' differentiates twice, and an operation of this model cannot be ({str(error).splitlines()[0]}); "
        f"use 'auto', or for attention run the forward pass under torch.nn.attention.sdpa_kernel(SDPBackend.MATH)"
    )
