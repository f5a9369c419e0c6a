"""From a run's folder to a row of the database; the columns are the keys of an experiment file, and what the run left."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from zlib import crc32

from moo_mtl.config import KINDS
from moo_mtl.errors import DamageError
from moo_mtl.runs import Run
from moo_mtl.storage import read_json

KEYS = tuple(dict.fromkeys(key for kind in KINDS.values() for key in kind.model_fields))
_LEFT = ("seconds", "peak_mb", "batch", "batch_runs", "moo_mtl", "torch", "numpy", "python", "platform", "sources")
COLUMNS = ("experiment", "hash", "state", "error", *KEYS, *_LEFT, "config")
OPEN = ("waiting", "unfinished")
FINAL = ("finished", "failed", "damaged")  # what only another attempt changes

_NAMES = ", ".join(f'"{column}"' for column in COLUMNS)
SCHEMA = f"""
CREATE TABLE runs (id INTEGER PRIMARY KEY, {_NAMES}, UNIQUE (experiment, hash));
CREATE INDEX by_rule ON runs (rule, problem, data);
CREATE INDEX by_problem ON runs (problem, data, seed);
CREATE INDEX by_hash ON runs (hash);
CREATE INDEX by_state ON runs (state);
CREATE TABLE metrics (name TEXT, run INTEGER, value REAL, PRIMARY KEY (name, run)) WITHOUT ROWID;
CREATE INDEX by_run ON metrics (run);
"""
VERSION = crc32(SCHEMA.encode()) & 0x7FFFFFFF  # a database of other columns is made anew

Row = dict[str, Any]
Numbers = dict[str, float]


def waiting(run: Run) -> Row:
    """The row of a run of which nothing is known but what it will compute."""
    return _row(run, "waiting")


def read(run: Run, error: str = "") -> tuple[Row, Numbers]:
    """What a run's folder says: its row, and its numbers by name. Checksums are left to those who use the arrays.

    Args:
        run: finished or not.
        error: what stopped it, in case its folder does not say so.
    """
    try:
        begun = (run.folder / "status.json").exists()
        status = run.status if begun else {}
        state = str(status.get("state"))
        if error and state not in FINAL:
            return _row(run, "damaged") | {"error": error}, {}
        if not begun:
            return waiting(run), {}
        row = _row(run, state) | {key: status.get(key) for key in ("error", "seconds", "peak_mb", "sources")}
        row |= {key: value for key, value in status.get("versions", {}).items() if key in _LEFT}
        batch = status.get("batch", {})
        row |= {"batch": batch.get("id"), "batch_runs": batch.get("size")}
        return row, dict(_numbers(run.metrics)) if state == "finished" else {}
    except DamageError as damage:
        return _row(run, "damaged") | {"error": str(damage)}, {}


def config_of(run: Run) -> Run:
    """The run with the configuration that its folder holds.

    Raises:
        DamageError: it cannot be read.
    """
    return Run(run.folder, read_json(run.folder / "config.json"))


def _row(run: Run, state: str) -> Row:
    given = {key: _plain(value) for key, value in run.config.items() if key in KEYS}
    named = {"experiment": run.folder.parent.name, "hash": run.folder.name, "state": state}
    return dict.fromkeys(COLUMNS) | given | named | {"config": json.dumps(dict(run.config))}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        name = value.get("name")
        return name if isinstance(name, str) else json.dumps(value)
    return json.dumps(value) if isinstance(value, list) else value


def _numbers(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name} ")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield f"{prefix}{name}", float(value)
