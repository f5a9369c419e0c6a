"""What this machine has of what moo_mtl can use: versions, devices, extras, data; with what to do about what is missing."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from moo_mtl import __version__

Lines = list[tuple[str, str]]
Section = tuple[str, tuple[str, str], Lines]  # title, columns, lines


def sections() -> Iterator[Section]:
    """Everything, as tables of words."""
    yield "versions", ("what", "version"), versions()
    yield "devices", ("device", "what it is"), devices()
    yield "extras", ("extra", "state"), extras()
    yield "data sets in files", ("set", "state"), data()


def versions() -> Lines:
    """Versions of the packages that compute."""
    own = [("moo_mtl", f"{__version__} in {Path(__file__).parent}"), ("python", f"{platform.python_version()} in {sys.prefix}")]
    return [
        *own,
        *((package, _version(package) or "not installed") for package in _required("")),
        ("system", platform.platform()),
    ]


def devices() -> Lines:
    """The devices that ``--device`` takes here."""
    import torch

    found = [("cpu", f"{os.cpu_count()} cores; a run computes with threads = 1 unless its file says otherwise")]
    if torch.cuda.is_available():
        found += [(f"cuda:{n}", torch.cuda.get_device_name(n)) for n in range(torch.cuda.device_count())]
    else:
        found.append(("cuda", f"none: torch {torch.__version__} sees no GPU"))
    if torch.backends.mps.is_available():
        found.append(("mps", "Apple's GPU; it has no float64, so solvers stay on the CPU"))
    return found


def extras() -> Lines:
    """Which extras are installed, and the command that installs each of the others."""
    lines = []
    for extra in _extras():
        missing = [package for package in _required(extra) if _version(package) is None]
        state = f"missing {', '.join(missing)}: pip install 'moo_mtl[{extra}]'" if missing else "installed"
        lines.append((extra, state))
    return lines


def data() -> Lines:
    """Which data sets lie in the data folder, by the presence of their files; checksums are compared when a set is read."""
    from moo_mtl.data.checksums import ORIGIN, SHA256
    from moo_mtl.data.files import ENVIRONMENT

    root = os.environ.get(ENVIRONMENT)
    if not root:
        return [("none", f"no data folder is given: set {ENVIRONMENT}, or use --data-root FOLDER")]
    if not Path(root).is_dir():
        return [("none", f"the data folder {root} does not exist; {ENVIRONMENT} or --data-root names it")]
    lines = []
    for name, origin in sorted(ORIGIN.items()):
        files = [file for file in SHA256 if file.startswith(f"{name}/")]
        found = [file for file in files if any(Path(root, f"{file}{suffix}").is_file() for suffix in ("", ".gz", ".xz"))]
        whole = len(found) == len(files) if files else Path(root, name).is_dir()
        missing = f"{len(found)} of {len(files)} files found" if found else "not found"
        lines.append((name, "found" if whole else f"{missing}. {origin}"))
    return lines


def _required(extra: str) -> list[str]:
    """Packages that moo_mtl needs, or that one of its extras adds."""
    found = []
    for requirement in requires("moo_mtl") or []:
        package, _, condition = requirement.partition(";")
        if (f'extra == "{extra}"' in condition.replace("'", '"')) if extra else not condition.strip():
            found.append(re.split(r"[\s<>=!~\[]", package.strip())[0])
    return found


def _extras() -> list[str]:
    found = re.findall(r"extra == [\"']([\w-]+)[\"']", " ".join(requires("moo_mtl") or []))
    return list(dict.fromkeys(found))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
