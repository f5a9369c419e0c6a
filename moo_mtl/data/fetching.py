"""Downloads of data files, when the user asks: the content is held to its checksum before it is put in its place."""

from __future__ import annotations

import gzip
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from moo_mtl.data.checksums import ORIGIN, SHA256
from moo_mtl.data.files import checked, data_folder, locate
from moo_mtl.data.sources import FOLDERS, SOURCES, Source, files_of
from moo_mtl.errors import DataError, unknown


def fetch(name: str, root: str | Path | None = None, *, advance: Callable[[str, int, int], None] | None = None) -> list[Path]:
    """Put the files of a data set where its loader finds them; those that are there already are left alone.

    Args:
        name: of the data set.
        root: the data folder, which is made if need be; ``None`` means the environment variable MOO_MTL_DATA.
        advance: called with a file's name, and how many of how many bytes have come (0 if nobody knows).

    Returns:
        The set's files.

    Raises:
        InputError: no such data set, or one that has no files.
        DataError: a file cannot be had: it is derived from others, its source does not answer, or its content is not the one
            that its checksum promises. Whatever was fetched before stays.
    """
    if name not in FOLDERS:
        raise unknown("data set with files:", name, FOLDERS)
    place = data_folder(name, root, must_exist=False)
    files = files_of(name)
    if not files:
        raise DataError(
            f"{name} cannot be fetched, its terms want you to ask for it; put it into {place / name}: {ORIGIN[name]}"
        )
    absent = [file for file in files if locate(file, place) is None]
    for file in absent:
        if file not in SOURCES:
            raise DataError(f"{file} cannot be fetched, put it into {place}: {ORIGIN[file.split('/')[0]]}")
    return [locate(file, place) or _fetched(file, place, advance or _silent) for file in files]


def _fetched(file: str, place: Path, advance: Callable[[str, int, int], None]) -> Path:
    source, goal = SOURCES[file], place / file
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=goal.parent, prefix=".fetching-") as folder:
            packed = _downloaded(file, source, Path(folder), advance)
            content = checked(file, f"{file} from {source.url}", _unpacked(source, packed))
            part = Path(folder) / goal.name
            part.write_bytes(content)
            part.replace(goal)
    except (OSError, EOFError, zipfile.BadZipFile, KeyError, ValueError) as error:  # ValueError: pooch's other checksum
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{file} could not be fetched from {source.url}: {reason}; {ORIGIN[file.split('/')[0]]}") from error
    return goal


def _downloaded(file: str, source: Source, folder: Path, advance: Callable[[str, int, int], None]) -> Path:
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    raw = source.member is None and not source.url.endswith(".gz")
    path = pooch.retrieve(
        source.url,
        known_hash=f"sha256:{SHA256[file]}" if raw else None,  # of a packed file the content's is known
        fname=f"download-{Path(source.url).name}",
        path=folder,
        downloader=pooch.HTTPDownloader(progressbar=_Bar(file, advance), timeout=30),
    )
    return Path(path)


def _unpacked(source: Source, packed: Path) -> bytes:
    if source.member is not None:
        with zipfile.ZipFile(packed) as archive:
            return archive.read(source.member)
    content = packed.read_bytes()
    return gzip.decompress(content) if source.url.endswith(".gz") else content


class _Bar:
    """Pooch's idea of a progress bar."""

    total = 0

    def __init__(self, file: str, advance: Callable[[str, int, int], None]) -> None:
        self.file, self.advance, self.done = file, advance, 0

    def update(self, n_bytes: int) -> None:
        self.done += n_bytes
        self.advance(self.file, self.done, self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


def _silent(*_: Any) -> None:
    pass
