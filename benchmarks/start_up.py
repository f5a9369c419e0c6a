"""What it costs to begin: imports, ``--help``, the size of the installation: ``python -m benchmarks.start_up``.

Every number is of a fresh process. An import is timed on top of ``import torch``, inside the process, so that torch's own
seconds do not drown it. ``--help`` is the whole command.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.section import Section, Table, run

ON_TOP_OF_TORCH = {"moo_mtl": 0.15, "torchjd": None, "libmoon": None, "LibMTL": None}  # target in seconds
HELP = 0.4  # seconds, the target of `moo-mtl --help`
_IMPORT = "import torch, time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"


def measure(quick: bool = False) -> Section:
    """Imports and ``--help``, each in fresh processes taken in turn; sizes and dependencies as installed."""
    rounds = 3 if quick else 9
    installed = [name for name in ON_TOP_OF_TORCH if importlib.util.find_spec(name)]
    section = Section("Start-up", f"Median of {rounds} fresh processes, taken in turn; file caches warm.")
    calls: dict[str, Callable[[], float | str]] = {name: lambda name=name: _imported(name) for name in installed}  # type: ignore[misc]
    calls["moo-mtl --help"] = _help
    taken: dict[str, list[float | str]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            found = call()
            if turn:  # the first round reads the files from the disk
                taken[name].append(found)
    times = Table(["what", "seconds", "target", "met"])
    for name, values in taken.items():
        target = HELP if name == "moo-mtl --help" else ON_TOP_OF_TORCH[name]
        what = name if target == HELP else f"`import {name}` after `import torch`"
        wrong = [value for value in values if isinstance(value, str)]
        if wrong:
            times.rows.append([what, wrong[0], "", ""])
            continue
        median = float(np.median(np.array(values, dtype=float)))
        met = "" if target is None else ("yes" if median <= target else "no")
        times.rows.append([what, f"{median:.3f}", "" if target is None else f"{target:g}", met])
        if met == "no":
            section.losses.append(f"{what} takes {median:.2f} s, more than the {target:g} s aimed at.")
    sizes = Table(["package", "version", "files, MB", "dependencies, all levels", "their files, MB"])
    for name in installed:
        others = _closure(name)
        sizes.rows.append(
            [name, importlib.metadata.version(name), f"{_megabytes([name]):.1f}", str(len(others)), f"{_megabytes(others):.0f}"]
        )
    section.tables = [times, sizes]
    return section


def _imported(name: str) -> float | str:
    done = subprocess.run([sys.executable, "-c", _IMPORT.format(name=name)], capture_output=True, text=True, check=False)
    return float(done.stdout) if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def _help() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "moo_mtl", "--help"], capture_output=True, check=True)
    return time.perf_counter() - begin


def _closure(name: str) -> list[str]:
    """Every other distribution that this one requires, directly or not; extras left out."""
    found, todo = {name.lower()}, [name]
    while todo:
        for line in importlib.metadata.requires(todo.pop()) or ():
            requirement, _, marker = line.partition(";")
            needed = re.split(r"[ <>=!~\[(]", requirement.strip())[0]
            if "extra ==" in marker or needed.lower() in found or not _is_installed(needed):
                continue
            found.add(needed.lower())
            todo.append(needed)
    return sorted(found - {name.lower()})


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _megabytes(names: list[str]) -> float:
    total = 0
    for name in names:
        for file in importlib.metadata.files(name) or ():
            path = Path(str(file.locate()))
            total += path.stat().st_size if path.is_file() else 0
    return total / 1e6


if __name__ == "__main__":
    run(measure, __doc__)
