"""Files that are whole or absent: written beside their place and renamed onto it, so that a reader never sees half of one."""

from __future__ import annotations

import fcntl
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moo_mtl.errors import DamageError, RunError

PART = ".part-"  # a prefix, because writers look at the suffix


def create(folder: Path) -> None:
    """Create a folder and those above it.

    Raises:
        RunError: it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot create the folder {folder}: {error.strerror}; choose another with --out") from error


def prepare(folder: Path) -> None:
    """Create an output folder and make sure that files can be written to it.

    Raises:
        RunError: they cannot; the message says why.
    """
    create(folder)
    probe = folder / f".probe-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunError(f"cannot write to the folder {folder}: {error.strerror}; choose another with --out") from error


def write(file: Path, save: Callable[[Path], object], *, durable: bool = True) -> None:
    """Let ``save`` write a file beside its place, and rename it onto it. Processes that write one file take turns.

    Args:
        file: its place.
        save: is called with the path to write to.
        durable: wait until the content is on the disk before the rename, so that not even a power failure leaves half of it.
            One who writes thousands of files does better to call ``os.sync`` once.
    """
    with _held(file.with_name(f"{PART}{file.name}")) as part:
        save(part)
        if durable:
            with part.open("rb") as stream:
                os.fsync(stream.fileno())
        part.replace(file)


@contextmanager
def _held(part: Path) -> Iterator[Path]:
    """Hold the lock of a file that is about to be renamed; who waited for it finds it gone, and opens another."""
    while True:
        with part.open("ab") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            if _is(opened.fileno(), part):
                yield part
                return


def _is(opened: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(opened), file.stat())
    except FileNotFoundError:
        return False


def save(file: Path, content: Callable[[Path], object]) -> None:
    """Write a file that a user asked for.

    Raises:
        RunError: it cannot be written.
    """
    create(file.parent)
    try:
        write(file, content)
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror}; choose another place with --out") from error


def write_json(file: Path, value: Any, *, durable: bool = True) -> None:
    """Write JSON with ``write``."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    write(file, lambda part: part.write_text(text, encoding="utf-8"), durable=durable)


def read_json(file: Path) -> dict[str, Any]:
    """The table in a JSON file.

    Raises:
        DamageError: it cannot be read, or holds something else: also numbers and texts that no database or page can hold.
    """
    try:
        text = file.read_text(encoding="utf-8")
        value = json.loads(text, parse_int=_whole)
        if "\\ud" in text.lower():  # half of a character
            json.dumps(value, ensure_ascii=False).encode()
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(file.parent, f"{file.name} cannot be read") from error
    if not isinstance(value, dict):
        raise damaged(file.parent, f"{file.name} does not hold a table")
    return value


def _whole(digits: str) -> int:
    value = int(digits)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{digits} has more than 64 bits")
    return value


def read_tensors(file: Path) -> dict[str, Any]:
    """The table in a file of ``torch.save``, on the CPU; what it holds beside plain types and tensors is never executed.

    ``torch.load`` passes over the archive's own checksums, so that a flipped bit would be another number.

    Raises:
        DamageError: the file cannot be read, is not what was written, or holds something else.
    """
    import torch

    try:
        with zipfile.ZipFile(file) as archive:
            if (spoiled := archive.testzip()) is not None:
                raise ValueError(f"the checksum of its part {spoiled} is wrong")
        content = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(content, dict):
            raise TypeError(f"found {type(content).__name__}, expected a table")
    except Exception as error:  # torch and zipfile raise what the damage happens to hit: pickle, zip, end of file
        why = str(error).partition("\n")[0].partition(". ")[0] or type(error).__name__
        raise DamageError(f"the checkpoint {file} is damaged; delete it to start anew ({why})") from error
    return content


def damaged(folder: Path, what: str) -> DamageError:
    """The error for a run whose files cannot be trusted."""
    return DamageError(f"the run in {folder} is damaged: {what}; delete the folder {folder} and run the experiment again")
