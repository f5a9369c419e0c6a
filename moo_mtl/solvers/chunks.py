"""Large batches on the CPU, some thousand members at a time: their matrices stay in the cache."""

from collections.abc import Callable

import torch
from torch import Tensor

from moo_mtl.solvers.solution import Solution

ENTRIES = 65_536  # of the Gramians of one chunk, half a MiB
LEAST = 512  # members, below which the calls cost more than the cache saves


def many(gramian: Tensor, present: Tensor | None, backend: str) -> bool:
    """Whether a batch is large, on the CPU, for the exact kernels, and without absent tasks."""
    return (
        present is None
        and backend == "exact"
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
