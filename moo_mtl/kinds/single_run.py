"""What one single run computes: a configuration in, metrics and arrays in the run's folder out, resumed where it was left.

A kind of experiment is a module with four functions: ``check``, ``length``, ``perform`` and ``result``. Where many runs can be
one tensor program, a second module has ``alike``, ``capacity`` and ``perform``.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch

from moo_mtl import memory
from moo_mtl.config import Single
from moo_mtl.errors import MooMtlError, RunError
from moo_mtl.runs import Run
from moo_mtl.users_code import sentence

Metrics = dict[str, Any]

_KINDS = {
    "trace": "moo_mtl.kinds.trace_run",
    "train": "moo_mtl.kinds.train_run",
    "front": "moo_mtl.kinds.front_run",
}  # imported on first use
_BATCHED = {"trace": "moo_mtl.kinds.trace_batch"}


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


class BatchedKind(Protocol):
    """What a kind must be able to do if many of its runs can be computed together."""

    def alike(self, config: Any) -> str | None:
        """A key, equal for runs that can be computed together; ``None`` for a run that must be alone."""

    def capacity(self, config: Any) -> int:
        """How many of them are computed at a time."""

    def perform(
        self, configs: Sequence[Any], checkpoint: Path, advance: Callable[[int], None]
    ) -> list[tuple[Any, Metrics] | None]:
        """Compute what is left; arrays and metrics of each run, ``None`` where a run failed without stopping the others."""


def batched(config: Single) -> BatchedKind | None:
    """The module that computes many runs like this one together, if there is one."""
    name = config.resolved()["kind"]
    found: Any = import_module(_BATCHED[name]) if name in _BATCHED else None
    return found


def alike(config: Single) -> str | None:
    """A key, equal for runs that can be computed together; ``None`` for a run that must be alone."""
    module = batched(config)
    return None if module is None else module.alike(config)


def perform(config: Single, run: Run, advance: Callable[[int], None]) -> None:
    """Compute a run, or what is left of it, and complete its folder; a finished one is left as it is.

    A computation that fails by name (a loss is NaN, say), or by an exception of a user's own code, is noted in the folder.

    Args:
        config: what to compute.
        run: the folder to write to; a checkpoint in it is gone on from.
        advance: called with the number of steps or epochs done so far.

    Raises:
        DamageError: what is in the folder cannot be trusted.
        BusyError: another process computes this run.
        RunError: the folder cannot be written; the other runs would meet this as well.
    """
    settle(config)
    with run.writing(), writable(run.folder):
        if run.state == "finished":
            return
        measured = Measured(config)
        try:
            run.begin()
            metrics = kind(config).perform(config, run, advance)
            run.finish(metrics, measured())
        except (RunError, OSError):
            raise
        except Exception as error:  # noted, if there is room for it
            known = isinstance(error, MooMtlError)
            run.fail(str(error) if known else sentence(error), measured(), None if known else traceback.format_exc())


def settle(config: Single) -> None:
    """Set what torch has for the whole process: threads, and operations that repeat to the last bit."""
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if config.deterministic != torch.are_deterministic_algorithms_enabled():  # to set it imports torch's compiler, for seconds
        torch.use_deterministic_algorithms(config.deterministic)
    torch.set_num_threads(config.threads)


class Measured:
    """What a computation takes from here on, for ``status.json``: ``seconds``, and ``peak_mb`` of memory."""

    def __init__(self, config: Single) -> None:
        self.started, self.peak = time.monotonic(), memory.Peak(config.device)

    def __call__(self) -> dict[str, float]:
        return {"seconds": round(time.monotonic() - self.started, 3), "peak_mb": round(self.peak.megabytes, 1)}


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """A folder that cannot be written to, by a full disk say, is named.

    Raises:
        RunError: it cannot be.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror or error}; what was written before is kept") from error
