"""What every engine is given, and what it finds out about the gradients of K losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Look:
    """One look at the gradients.

    Attributes:
        rows: with respect to the shared parameters, flattened and joined, ``[..., K, D]``; ``None`` from engines
            that never hold them.
        gramian: of those gradients, or of what the engine looks at in their place, ``[..., K, K]`` float64; ``None``
            where rows give it.
        direction: weights ``[..., K]`` to the weighted sum of the rows, ``[..., D]``.
        own: factors ``[..., K]`` to the gradient of each parameter that is not shared, in their order.
        product: ``w [K] -> G w [K]``, from the engine that never forms G.
        along: ``d [D] -> J d [K]``, the second half of such a product, from the same engine.
        by_task: gives, task by task, the gradient of each parameter that is not shared; ``None`` from engines that give
            their weighted sum alone.
    """

    rows: Tensor | None
    gramian: Tensor | None
    direction: Callable[[Tensor], Tensor]
    own: Callable[[Tensor], list[Tensor | None]]
    product: Callable[[Tensor], Tensor] | None = None
    along: Callable[[Tensor], Tensor] | None = None
    by_task: Callable[[], Sequence[Sequence[Tensor | None]]] | None = None


class Engine(Protocol):
    """From losses to a look at their gradients."""

    def __call__(
        self,
        losses: Tensor,
        shared: Sequence[Tensor],
        own: Sequence[Tensor] = (),
        retain_graph: bool = False,
        here: Sequence[bool] | None = None,
        seed: Tensor | None = None,
    ) -> Look:
        """Look.

        Args:
            losses: ``[K]``; with batch dimensions (stacked networks) every parameter carries the same ones in front.
            shared: parameters the tasks share; one that a task does not reach has gradient 0 there.
            own: parameters that are not balanced.
            retain_graph: keep the graph for another use.
            here: for each task whether it is present; one that is not has gradient 0.
            seed: the gradient that each loss has of itself, ``[...]`` or ``[..., K]``: 1, the factor of a gradient scaler, or
                this process's share of the batch; the look carries it.
        """
        ...
