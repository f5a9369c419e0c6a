"""What is asked of any argument: whether it is a tensor or a number, whether it is finite, and how to show it in one line."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from moo_mtl.errors import InputError


def require_tensor(who: str, what: str, found: object) -> None:
    """Refuse lists, arrays and numbers where a tensor is wanted, and tensors without strides.

    >>> require_tensor("trace", "starts", [[0.0, 1.0]])
    Traceback (most recent call last):
    moo_mtl.errors.InputError: trace: starts is a list, expected a tensor; pass torch.tensor(..., dtype=torch.float64)

    Raises:
        InputError: it is no tensor, or a sparse one.
    """
    if not isinstance(found, Tensor):
        raise InputError(
            f"{who}: {what} is a {type(found).__name__}, expected a tensor; pass torch.tensor(..., dtype=torch.float64)"
        )
    if found.layout is not torch.strided:
        raise InputError(f"{who}: {what} is a sparse tensor, expected a dense one; pass its .to_dense()")


def require_number(who: str, what: str, found: object) -> None:
    """Refuse text, tensors, arrays and lists where a number is wanted.

    >>> require_number("cagrad", "c", "0.4")
    Traceback (most recent call last):
    moo_mtl.errors.InputError: cagrad: c is a str, expected a number

    Raises:
        InputError: it is no real number.
    """
    if type(found) is not float and not isinstance(found, Real):
        raise InputError(f"{who}: {what} is a {type(found).__name__}, expected a number")


def require_points(who: str, what: str, found: object) -> None:
    """Refuse what is no set of points ``[..., N, K]``, or none of floating-point numbers.

    Raises:
        InputError: it is no tensor, or has fewer than two dimensions, or numbers of another kind.
    """
    require_tensor(who, what, found)
    assert isinstance(found, Tensor)
    if found.ndim < 2 or not found.is_floating_point():
        raise InputError(f"{who}: {what} have shape {list(found.shape)} of {found.dtype}, expected [..., N, K] of floats")


def require_device(found: str | torch.device | None) -> torch.device | None:
    """The device of that name; ``None`` stays.

    Raises:
        InputError: torch does not know it, or this machine does not have it.
    """
    if found is None:
        return None
    try:
        device = torch.device(found)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(f"device {found!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device


def numbers(what: str, given: object) -> Tensor:
    """A number, a tensor, an array or a nested list as float64.

    >>> numbers("trace: preferences", "a half")
    Traceback (most recent call last):
    moo_mtl.errors.InputError: trace: preferences: found a str, expected numbers

    Raises:
        InputError: it is none of these.
    """
    try:
        return torch.as_tensor(given, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"{what}: found a {type(given).__name__}, expected numbers") from None


def sums_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether the sum of each is finite, and with it every entry: a third of the cost of looking at them one by one.

    A sum may overflow where no entry does, so that only a yes is final. Reading it waits for an accelerator.
    """
    return all(math.isfinite(tensor.sum().item()) for tensor in tensors)


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
