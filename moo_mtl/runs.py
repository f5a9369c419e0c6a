"""The folder of one single run: what was asked, what came out, and enough to go on after a ``kill -9``.

``runs/<experiment>/<hash>/``, where the hash is over the resolved configuration and the sources that compute the result, holds

- ``config.json``: the resolved configuration, seed included;
- ``status.json``: unfinished, failed with its error, or finished; versions, duration, peak memory, and the checksums of a
  finished run's files;
- ``metrics.json``: numbers by name;
- ``result.npz``: the arrays;
- ``checkpoint.pt``: the state to go on from, while unfinished.

A run is computed by whoever holds its ``lock``. Nothing but a finished or failed ``status.json`` ends it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from moo_mtl.errors import BusyError, RunError
from moo_mtl.imports import sources
from moo_mtl.storage import PART, create, damaged, read_json, write_json

CALLER = "caller.lock"  # held, beside the run's lock, by the process that has started several to compute it
CHECKPOINT_EVERY = 5.0  # seconds: what a kill -9 costs at most

State = Literal["absent", "unfinished", "failed", "finished"]


@dataclass(frozen=True)
class Run:
    """One run's folder. Nothing is cached: what it says is what is on the disk."""

    folder: Path
    config: Mapping[str, Any]

    @property
    def state(self) -> State:
        """How far the run has come.

        Raises:
            DamageError: the folder's files contradict each other or their checksums.
        """
        if not (self.folder / "status.json").exists():
            return "absent"
        status = self.status
        if read_json(self.folder / "config.json") != self.config:
            raise damaged(self.folder, "config.json is not the configuration that this folder was made for")
        state: State | None = status.get("state")
        if state in ("unfinished", "failed"):
            return state
        if state != "finished" or not isinstance(status.get("files"), dict):
            raise damaged(self.folder, "status.json does not say how far the run has come")
        for name, digest in status["files"].items():
            if _checksum(self.folder / name) != digest:
                raise damaged(self.folder, f"{name} is not what the run wrote")
        return "finished"

    @property
    def status(self) -> dict[str, Any]:
        """What ``status.json`` says.

        Raises:
            DamageError: it cannot be read, or an entry is not of its kind.
        """
        status = read_json(self.folder / "status.json")
        if strange := [key for key, kind in _STATUS.items() if key in status and not isinstance(status[key], kind)]:
            raise damaged(self.folder, f"the {strange[0]} in status.json is not of its kind")
        parts = [*status.get("versions", {}).values(), *status.get("files", {}).values(), *status.get("batch", {}).values()]
        if not all(isinstance(part, (str, int)) for part in parts):
            raise damaged(self.folder, "a version, checksum or batch in status.json is not of its kind")
        return status

    @property
    def metrics(self) -> dict[str, Any]:
        return read_json(self.folder / "metrics.json")

    @property
    def checkpoint(self) -> Path:
        """Where the state to go on from lies while the run is unfinished."""
        return self.folder / "checkpoint.pt"

    @property
    def result(self) -> Path:
        """Where the arrays of the result lie."""
        return self.folder / "result.npz"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder, created if need be, against a second writer; the lock goes with the process, however it ends.

        Raises:
            BusyError: another process is computing this very run.
            RunError: the folder cannot be created.
        """
        create(self.folder)
        with locked(self.folder / "lock"):
            yield

    def begin(self) -> None:
        """Note that the run has started; what an earlier attempt left stays."""
        write_json(self.folder / "config.json", self.config)
        write_json(self.folder / "status.json", {"state": "unfinished", **self._provenance()})

    def finish(self, metrics: Mapping[str, Any], measured: Mapping[str, Any], *, durable: bool = True) -> None:
        """Note the metrics and that the result, already written, is complete; the checkpoint goes.

        Args:
            metrics: numbers by name, JSON types.
            measured: what computing took: ``seconds``, ``peak_mb``; a batch.
            durable: see ``storage.write``.
        """
        write_json(self.folder / "config.json", self.config, durable=durable)
        write_json(self.folder / "metrics.json", metrics, durable=durable)
        files = sorted(file for file in self.folder.iterdir() if file.is_file())
        kept = [file for file in files if file.name not in _NOT_RESULTS and not file.name.startswith(PART)]
        status = {"state": "finished", **measured, **self._provenance()}
        checksums = {file.name: _checksum(file) for file in kept}
        write_json(self.folder / "status.json", {**status, "files": checksums}, durable=durable)
        self.checkpoint.unlink(missing_ok=True)

    def fail(self, error: str, measured: Mapping[str, Any], trace: str | None = None) -> None:
        """Note why there will be no result; the checkpoint goes, since the same computation would fail again."""
        write_json(self.folder / "config.json", self.config)
        status = {"state": "failed", "error": error, **measured, **self._provenance()}
        write_json(self.folder / "status.json", status if trace is None else {**status, "traceback": trace})
        self.checkpoint.unlink(missing_ok=True)

    def _provenance(self) -> dict[str, Any]:
        return {"versions": versions(), "sources": sources_digest(self.config)}


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock that a file stands for; its age says since when.

    Raises:
        BusyError: another process holds it.
        RunError: the file cannot be written.
    """
    try:
        lock = file.open("w")
    except OSError as error:
        raise RunError(f"cannot write to {file.parent}: {error.strerror}; what was written before is kept") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"another process is computing {file.parent}; wait for it, or stop it") from error
        os.utime(file)
        yield


