"""All random generators that a training run can touch: Python's, NumPy's, torch's on the CPU and on the accelerator."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from moo_mtl.engines import Processes
from moo_mtl.randomness import uniforms

States = dict[str, Any]


def states(device: torch.device) -> States:
    """The states of all generators, in types that ``torch.load(weights_only=True)`` reads back."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    found: States = {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def restore(saved: Mapping[str, Any], device: torch.device) -> None:
    """Put all generators back where they were."""
    random.setstate(saved["python"])
    kind, keys, *rest = saved["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(saved["torch"])
    if device.type == "cuda" and "cuda" in saved:
        torch.cuda.set_rng_state(saved["cuda"], device)


@contextmanager
def of_process(across: Processes | None, seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Dropout is another in each of several processes; what a loader draws afterwards is the same in all of them."""
    if across is None:
        yield
        return
    number = uniforms(seed, torch.tensor(_STREAM - across.rank), step, 1)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(number * 2**53))
        yield


_STREAM = -(2**32)  # of the run's random numbers, apart from those of the data's order


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Every generator begins at ``seed`` and ends where it stood: a run neither depends on its caller nor disturbs it."""
    before = states(device)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        restore(before, device)
