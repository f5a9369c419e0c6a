"""What is asked of any tensor: whether it is one, whether it is finite, and how to show many in one line."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from moo_mtl.errors import InputError


def require_tensor(who: str, what: str, found: object) -> None:
    """Refuse lists, arrays and numbers where a tensor is wanted.

    >>> require_tensor("trace", "starts", [[0.0, 1.0]])
    Traceback (most recent call last):
    moo_mtl.errors.InputError: trace: starts is a list, expected a tensor; pass torch.tensor(..., dtype=torch.float64)

    Raises:
        InputError: it is no tensor.
    """
    if not isinstance(found, Tensor):
        raise InputError(
            f"{who}: {what} is a {type(found).__name__}, expected a tensor; pass torch.tensor(..., dtype=torch.float64)"
        )


def sums_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether the sum of each is finite, and with it every entry: a third of the cost of looking at them one by one.

    A sum may overflow where no entry does, so that only a yes is final. Reading it waits for an accelerator.
    """
    return all(math.isfinite(tensor.sum()) for tensor in tensors)


def by_shape(value: Any) -> str:
    """A value of many tensors in one line: a shape for each, other parts as they are.

    >>> import torch
    >>> from moo_mtl.fronts import Reference
    >>> Reference(torch.zeros(500, 2), "exact")
    Reference(points [500, 2], source 'exact')
    """
    names = getattr(value, "_fields", None) or value.__dataclass_fields__
    parts = ((name, getattr(value, name)) for name in names)
    shown = (f"{name} {list(part.shape) if isinstance(part, Tensor) else repr(part)}" for name, part in parts)
    return f"{type(value).__name__}({', '.join(shown)})"
