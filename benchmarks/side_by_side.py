"""Contenders timed in turn, A B C A B C, and compared round by round: a machine's drifting speed then favours none."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Ratio:
    """How many times longer one contender takes than another: median over the rounds, and its 90 % bootstrap interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g}-{self.high:.3g})"


def timed(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int = 9,
    at_least: float = 0.03,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Seconds per call of each contender, ``[rounds]``; a call of less than ``at_least`` seconds is repeated in its turn.

    On a machine that others load, ``time.process_time`` as the clock leaves out what they take.
    """
    repeats = {}
    for name, call in contenders.items():
        call()  # warm-up: imports, caches, allocator
        begin = clock()
        call()
        repeats[name] = max(1, int(at_least / max(clock() - begin, 1e-7)))
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            begin = clock()
            for _ in range(repeats[name]):
                call()
            seconds[name].append((clock() - begin) / repeats[name])
    return {name: np.array(values) for name, values in seconds.items()}


def ratio(slow: np.ndarray, fast: np.ndarray, seed: int = 0) -> Ratio:
    """Median of the per-round ratios ``slow / fast``."""
    ratios = slow / fast
    picks = np.random.default_rng(seed).integers(len(ratios), size=(2000, len(ratios)))
    low, high = np.quantile(np.median(ratios[picks], axis=1), [0.05, 0.95])
    return Ratio(float(np.median(ratios)), float(low), float(high))


def machine() -> str:
    """What the numbers were measured on, in one line."""
    threads = torch.get_num_threads()
    return f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, {threads} thread(s)"
