"""Means and shares over the tasks that are present: ``[..., K]`` with a mask of the same shape."""

import torch
from torch import Tensor


def softmax(level: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the present entries, ``[..., K]``; 0 elsewhere, and everywhere if none is present."""
    return torch.softmax(level.masked_fill(~mask, -torch.inf), dim=-1).masked_fill(~mask, 0.0)


def mean(value: Tensor, mask: Tensor) -> Tensor:
    """Mean over the present entries, ``[..., 1]``; 0 if none is present."""
    return torch.where(mask, value, 0.0).sum(dim=-1, keepdim=True) / count(mask).clamp(min=1)


def equal(mask: Tensor) -> Tensor:
    """Equal shares of the present entries, ``[..., K]``, that sum to one."""
    return mask.double() / count(mask).clamp(min=1)


def count(mask: Tensor) -> Tensor:
    """How many are present, ``[..., 1]``."""
    return mask.sum(dim=-1, keepdim=True)
