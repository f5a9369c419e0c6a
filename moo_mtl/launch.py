"""Several processes that ``torchrun`` has started: the first runs the command, and the others train with it when it does.

``torchrun --nproc-per-node 2 -m moo_mtl run FILE``: only the first process reads experiment files, prints, and writes folders.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def launched() -> bool:
    """Whether there are other processes than this one."""
    return size() > 1


def size() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def first() -> bool:
    """Whether this is the process that runs the command."""
    return int(os.environ.get("RANK", "0")) == 0


def device(name: str) -> str:
    """This process's own accelerator, where ``"cuda"`` is asked for."""
    return f"{name}:{os.environ['LOCAL_RANK']}" if launched() and name == "cuda" else name


@contextmanager
def joined() -> Iterator[None]:
    """The processes in one group: by NCCL for tensors on GPUs, and by gloo for those on the CPU.

    When the first process leaves, it dismisses those that ``follow``.
    """
    if not launched():
        yield
        return
    import torch
    import torch.distributed as dist

    from moo_mtl import collectives  # noqa: F401  (before there is a group: it says why)
    from moo_mtl.errors import LostError

    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    waiting = first()
    try:
        yield
    except (KeyboardInterrupt, LostError):
        waiting = False  # the others have been interrupted as well, or are gone
        raise
    finally:
        if waiting:
            tell(None)
        # Who holds gloo last joins its threads. They may wait for the interpreter, which a group would not let go (torch 2.6).
        group = dist.group.WORLD
        gloo = None if group is None else group._get_backend(torch.device("cpu"))
        del group
        dist.destroy_process_group()
        del gloo


def tell(message: Any) -> Any:
    """What the first process says, heard by all; anything that can be pickled."""
    from moo_mtl import collectives

    return collectives.as_first(message)


def follow(take_part: Callable[[Any], None]) -> None:
    """Take part in whatever the first process begins, until it dismisses this one."""
    while (message := tell(None)) is not None:
        take_part(message)
