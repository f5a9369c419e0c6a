r"""Several processes, each with a copy of the model and a part of every batch: their gradients are added before anybody looks.

The mean over a joint batch is a sum of shares: with :math:`c_{rk}` examples in process r,
:math:`L_k = \sum_r s_{rk} \ell_{rk}` and :math:`s_{rk} = c_{rk} / \sum_r c_{rk}`. A share is the gradient that a process's loss
has of itself, so a backward pass gives the process's part of the row. Rows are added up *before* their Gramian is formed: a
mean of the processes' Gramians would be another matrix, larger by the variance of the gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from moo_mtl import collectives
from moo_mtl.engines.look import Look
from moo_mtl.engines.looped import combined
from moo_mtl.errors import InputError, MooMtlError

Answer = TypeVar("Answer")


class Processes:
    """The processes of a ``torch.distributed`` group that train copies of one model together.

    In a program that ``torchrun`` starts, any loop becomes a distributed one by three changes::

        torch.distributed.init_process_group("gloo")                            # "nccl" on GPUs
        balancer = Balancer(rules.mgda(), model.trunk, across=Processes(model))  # no DistributedDataParallel
        balancer.backward(losses, counts=len(inputs))                           # of this process's part of the batch

    Args:
        model: or its parameters, in the same order everywhere; they, and a module's buffers, become those of the first process.
        group: of ``torch.distributed``; by default all processes.

    Attributes:
        rank: number of this process, from 0.
        size: how many there are.
        parameters: those that are trained.

    Raises:
        InputError: ``torch.distributed`` has not been initialised.
    """

    def __init__(self, model: nn.Module | Iterable[Tensor] = (), group: dist.ProcessGroup | None = None) -> None:
        if not dist.is_available() or not dist.is_initialized():
            raise InputError(
                'Processes: torch.distributed has not been initialised; call torch.distributed.init_process_group("gloo"), '
                'or "nccl" on GPUs, in a program that torchrun has started'
            )
        self.group = group
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        copies = [*model.parameters(), *model.buffers()] if isinstance(model, nn.Module) else list(model)
        self.parameters = [tensor for tensor in copies if tensor.requires_grad]
        with torch.no_grad():
            for tensor in copies:
                collectives.copy_first(tensor, group)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, the same to the last bit in each."""
        return collectives.summed(tensor, self.group)

    def sums(self, gradients: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> list[Tensor | None]:
        """The sums of each parameter's gradients, in one message; ``None`` where no process has one.

        On an accelerator a parameter that no process reaches gets 0: finding out would stall the device.
        """
        if not parameters:
            return []
        dtype, device = torch.float32, parameters[0].device
        for parameter in parameters:
            dtype = torch.promote_types(dtype, parameter.dtype)
        found = [gradient is not None for gradient in gradients]
        parts = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)]
        flat = [part.detach().reshape(-1).to(dtype) for part in parts]
        total = self.sum(torch.cat([*flat, torch.tensor(found, dtype=dtype, device=device)]))
        *pieces, reached = total.split([*(part.numel() for part in parts), len(parts)])
        known = [True] * len(parts) if device.type != "cpu" else [bool(count) for count in reached.tolist()]
        return [
            piece.view(parameter.shape).to(parameter.dtype) if one else None
            for piece, parameter, one in zip(pieces, parameters, known, strict=True)
        ]

    def agreed(self, value: Any) -> Any:
        """``value`` as the first process has it; anything that can be pickled."""
        return collectives.as_first(value, self.group)

    def from_first(self, function: Callable[[], Answer]) -> Answer:
        """What ``function`` gives in the first process, where alone it is called; an error of the package is raised in all."""
        answer: Any = None
        if self.first:
            try:
                answer = function()
            except MooMtlError as error:
                answer = error
        answer = self.agreed(answer)
        if isinstance(answer, MooMtlError):
            raise answer
        found: Answer = answer
        return found

    def alike(self, value: Any) -> bool:
        """Whether all processes have the same value."""
        return all(other == value for other in collectives.everyones(value, self.group))


def reduced(look: Look, across: Processes, own: Sequence[Tensor]) -> Look:
    """The look at the joint batch, from each process's look at its part, seeded with its shares.

    Args:
        look: from an engine that holds rows, or multiplies with the Gramian.
        across: who looks.
        own: parameters that are not shared, in the same order everywhere.
    """

    def on_own(factors: Tensor) -> list[Tensor | None]:
        return across.sums(look.own(factors), own)

    if look.rows is not None:
        rows = across.sum(look.rows)
        by_task = look.by_task
        return Look(
            rows,
            None,
            lambda weights: combined(weights, rows),
            on_own,
            by_task=None if by_task is None else lambda: [across.sums(gradients, own) for gradients in by_task()],
        )
    along = look.along
    assert along is not None, "engines without rows and products are refused before"

    def direction(weights: Tensor) -> Tensor:
        return across.sum(look.direction(weights))

    return Look(None, None, direction, on_own, lambda weights: across.sum(along(direction(weights))))
