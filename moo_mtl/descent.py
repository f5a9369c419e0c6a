"""Steps along a direction as pure functions: plain descent and Adam, with the state in the open."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from moo_mtl.errors import InputError

Optimizer = Literal["sgd", "adam"]


class Moments(NamedTuple):
    """Adam's running averages of the direction and of its square, and the number of steps taken, ``[..., D]`` and ``[...]``."""

    first: Tensor
    second: Tensor
    taken: Tensor


def start(x: Tensor, optimizer: Optimizer) -> Moments | tuple[()]:
    """The optimiser's state before the first step.

    Raises:
        InputError: the optimiser is unknown.
    """
    if optimizer not in ("sgd", "adam"):
        raise InputError(f"optimizer {optimizer!r} is unknown; expected 'sgd' or 'adam'")
    if optimizer == "sgd":
        return ()
    return Moments(torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(x[..., 0]))


def step(
    direction: Tensor,
    state: Moments | tuple[()],
    lr: float | Tensor,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> tuple[Tensor, Moments | tuple[()]]:
    r"""The displacement to add, and the next state.

    The learning rate is a number, or ``[..., 1]`` for one per member. Without a state :math:`-\eta d`; with moments Adam
    (Kingma and Ba, 2015, Algorithm 1, in the form of ``torch.optim.Adam``).
    """
    if not isinstance(state, Moments):
        return -lr * direction, state
    beta1, beta2 = betas
    first = torch.lerp(state.first, direction, 1 - beta1)
    second = (state.second * beta2).addcmul_(direction, direction, value=1 - beta2)
    taken = state.taken + 1
    short, late = (1 - torch.pow(beta, _common(taken).unsqueeze(-1)) for beta in betas)
    size, root = second.sqrt(), late.sqrt()
    return (first / size.add_(eps * root)).mul_(-lr * root / short), Moments(first, second, taken)


def _common(taken: Tensor) -> Tensor:
    """The one number of steps that all have taken, where it is one: what follows from it is then computed once."""
    if taken.device.type != "cpu" or taken.numel() < 2:
        return taken
    least, most = taken.aminmax()
    return least if bool(least == most) else taken


def clipped(direction: Tensor, longest: float | None) -> Tensor:
    """The direction ``[..., D]``, shortened to a given length where it is longer."""
    if longest is None:
        return direction
    length = direction.norm(dim=-1, keepdim=True)
    return direction * (longest / length.clamp(min=longest))
