"""What one single run computes: a configuration in, metrics and arrays in the run's folder out, resumed where it was left.

A kind of experiment is a module with four functions: ``check``, ``length``, ``perform`` and ``result``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

import torch

from moo_mtl.config import Single
from moo_mtl.errors import RunError
from moo_mtl.runs import Run

Metrics = dict[str, Any]

_KINDS = {"trace": "moo_mtl.trace_run", "train": "moo_mtl.train_run"}  # imported on first use


class Kind(Protocol):
    """What a kind of experiment must be able to do."""

    def check(self, config: Any) -> None:
        """Raise the first ``MooMtlError`` that the run would meet, without running it."""

    def length(self, config: Any) -> tuple[int, str]:
        """How many steps or epochs the run takes, and which of the two."""

    def perform(self, config: Any, run: Run, advance: Callable[[int], None]) -> Metrics:
        """Compute what is left of the run, write ``run.result``, and return the metrics."""

    def result(self, run: Run) -> Any:
        """The arrays of a finished run: a ``Trace``, a ``History``."""


def kind(config: Single) -> Kind:
    """The module that knows how to run this configuration."""
    found: Any = import_module(_KINDS[config.resolved()["kind"]])
    return found


def perform(config: Single, run: Run, advance: Callable[[int], None]) -> None:
    """Compute a run, or what is left of it, and complete its folder.

    Args:
        config: what to compute.
        run: the folder to write to; a checkpoint in it is gone on from.
        advance: called with the number of steps or epochs done so far.

    Raises:
        MooMtlError: the computation fails by name (a loss is NaN, say), or the folder is in use or damaged.
    """
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(config.deterministic)
    torch.set_num_threads(config.threads)
    with run.writing():
        started = time.monotonic()
        try:
            run.begin()
            metrics = kind(config).perform(config, run, advance)
            run.finish(metrics, time.monotonic() - started)
        except OSError as error:
            raise RunError(f"cannot write to {run.folder}: {error.strerror}; what was written before is kept") from error
