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
    place = _folder(name, root)
    for suffix, unpack in _UNPACK.items():
        path = place / f"{name}{suffix}"
        if path.is_file():
            try:
                content = unpack(path.read_bytes())
            except (OSError, EOFError, lzma.LZMAError) as error:
                raise DataError(f"{path} cannot be read ({error}); fetch it again: {ORIGIN[_set(name)]}") from error
            return _checked(name, path, content)
    raise DataError(f"{place / name} is absent (nor is it there as .gz or .xz); put it there: {ORIGIN[_set(name)]}")


def folder(name: str, root: str | Path | None = None) -> Path:
    """The folder of a data set that comes as many files, which have no known checksums.

    Raises:
        DataError: no data folder is given, or the set is not in it.
    """
    place = _folder(name, root) / name
    if not place.is_dir():
        raise DataError(f"the folder {place} is absent; put it there: {ORIGIN[name]}")
    return place


def _folder(name: str, root: str | Path | None) -> Path:
    given = root if root is not None else os.environ.get(ENVIRONMENT)
    if not given:
        raise DataError(
            f"{_set(name)}: no data folder is given; name the folder that holds {name} with --data-root FOLDER, root=..., "
            f"or the environment variable {ENVIRONMENT}. {ORIGIN[_set(name)]}"
        )
    place = Path(given)
    if not place.is_dir():
        raise DataError(f"the data folder {place} does not exist; {_set(name)} expects {name} in it. {ORIGIN[_set(name)]}")
    return place


def _checked(name: str, path: Path, content: bytes) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise DataError(f"{path}: SHA-256 of its content is {found}, expected {SHA256[name]}; {ORIGIN[_set(name)]}")
    return content


def _set(name: str) -> str:
    return name.split("/")[0]
