"""Tensors where tensors are expected: the check that comes before all others."""

from __future__ import annotations

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
