"""Tensors, arrays and lists become arrays to draw, and back."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from moo_mtl.errors import InputError

Array: TypeAlias = npt.NDArray[Any]
Values: TypeAlias = Any  # a tensor on any device, an array, or nested sequences of numbers


def array(values: Values) -> Array:
    """What is drawn, as a NumPy array.

    Raises:
        InputError: these are no real numbers.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype is torch.bfloat16 else values).numpy()
    found = np.asarray(values)
    if found.dtype.kind not in "fiub":
        raise InputError(f"plotting: found {found.dtype}, expected numbers to draw: a tensor, an array or lists of numbers")
    return found


def tensor(values: Array) -> Tensor:
    """Points to evaluate, float64."""
    return torch.as_tensor(values, dtype=torch.float64)
