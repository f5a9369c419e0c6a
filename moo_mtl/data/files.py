"""Files of data sets: found under the user's folder, unpacked, and held against the checksum of their content."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
from pathlib import Path

from moo_mtl.data.checksums import ORIGIN, SHA256
from moo_mtl.errors import DataError

ENVIRONMENT = "MOO_MTL_DATA"
_UNPACK = {"": lambda raw: raw, ".gz": gzip.decompress, ".xz": lzma.decompress}


def read(name: str, root: str | Path | None = None) -> bytes:
    """The content of one file of a data set, unpacked if it lies there as ``.gz`` or ``.xz``.

    Args:
        name: path below the data folder, ``set/file``, one of ``checksums.SHA256``.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        DataError: no folder is given, the file is absent, damaged, or not the one its checksum promises.
    """
    place = data_folder(name, root)
    path = locate(name, place)
    if path is None:
        raise DataError(f"{place / name} is absent (nor is it there as .gz or .xz); {_what_to_do(name)}")
    try:
        content = _UNPACK[path.suffix if path.name != Path(name).name else ""](path.read_bytes())
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise DataError(f"{path} cannot be read ({error}); fetch it again: {ORIGIN[_set(name)]}") from error
    return checked(name, path, content)


def locate(name: str, place: Path) -> Path | None:
    """Where one file of a data set lies in a data folder, packed or not; ``None`` if it is absent."""
    paths = (place / f"{name}{suffix}" for suffix in _UNPACK)
    return next((path for path in paths if path.is_file()), None)


def folder(name: str, root: str | Path | None = None) -> Path:
    """The folder of a data set that comes as many files, which have no known checksums.

    Raises:
        DataError: no data folder is given, or the set is not in it.
    """
    place = data_folder(name, root) / name
    if not place.is_dir():
        raise DataError(f"the folder {place} is absent; put it there: {ORIGIN[name]}")
    return place


def data_folder(name: str, root: str | Path | None, *, must_exist: bool = True) -> Path:
    """The folder that holds all data.

    Args:
        name: what is looked for in it, for the message.
        root: the folder; ``None`` means the environment variable MOO_MTL_DATA.
        must_exist: whether its absence is an error.

    Raises:
        DataError: no folder is given, or it does not exist.
    """
    given = root if root is not None else os.environ.get(ENVIRONMENT)
    if not given:
        raise DataError(
            f"{_set(name)}: no data folder is given; name the folder that holds {name} with --data-root FOLDER, root=..., "
            f"or the environment variable {ENVIRONMENT}. {ORIGIN.get(_set(name), '')}".rstrip()
        )
    place = Path(given)
    if must_exist and not place.is_dir():
        raise DataError(f"the data folder {place} does not exist; {_set(name)} expects {name} in it. {ORIGIN[_set(name)]}")
    return place


def checked(name: str, path: Path | str, content: bytes) -> bytes:
    """The content itself.

    Raises:
        DataError: it is not the one that the checksum promises.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise DataError(f"{path}: SHA-256 of its content is {found}, expected {SHA256[name]}; {ORIGIN[_set(name)]}")
    return content


def _what_to_do(name: str) -> str:
    from moo_mtl.data.sources import FOLDERS, SOURCES

    by_hand = f"put it there: {ORIGIN[_set(name)]}"
    users = [dataset for dataset, folders in FOLDERS.items() if _set(name) in folders]
    return f"`moo-mtl data fetch {users[0]}` downloads it, or {by_hand}" if name in SOURCES and users else by_hand


def _set(name: str) -> str:
    return name.split("/")[0]
