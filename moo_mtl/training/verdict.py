"""Whether a step is finite: read at once where that is free, and one step later on an accelerator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from moo_mtl.rules.rule import Weighing
from moo_mtl.state import keep_where
from moo_mtl.tensors import sums_finite


class Unread:
    """The verdict on the last step, which an accelerator has yet to reach. Reading it waits for the device."""

    def __init__(self) -> None:
        self._waiting: tuple[int, Tensor] | None = None

    def write(self, step: int, finite: Tensor) -> None:
        """Queue the verdict on ``step``, ``[]`` bool."""
        self._waiting = (step, finite)

    def read(self) -> int | None:
        """The number of the step that was not finite, once; ``None`` where all is well."""
        if self._waiting is None:
            return None
        (step, finite), self._waiting = self._waiting, None
        return None if bool(finite) else step


def all_finite(tensors: Iterable[Tensor | None]) -> Tensor:
    """Whether every entry is, ``[]`` bool."""
    given = [tensor for tensor in tensors if tensor is not None]
    if given[0].device.type == "cpu" and sums_finite(given):
        return torch.tensor(True)
    return torch.stack([tensor.isfinite().all() for tensor in given]).all()


def losses_finite(losses: Tensor, present: Tensor | None) -> Tensor:
    """Whether the losses of the tasks present are finite, ``[]`` bool."""
    if losses.device.type == "cpu" and sums_finite([losses.detach()]):
        return torch.tensor(True)
    finite = losses.detach().isfinite()
    return (finite if present is None else finite | ~present).all()


def masked(finite: Tensor, gradients: Sequence[Tensor | None], instead: float) -> list[Tensor | None]:
    """``gradients``, or where the step is not finite ``instead`` everywhere; nothing is waited for."""
    return [None if gradient is None else torch.where(finite, gradient, instead) for gradient in gradients]


def kept(finite: Tensor, new: Any, old: Any, weighing: Weighing, before: Weighing | None) -> tuple[Any, Weighing]:
    """State and weights after a step that may turn out not to be finite: then those before it, or equal weights."""
    n_tasks = weighing.weights.shape[-1]

    def choose(name: str) -> Tensor | None:
        value = getattr(weighing, name)
        past = None if before is None else getattr(before, name)
        return None if value is None else torch.where(finite, value, 1 / n_tasks if past is None else past)

    return keep_where(finite, new, old), Weighing(
        torch.where(finite, weighing.weights, 1 / n_tasks if before is None else before.weights),
        heads=choose("heads"),
        slope=choose("slope"),
    )
