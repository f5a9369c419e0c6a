"""The whole state of a training run as one file, written so that no kill can leave half of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from moo_mtl.errors import DamageError, RunError
from moo_mtl.storage import read_tensors, write

VERSION = 1


class Checkpoint:
    """One file that is replaced, at most every ``interval`` seconds, by the newest state.

    Nothing in a run depends on when it is written, so a resumed run is bit-identical to an uninterrupted one.

    Args:
        path: of the file; its folder must exist.
        identity: what the state belongs to; a file of another identity is refused.
        interval: seconds between writes; 0 writes after every step.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], interval: float) -> None:
        self.path, self.identity, self.interval = path, dict(identity), interval
        self._written = time.monotonic()

    def offer(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Write the state if it is time to."""
        if time.monotonic() - self._written >= self.interval:
            self.save(state())

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state, in place of the one before.

        Raises:
            RunError: the file cannot be written.
        """
        content = {"version": VERSION, "identity": self.identity, "state": dict(state)}
        try:
            write(self.path, lambda part: _save(content, part))
        except OSError as error:
            raise RunError(f"cannot write the checkpoint {self.path}: {error}") from error
        self._written = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The newest state, or ``None`` where nothing has been written yet.

        Raises:
            RunError: the file is damaged, or of another run.
        """
        if not self.path.exists():
            return None
        content = read_tensors(self.path)
        version, identity, state = (content.get(key) for key in ("version", "identity", "state"))
        if not isinstance(identity, dict) or not isinstance(state, dict):
            raise DamageError(f"the checkpoint {self.path} holds no state of a training run; delete it to train from the start")
        if version != VERSION:
            raise RunError(f"the checkpoint {self.path} has format {version}, expected {VERSION}; delete it to start anew")
        for key in {**self.identity, **identity}:  # in order, so that the message names what is most telling
            if repr(self.identity.get(key)) != repr(identity.get(key)):  # a NaN is as it was
                raise RunError(
                    f"the checkpoint {self.path} is of another run: its {key} is {identity.get(key)!r}, "
                    f"this run's is {self.identity.get(key)!r}; give another path, or delete it to train from the start"
                )
        return dict(state)


def _save(content: Mapping[str, Any], path: Path) -> None:
    with path.open("wb") as stream:  # by its name torch would refuse some files, and hide why others cannot be written
        torch.save(content, stream)
