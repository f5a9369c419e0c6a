"""Figures over several experiments: a file that names them, and their finished runs as they lie in the runs folder.

    kind = "collect"
    title = "All data sets"
    experiments = ["sarcos", "tox21"]
    figures = ["../paper_figs/delta_m.py"]

Nothing is computed for such a file; it shows what there is.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from moo_mtl import runs
from moo_mtl.config import KINDS, AnyRun, Experiment
from moo_mtl.errors import InputError, RunError
from moo_mtl.experiment import Record
from moo_mtl.runs import Run

KIND = "collect"
_KEYS = {"kind", "title", "experiments", "figures"}


@dataclass(frozen=True)
class Collection:
    """What a file of kind ``"collect"`` says."""

    name: str
    title: str
    experiments: tuple[str, ...]
    figures: tuple[Path, ...]


def kind(file: Path) -> str:
    """The kind that a file says it is; empty where it cannot be read, which whoever reads it in earnest reports."""
    try:
        return str(tomllib.loads(file.read_text(encoding="utf-8")).get("kind", ""))
    except (OSError, ValueError):
        return ""


def read(file: Path) -> Collection:
    """The collection in a TOML file.

    Raises:
        InputError: a key is unknown or missing, or a value is not a list of texts.
    """
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    for key in table:
        if key not in _KEYS:
            raise InputError(f"{file}: unknown key {key!r} of a collection; expected {', '.join(sorted(_KEYS))}")
    for key in ("experiments", "figures"):
        values = table.get(key)
        if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
            raise InputError(f'{file}: {key} must be a list of texts, such as ["sarcos"], found {values!r}')
    figures = tuple(file.parent / script for script in table["figures"])
    return Collection(file.stem, str(table.get("title", "")), tuple(table["experiments"]), figures)


def records(collection: Collection, root: Path) -> list[Record]:
    """The finished runs of the experiments that have any; of several runs of one configuration, the latest.

    Raises:
        RunError: there is no finished run at all, or one is damaged.
    """
    found = [_record(run) for name in collection.experiments for run in _finished(root / name).values()]
    if not found:
        raise RunError(
            f"{collection.name}: no experiment of {', '.join(collection.experiments)} has finished runs in {root}; "
            "moo-mtl sweep computes them"
        )
    return found


def absent(collection: Collection, root: Path) -> list[str]:
    """The experiments that a figure has to do without: those that have no finished run."""
    return [name for name in collection.experiments if not _finished(root / name)]


def as_is(experiment: Experiment, root: Path) -> list[Record]:
    """Those runs of an experiment that are finished, by whatever sources they were computed.

    Raises:
        RunError: there is none, or one is damaged.
    """
    there = _finished(root / experiment.name)
    keys = {_key(single.resolved()): single for single in experiment.singles}
    found = [Record(experiment.label(single), single, there[key]) for key, single in keys.items() if key in there]
    if not found:
        raise RunError(
            f"{experiment.name}: none of its {len(keys)} runs is finished in {root}; without --as-is they are computed"
        )
    return found


def _finished(folder: Path) -> dict[str, Run]:
    """By configuration, the latest run: sources may have changed between runs of one, so that its folders are several."""
    latest: dict[str, Run] = {}
    for file in sorted(folder.glob("*/status.json"), key=lambda file: file.stat().st_mtime):
        run = runs.read(file.parent)
        if run.state == "finished":
            latest[_key(_single(run).resolved())] = run  # with the defaults of keys that are younger than the run
    return latest


def _record(run: Run) -> Record:
    single = _single(run)
    return Record(str(single.rule), single, run)


def _single(run: Run) -> AnyRun:
    try:
        return KINDS[run.config["kind"]].model_validate(dict(run.config))
    except (KeyError, ValidationError) as error:
        raise RunError(f"{run.folder} has a configuration that this version does not know; move the folder away") from error


def _key(config: Mapping[str, Any]) -> str:
    return json.dumps(dict(config), sort_keys=True)
