"""The joint batch of several processes, of which each has computed the losses of its part."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from moo_mtl.engines import Processes
from moo_mtl.training.accumulation import Batch


def joint(batch: Batch, count: Tensor, across: Processes) -> tuple[Batch, Tensor]:
    """The batch with the losses of all parts, and the number of examples behind each, ``[..., K]``.

    Args:
        batch: of this process, with mean losses.
        count: examples behind each of them, ``[..., K]`` float64; 0 for a task without any here, whose loss may be anything.
        across: the processes.
    """
    values = batch.losses
    counted = torch.where(count > 0, values.detach().double() * count, 0.0)
    total, sums = across.sum(torch.stack([count, counted])).unbind()
    present = total > 0
    known = torch.where(present, total, 1.0)
    share = (count / known).to(values.dtype)
    everyone = present.device.type == "cpu" and bool(present.all())
    return replace(
        batch,
        losses=torch.where(present, sums / known, 1.0).to(values.dtype),
        present=None if everyone else present,
        part=values,
        seed=share if batch.seed is None else share * batch.seed.to(values.dtype),
    ), total
