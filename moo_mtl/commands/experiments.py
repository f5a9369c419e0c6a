"""What ``run`` and ``sweep`` do alike: read experiment files, end on Ctrl-C with a sentence, say what failed."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from moo_mtl.errors import InputError

if TYPE_CHECKING:
    from moo_mtl.config import Experiment

SHOWN = 10  # failures by sentence; the database has the rest


def read(
    files: Sequence[Path], settings: Sequence[str], out: Path, device: str | None, dtype: str | None, deterministic: bool
) -> list[Experiment]:
    """The experiments of the files; each one's folder can be written to."""
    from moo_mtl import config, storage

    overrides = [f"{key}={json.dumps(value)}" for key, value in (("device", device), ("dtype", dtype)) if value is not None]
    overrides += ["deterministic=true"] * deterministic
    experiments = [config.read(file, [*settings, *overrides]) for file in files]
    names = [one.name for one in experiments]
    for file, name in zip(files, names, strict=True):
        if names.count(name) > 1:
            raise InputError(f"{file}: two of the files are called {name}, which names the folder of their runs; rename one")
        storage.prepare(out / name)
    return experiments


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits until the imports inside are done.

    PyTorch asks in C whether NumPy can be imported and takes an interrupt for a no. Half of NumPy would then stay, with which
    run after run would fail.

    Raises:
        KeyboardInterrupt: afterwards, if it was pressed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def interruptible(out: Path) -> Iterator[None]:
    """Ctrl-C ends the command with exit code 130 and a sentence instead of a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        print(
            f"Stopped. What is finished is kept in {out}; the same command goes on from the last checkpoint.", file=sys.stderr
        )
        raise typer.Exit(130) from None


def say_failures(failures: Sequence[str]) -> None:
    """A line for each of the first failures, and exit code 2 if there are any."""
    for failure in failures[:SHOWN]:
        print(f"moo-mtl: {failure}", file=sys.stderr)
    if len(failures) > SHOWN:
        print(f"moo-mtl: and {len(failures) - SHOWN} more; moo-mtl results --where \"state = 'failed'\"", file=sys.stderr)
    if failures:
        raise typer.Exit(2)
