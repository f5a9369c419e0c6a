"""Training in two processes on the CPU, and what it is compared with: one process on the joint batch."""

from __future__ import annotations

import os
import socket
import tempfile
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing

SPAWN = torch.multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["moo_mtl.training", "torch._dynamo", "pytest", "tests.distributed"])


def together(program, *arguments, size=2):
    """What ``program(rank, *arguments)`` gives in each of several processes of one group.

    Raises:
        RuntimeError: a process ends with another exit code than 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = Path(folder) / "rendezvous"
        children = [
            SPAWN.Process(target=_member, args=(program, rank, size, folder, rendezvous, arguments)) for rank in range(size)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join(120)
        codes = [child.exitcode for child in children]
        for child in children:
            child.kill()
        if any(codes):
            raise RuntimeError(f"exit codes {codes}")
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(size)]


def _member(program, rank, size, folder, rendezvous, arguments):
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=size, timeout=timedelta(seconds=60)
    )
    answer = program(rank, *arguments)
    torch.save(answer, Path(folder) / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
