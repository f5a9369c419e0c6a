"""Solve slots that change each gradient in turn against the others, in an order drawn by the driver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from moo_mtl.errors import InputError
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules.rule import Weighing
from moo_mtl.rules.slot import Slot, noise_of, within

Order = Literal["random", "fixed"]


def surgery(order: Order = "random", skip_self: bool = True) -> Slot[Weighing]:
    r"""PCGrad: each gradient is projected off every other one that it meets in conflict, :math:`w = \sum_i c_i`.

    .. math:: c_i \leftarrow c_i - \frac{\min(0,\, c_i^\top G e_j)}{G_{jj}} e_j \quad\text{for all } j \ne i, \text{in turn}

    Args:
        order: fresh for each gradient and step, or always by number.
        skip_self: leave out j = i, as the paper does; in much code a projected gradient can meet itself in conflict.
    """

    def weigh(obs: Observation, state: tuple[()]) -> tuple[Weighing, tuple[()]]:
        G = _gramian(obs)
        sizes = G.diagonal(dim1=-2, dim2=-1)
        c = torch.eye(obs.n_tasks, dtype=G.dtype, device=G.device).expand(G.shape)
        for other, itself in _turns(obs, order):
            overlap, size = (c @ G * other).sum(dim=-1), (sizes[..., None, :] * other).sum(dim=-1)
            meets = (overlap < 0) & (size > 0) & ~(itself & skip_self)
            c = c - torch.where(meets, overlap / torch.where(size > 0, size, 1.0), 0.0)[..., None] * other
        return Weighing(torch.where(obs.mask[..., None], c, 0.0).sum(dim=-2)), state

    return _in_order("surgery", weigh, order)


def vaccine(beta: float = 0.01, order: Order = "random", update: Literal["always", "on-conflict"] = "always") -> Slot[Weighing]:
    r"""GradVac: where a pair's cosine is below its own running mean :math:`\hat\varphi_{ij}`, it is lifted to it.

    With :math:`\varphi` the cosine of the changed gradient :math:`c_i` and :math:`g_j`,

    .. math:: c_{ij} \leftarrow c_{ij} + \frac{\lVert J^\top c_i \rVert \bigl(\hat\varphi \sqrt{1 - \varphi^2} - \varphi
              \sqrt{1 - \hat\varphi^2}\bigr)}{\lVert g_j \rVert \sqrt{1 - \hat\varphi^2}}, \qquad
              \hat\varphi \leftarrow (1 - \beta) \hat\varphi + \beta \varphi

    Args:
        beta: weight of the new cosine.
        order: as in ``surgery``.
        update: ``"on-conflict"`` moves the running mean only where the gradient was changed.
    """
    within("gradvac", "beta", beta, 0.0, 1.0, "it is the share of the new cosine in the running mean")
    if update not in ("always", "on-conflict"):
        raise InputError(f"gradvac: update {update!r} is unknown; expected 'always' or 'on-conflict'")

    def start(obs: Observation) -> Tensor:
        K = obs.n_tasks
        return torch.zeros((*obs.batch, K, K), dtype=torch.float64, device=obs.losses.device)

    def weigh(obs: Observation, state: Tensor) -> tuple[Weighing, Tensor]:
        G = _gramian(obs)
        lengths = obs.norms
        unit = torch.where(lengths > 0, lengths, 1.0)
        largest = unit.amax(dim=-1, keepdim=True)
        # In units of the longest gradient, and on unit rows, so that squares of tiny or huge gradients keep their digits.
        C = (G / unit[..., :, None] / unit[..., None, :]).clamp(-1, 1)
        v = torch.diag_embed(lengths / largest)
        for other, itself in _turns(obs, order):
            along = (v @ C * other).sum(dim=-1)
            length = (v @ C * v).sum(dim=-1).clamp(min=0).sqrt()
            there = (lengths[..., None, :] * other).sum(dim=-1)
            real = ~itself & (length > 0) & (there > 0)
            cosine = torch.where(real, along / torch.where(real, length, 1.0), 0.0).clamp(-1, 1)
            target = (state * other).sum(dim=-1).clamp(max=1 - 1e-6)
            low = real & (cosine < target)
            sine, sine_wanted = (1 - cosine.square()).sqrt(), (1 - target.square()).sqrt()
            lift = length * (target * sine - cosine * sine_wanted) / sine_wanted
            v = v + torch.where(low, lift, 0.0)[..., None] * other
            moved = real if update == "always" else low
            state = torch.where(moved[..., None] & (other > 0), (1 - beta) * state + beta * cosine[..., None], state)
        c = v * (largest / unit)[..., None, :]
        alone = lengths == 0
        weights = torch.where(obs.mask[..., None], c, 0.0).sum(dim=-2) + (alone & obs.mask).double()
        return Weighing(weights), state

    slot = _in_order("vaccine", weigh, order)
    return Slot(slot.name, weigh, start, slot.needs, slot.draws)


def _turns(obs: Observation, order: Order) -> Iterator[tuple[Tensor, Tensor]]:
    """At each turn the gradient that every gradient meets, ``[..., K, K]`` one-hot by row, and where that is itself."""
    K = obs.n_tasks
    place = torch.arange(K, device=obs.losses.device)
    drawn = noise_of(obs).unflatten(-1, (K, K)).argsort(dim=-1) if order == "random" else place.expand(*obs.batch, K, K)
    here = obs.mask[..., None, :] & obs.mask[..., :, None]
    for turn in drawn.unbind(dim=-1):
        met = one_hot(turn, K).double()
        yield torch.where(here, met, 0.0), turn == place


def _in_order(name: str, weigh: object, order: Order) -> Slot[Weighing]:
    if order not in ("random", "fixed"):
        raise InputError(f"{name}: order {order!r} is unknown; expected 'random' or 'fixed'")
    if order == "fixed":
        return Slot(name, weigh, needs=Needs.GRAMIAN)  # type: ignore[arg-type]
    return Slot(name, weigh, needs=Needs.GRAMIAN | Needs.NOISE, draws=lambda n_tasks, n_dim: n_tasks * n_tasks)  # type: ignore[arg-type]


def _gramian(obs: Observation) -> Tensor:
    assert obs.gramian is not None
    return obs.gramian
