"""What an engine found out about the gradients of K losses, and how their combinations are formed from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
