"""Whether the compiled programs answer, and their answers as a Solution: on the CPU, in float64, where Numba is installed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from moo_mtl.solvers.normal_form import TOLERANCE
from moo_mtl.solvers.solution import Solution

LARGEST = 32  # tasks, above which LAPACK is as fast
SHARE = 0.002  # seconds of work a thread is started for, at least
Program = Literal["min_norm", "dualproj", "upgrad", "cagrad"]


def applies(gramian: Tensor, present: Tensor | None, backend: str, extra: object) -> bool:
    """Whether the compiled programs know such a batch: float64 on the CPU, every task there, no CVXPY; and Numba is there."""
    return (
        present is None
        and backend == "exact"
        and extra is None
        and gramian.dtype is torch.float64
        and gramian.device.type == "cpu"
        and gramian.ndim >= 2
        and 1 < gramian.shape[-1] == gramian.shape[-2] <= LARGEST
        and installed()
    )


@cache
def installed() -> bool:
    """Whether Numba is there (``pip install moo_mtl[fast]``); it is not imported."""
    return find_spec("numba") is not None


@cache
def _programs() -> ModuleType:
    return import_module("moo_mtl.solvers.compiled")


def solve(program: Program, gramian: Tensor, general: Callable[[Tensor], Solution], *parameters: float) -> Solution:
    """The compiled ``program`` on every member, and ``general`` on those ``[M, K, K]`` that it does not solve.

    As many threads as ``torch.get_num_threads()`` share a large batch; they are plain threads, since the kernels release the
    interpreter's lock, so that nothing forbids forking or calling from several threads.
    """
    batch, K = gramian.shape[:-2], gramian.shape[-1]
    G = gramian.detach().contiguous().numpy().reshape(-1, K, K)
    B = len(G)
    numbers = np.empty(B * (K + 2))
    weights, value, gap = numbers[: B * K].reshape(B, K), numbers[B * K : B * K + B], numbers[B * K + B :]
    solved = np.zeros(B, dtype=np.bool_)
    kernel = getattr(_programs(), program)

    def share(part: slice) -> None:
        kernel(G[part], weights[part], value[part], gap[part], solved[part], TOLERANCE, *parameters)

    threads = min(torch.get_num_threads(), int(B * K**3 * 1e-9 / SHARE))
    if threads > 1:
        edges = np.linspace(0, B, threads + 1).astype(int)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(share, map(slice, edges[:-1], edges[1:])))
    else:
        kernel(G, weights, value, gap, solved, TOLERANCE, *parameters)
    whole = torch.from_numpy(numbers)
    converged = torch.from_numpy(solved)
    if not solved.all():
        left = np.flatnonzero(~solved)
        rest = general(torch.from_numpy(G[left]))
        weights[left], value[left], gap[left] = rest.weights.numpy(), rest.value.numpy(), rest.gap.numpy()
        solved[left] = rest.converged.numpy()
    if not batch:
        return Solution(whole[:K], whole[K], whole[K + 1], converged[0])
    return Solution(
        whole[: B * K].view(*batch, K),
        whole[B * K : B * K + B].view(batch),
        whole[B * K + B :].view(batch),
        converged.view(batch),
    )
