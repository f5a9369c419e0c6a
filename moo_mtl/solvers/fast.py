"""Whether the compiled programs answer, and their answers as a Solution: on the CPU, in float64, where Numba is installed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from types import ModuleType
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from moo_mtl.solvers.backend import plain
from moo_mtl.solvers.chunks import FEW, WIDE
from moo_mtl.solvers.normal_form import TOLERANCE
from moo_mtl.solvers.solution import Solution

LARGEST = 160  # tasks, above which LAPACK is as fast
SHARE = 0.002  # seconds of work a thread is started for, at least, at about
NANOSECOND = 1e-9  # for each of the K^3 products of a solve
Program = Literal["min_norm", "dualproj", "upgrad", "cagrad"]


def applies(gramian: Tensor, present: Tensor | None, backend: str, extra: object) -> bool:
    """Whether the compiled programs know such a batch: float64 on the CPU, every task there, no CVXPY; and Numba is there."""
    return (
        plain(present, backend, extra)
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
    weights, value, gap, converged = np.empty((*batch, K)), np.empty(batch), np.empty(batch), np.zeros(batch, np.bool_)
    G = (gramian.detach() if gramian.requires_grad else gramian).numpy()
    if not G.flags.c_contiguous:
        G = np.ascontiguousarray(G)
    G = G.reshape(-1, K, K)
    flat = weights.reshape(-1, K), value.reshape(-1), gap.reshape(-1), converged.reshape(-1)
    kernel = getattr(_programs(), program)
    B = len(G)
    threads = 1 if B == 1 else min(torch.get_num_threads(), int(B * K**3 * NANOSECOND / SHARE))
    if threads > 1:
        edges = np.linspace(0, B, threads + 1).astype(int)
        with ThreadPoolExecutor(threads) as pool:
            shares = [slice(start, end) for start, end in pairwise(edges)]
            list(pool.map(lambda part: kernel(G[part], *(field[part] for field in flat), TOLERANCE, *parameters), shares))
    else:
        kernel(G, *flat, TOLERANCE, *parameters)
    solved = flat[-1]
    if not (solved[0] if B == 1 else solved.all()):
        left = np.flatnonzero(~solved)
        alone = len(left) <= FEW or K >= WIDE  # then nothing depends on which other members are left
        for some in left[:, None] if alone else [left]:
            for field, rest in zip(flat, general(torch.from_numpy(G[some])), strict=True):
                field[some] = rest.numpy()
    return Solution(*map(torch.from_numpy, (weights, value, gap, converged)))
