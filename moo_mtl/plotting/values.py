"""Tensors, arrays and lists become arrays to draw, and back."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array: TypeAlias = npt.NDArray[Any]
Values: TypeAlias = Any  # a tensor on any device, an array, or nested sequences of numbers


def array(values: Values) -> Array:
    """What is drawn, as a NumPy array."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def tensor(values: Array) -> Tensor:
    """Points to evaluate, float64."""
    return torch.as_tensor(values, dtype=torch.float64)
