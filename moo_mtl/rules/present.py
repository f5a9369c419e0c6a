"""Means and shares over the tasks that are present: ``[..., K]`` with a mask of the same shape."""

import torch
from torch import Tensor


def softmax(level: Tensor, mask: Tensor) -> Tensor:
    """Of the present entries, ``[..., K]``; 0 elsewhere, and everywhere where none is present."""
    return torch.softmax(level.masked_fill(~mask, -torch.inf), dim=-1).masked_fill(~mask, 0.0)


def mean(value: Tensor, mask: Tensor) -> Tensor:
    """Of the present entries, ``[..., 1]``; 0 where none is present."""
    return torch.where(mask, value, 0.0).sum(dim=-1, keepdim=True) / count(mask).clamp(min=1)


def equal(mask: Tensor) -> Tensor:
    """The same share for each present entry, ``[..., K]``; together 1."""
    return mask.double() / count(mask).clamp(min=1)


def count(mask: Tensor) -> Tensor:
    """How many are present, ``[..., 1]``."""
    return mask.sum(dim=-1, keepdim=True)
