"""Tables with columns of numbers and of words, as tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from moo_mtl.data.splitting import standardised

if TYPE_CHECKING:
    import pandas as pd


def features(frame: pd.DataFrame, train: Tensor) -> Tensor:
    """Inputs of a network, ``[N, F]``: numbers standardised by the training part, then an indicator per word of a column.

    Args:
        frame: one row per example. A missing number becomes the training mean, a missing word a row of zeros.
        train: indices of the training part.
    """
    measured, _ = standardised(numbers(frame), train)
    return torch.cat([measured, indicators(frame).float()], dim=1)


def numbers(frame: pd.DataFrame) -> Tensor:
    """The numerical columns, ``[N, C]`` float64; NaN marks a missing value."""
    columns = frame.select_dtypes(["number", "bool"])
    return torch.from_numpy(columns.to_numpy(dtype=np.float64, na_value=np.nan).copy())


def indicators(frame: pd.DataFrame) -> Tensor:
    """For every other column one column per word in it, in alphabetical order: ``[N, C]`` float64 of zeros and ones."""
    import pandas as pd

    words = frame.select_dtypes(exclude=["number", "bool"])
    if words.shape[1] == 0:
        return torch.zeros(len(frame), 0, dtype=torch.float64)
    return torch.from_numpy(pd.get_dummies(words, columns=list(words.columns)).to_numpy(dtype=np.float64).copy())


def indicator(column: pd.Series[Any], *values: str | int) -> Tensor:
    """Where a column holds one of the values: ``[N]`` float32 of zeros and ones."""
    return torch.from_numpy(column.isin(values).to_numpy(dtype=np.float32))
