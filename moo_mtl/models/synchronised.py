"""Batch normalisation over the joint batch of several processes, on any device and as often differentiable as the rest."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from moo_mtl import collectives


def synchronised(network: nn.Module, group: dist.ProcessGroup | None = None) -> nn.Module:
    """The network with every ``BatchNorm`` replaced by one over all processes; parameters, buffers and names stay.

    ``torch.nn.SyncBatchNorm`` does the same on GPUs alone, and no engine can differentiate it twice.

    Args:
        network: changed in place.
        group: of ``torch.distributed``; by default all processes.
    """
    if isinstance(network, _NORMS):
        return SynchronisedBatchNorm(network, group)
    for name, child in network.named_children():
        changed = synchronised(child, group)
        if changed is not child:
            setattr(network, name, changed)
    return network


class SynchronisedBatchNorm(nn.Module):
    """Mean and variance over all processes' examples, however unevenly they are spread; some may have none.

    Args:
        norm: whose parameters and buffers are taken over.
        group: of ``torch.distributed``.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, norm: nn.modules.batchnorm._BatchNorm, group: dist.ProcessGroup | None = None) -> None:
        super().__init__()
        self.group, self.eps, self.momentum = group, norm.eps, norm.momentum
        for name in ("weight", "bias"):
            self.register_parameter(name, getattr(norm, name))
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(norm, name))
        self.train(norm.training)

    def forward(self, inputs: Tensor) -> Tensor:
        """``[B, C, ...]`` to the same shape."""
        if not self.training and self.running_mean is not None:
            return nn.functional.batch_norm(
                inputs, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        others = [dim for dim in range(inputs.dim()) if dim != 1]
        wide = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
        count = wide.new_tensor([inputs.numel() / max(inputs.shape[1], 1)])
        total = _over_all(torch.cat([wide.sum(dim=others), count]), self.group)
        n = total[-1].detach()
        mean = total[:-1] / n
        centred = wide - _wide(mean, wide)
        variance = _over_all(centred.square().sum(dim=others), self.group) / n
        if self.training and self.running_mean is not None:
            self._remember(mean.detach(), variance.detach(), n)
        scale = (variance + self.eps).rsqrt()
        output = centred * _wide(scale if self.weight is None else self.weight * scale, wide)
        return (output if self.bias is None else output + _wide(self.bias, wide)).to(inputs.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, n: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        step = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        unbiased = variance * (n / (n - 1).clamp(min=1))
        self.running_mean += step * (mean.to(self.running_mean) - self.running_mean)
        self.running_var += step * (unbiased.to(self.running_var) - self.running_var)


_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def _over_all(tensor: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    total: Tensor = SyncBatchNormSum.apply(tensor, group)  # type: ignore[no-untyped-call]
    return total


def _wide(per_channel: Tensor, like: Tensor) -> Tensor:
    return per_channel.reshape(1, -1, *(1,) * (like.dim() - 2))


class SyncBatchNormSum(torch.autograd.Function):
    """The sum over all processes. Each process's output depends on all inputs, so the gradients are summed as well.

    Named so that engines recognise it: a graph that communicates cannot be passed by several tasks at once.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        ctx.group = group
        return collectives.summed(tensor, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _over_all(gradients[0], ctx.group), None