_STATUS: dict[str, type | tuple[type, ...]] = {  # the kinds of its entries
    **dict.fromkeys(("state", "error", "traceback", "sources"), str),
    **dict.fromkeys(("seconds", "peak_mb"), (int, float)),
    **dict.fromkeys(("versions", "files", "batch"), dict),
}
_NOT_RESULTS = {"status.json", "checkpoint.pt", "lock", CALLER}


def locate(root: Path, experiment: str, config: Mapping[str, Any]) -> Run:
    """The run of this configuration and these sources, whether or not it has been computed."""
    identity = json.dumps([config, sources_digest(config)], sort_keys=True)
    return Run(root / experiment / hashlib.sha256(identity.encode()).hexdigest()[:16], config)


def read(folder: Path) -> Run:
    """The run in a folder.

    Raises:
        RunError: there is none, or its files are damaged.
    """
    if not (folder / "status.json").exists():
        raise RunError(f"{folder} is not the folder of a run: it has no status.json; run folders are runs/<experiment>/<hash>")
    run = Run(folder, read_json(folder / "config.json"))
    _ = run.state
    return run


@cache
def versions() -> dict[str, str]:
    """What computed the run."""
    from moo_mtl import __version__

    return {
        "moo_mtl": __version__,
        "torch": version("torch"),
        "numpy": version("numpy"),
        "python": platform.python_version(),
        "platform": sys.platform,
    }


def sources_digest(config: Mapping[str, Any]) -> str:
    """Digest of the package's sources, and of the user's modules that the configuration names as ``module:attribute``.

    The neighbours that those import count as well, so that a changed rule never passes for an old result.
    """
    digest = hashlib.sha256(_package_digest().encode())
    for module in sorted(set(_modules(config))):
        digest.update(f"{module}\0".encode())
        for file in sources(module):
            digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def tree_digest(folder: Path) -> str:
    """Digest of the names and contents of all Python files below a folder."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _package_digest() -> str:
    # Once a process: what counts is the code that was loaded, whatever an editor saves while it runs.
    return tree_digest(Path(__file__).parent)


def _modules(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        module, colon, attribute = value.partition(":")
        if colon and all(part.isidentifier() for part in [*module.split("."), *attribute.split(".")]):
            yield module
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _modules(item)
    elif isinstance(value, list):
        for item in value:
            yield from _modules(item)


def _checksum(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise damaged(file.parent, f"{file.name} cannot be read") from error
