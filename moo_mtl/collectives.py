"""What the processes of a ``torch.distributed`` group tell each other; where one of them is gone, the others are told so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist

# Its functions take the group of the moment as a default: imported later, as torch._dynamo does, they would keep a destroyed
# group alive, with threads that abort the process when it ends.
import torch.distributed.nn.functional
from torch import Tensor

from moo_mtl.errors import LostError

Group = dist.ProcessGroup | None  # None: all processes


def summed(tensor: Tensor, group: Group = None) -> Tensor:
    """The sum over the processes, the same to the last bit in each.

    Raises:
        LostError: another process cannot be reached.
    """
    total = tensor.detach().clone(memory_format=torch.contiguous_format)
    with _reaching():
        dist.all_reduce(total, group=group)
    return total


def copy_first(tensor: Tensor, group: Group = None) -> None:
    """Make a tensor in place what it is in the first process.

    Raises:
        LostError: another process cannot be reached.
    """
    with _reaching():
        dist.broadcast(tensor, group=group, group_src=0)


def as_first(value: Any, group: Group = None) -> Any:
    """``value`` as the first process has it; anything that can be pickled.

    Raises:
        LostError: another process cannot be reached.
    """
    box = [value]
    with _reaching():
        dist.broadcast_object_list(box, group=group, group_src=0)
    return box[0]


def everyones(value: Any, group: Group = None) -> list[Any]:
    """The value of each process; anything that can be pickled.

    Raises:
        LostError: another process cannot be reached.
    """
    found: list[Any] = [None] * dist.get_world_size(group)
    with _reaching():
        dist.all_gather_object(found, value, group=group)
    return found


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # what gloo and NCCL raise
        raise LostError(f"another of the processes that train together is gone ({str(error).partition(chr(10))[0]})") from error
