"""The folder of one single run: what was asked, what came out, and enough to go on after a ``kill -9``.

``runs/<experiment>/<hash>/``, where the hash is over the resolved configuration and the sources that compute the result, holds

- ``config.json``: the resolved configuration, seed included;
- ``status.json``: unfinished or finished, versions, duration, and the checksums of a finished run's files;
- ``metrics.json``: numbers by name;
- ``result.npz``: the arrays;
- ``checkpoint.pt``: the state to go on from, while unfinished.

Every file is written beside its place and renamed onto it, so that a reader never sees half of one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from moo_mtl.errors import RunError
from moo_mtl.imports import sources

CHECKPOINT_EVERY = 5.0  # seconds: what a kill -9 costs at most

State = Literal["absent", "unfinished", "finished"]


@dataclass(frozen=True)
class Run:
    """One run's folder. Nothing is cached: what it says is what is on the disk."""

    folder: Path
    config: Mapping[str, Any]

    @property
    def state(self) -> State:
        """How far the run has come.

        Raises:
            RunError: the folder's files contradict each other or their checksums.
        """
        if not (self.folder / "status.json").exists():
            return "absent"
        status = self.status
        if _json(self.folder / "config.json") != self.config:
            raise _damaged(self.folder, "config.json is not the configuration that this folder was made for")
        if status.get("state") == "unfinished":
            return "unfinished"
        if status.get("state") != "finished" or not isinstance(status.get("files"), dict):
            raise _damaged(self.folder, "status.json does not say how far the run has come")
        for name, digest in status["files"].items():
            if _checksum(self.folder / name) != digest:
                raise _damaged(self.folder, f"{name} is not what the run wrote")
        return "finished"

    @property
    def status(self) -> dict[str, Any]:
        return _json(self.folder / "status.json")

    @property
    def metrics(self) -> dict[str, Any]:
        return _json(self.folder / "metrics.json")

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
            RunError: another process is computing this very run, or the folder cannot be created.
        """
        _create(self.folder)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunError(f"another process is computing {self.folder}; wait for it, or stop it") from error
            yield

    def begin(self) -> None:
        """Note that the run has started; what an earlier attempt left stays."""
        write_json(self.folder / "config.json", self.config)
        write_json(self.folder / "status.json", {"state": "unfinished", **self._provenance()})

    def finish(self, metrics: Mapping[str, Any], seconds: float) -> None:
        """Note the metrics and that the result, already written, is complete; the checkpoint goes."""
        write_json(self.folder / "metrics.json", metrics)
        files = sorted(file for file in self.folder.iterdir() if file.is_file())
        kept = [file for file in files if file.name not in _NOT_RESULTS and not file.name.startswith(_PART)]
        status = {"state": "finished", "seconds": round(seconds, 3), **self._provenance()}
        write_json(self.folder / "status.json", {**status, "files": {file.name: _checksum(file) for file in kept}})
        self.checkpoint.unlink(missing_ok=True)

    def _provenance(self) -> dict[str, Any]:
        return {"versions": versions(), "sources": sources_digest(self.config)}


_PART = ".part-"  # a prefix, because writers look at the suffix
_NOT_RESULTS = {"status.json", "checkpoint.pt", "lock"}


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
    run = Run(folder, _json(folder / "config.json"))
    _ = run.state
    return run


def prepare(folder: Path) -> None:
    """Create an output folder and make sure that files can be written to it.

    Raises:
        RunError: they cannot; the message says why.
    """
    _create(folder)
    probe = folder / f".probe-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunError(f"cannot write to the folder {folder}: {error.strerror}; choose another with --out") from error


def write(file: Path, save: Callable[[Path], object]) -> None:
    """Let ``save`` write a file beside its place, and rename it onto it once it is on the disk."""
    part = file.with_name(f"{_PART}{file.name}")
    save(part)
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    part.replace(file)


def write_json(file: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    write(file, lambda part: part.write_text(text, encoding="utf-8"))


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


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot create the folder {folder}: {error.strerror}; choose another with --out") from error


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(file.parent, f"{file.name} cannot be read") from error
    if not isinstance(value, dict):
        raise _damaged(file.parent, f"{file.name} does not hold a table")
    return value


def _checksum(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise _damaged(file.parent, f"{file.name} cannot be read") from error


def _damaged(folder: Path, what: str) -> RunError:
    return RunError(f"the run in {folder} is damaged: {what}; delete the folder {folder} and run the experiment again")
