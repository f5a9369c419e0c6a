"""Batches on the CPU are cut up: few or large members are solved alone, many small ones in chunks that stay in the cache."""

from collections.abc import Callable

import torch
from torch import Tensor

from moo_mtl.solvers.backend import plain
from moo_mtl.solvers.solution import Solution

FEW = 6  # members that alone take less time than the calls for a batch
WIDE = 64  # tasks from which on a member alone fills the cache
ENTRIES = 65_536  # of the Gramians of one chunk, half a MiB
LEAST = 512  # members, below which the calls cost more than the cache saves


def apart(gramian: Tensor, present: Tensor | None, backend: str, extra: object) -> bool:
    """Whether a batch has few members, or large ones, each of which ``single`` could solve."""
    return (
        plain(present, backend, extra)
        and gramian.ndim > 2
        and gramian.numel() > 0
        and (gramian.shape[:-2].numel() <= FEW or gramian.shape[-1] >= WIDE)
        and gramian.dtype is torch.float64
        and gramian.device.type == "cpu"
    )


def one_by_one(solve: Callable[[Tensor], Solution], gramian: Tensor) -> Solution:
    """``solve`` on one member after the other, put together again."""
    batch, K = gramian.shape[:-2], gramian.shape[-1]
    parts = [solve(member) for member in gramian.reshape(-1, *gramian.shape[-2:])]
    weights, *rest = (torch.stack(fields) for fields in zip(*parts, strict=True))
    return Solution(weights.reshape(*batch, K), *(field.reshape(batch) for field in rest))


def many(gramian: Tensor, present: Tensor | None, backend: str, extra: object) -> bool:
    """Whether a batch is large, on the CPU, for the exact kernels, and without absent tasks."""
    return (
        plain(present, backend, extra)
        and gramian.device.type == "cpu"
        and gramian.ndim > 2
        and gramian.shape[-1] == gramian.shape[-2] > 3  # smaller ones are solved entry by entry, in few passes
        and gramian.shape[:-2].numel() > 2 * _size(gramian.shape[-1])
    )


def in_chunks(solve: Callable[[Tensor], Solution], gramian: Tensor) -> Solution:
    """``solve`` on one chunk after the other, put together again."""
    batch, K = gramian.shape[:-2], gramian.shape[-1]
    parts = [solve(part) for part in gramian.reshape(-1, K, K).split(_size(K))]
    weights, *rest = (torch.cat(fields) for fields in zip(*parts, strict=True))
    return Solution(weights.reshape(*batch, K), *(field.reshape(batch) for field in rest))


def _size(tasks: int) -> int:
    return max(LEAST, ENTRIES // tasks**2)
