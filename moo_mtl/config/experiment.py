"""An experiment file as a grid of single runs."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from moo_mtl import grid
from moo_mtl.config.keys import KINDS, LISTS, AnyRun, Choice, Header, TrainRun
from moo_mtl.config.overrides import override
from moo_mtl.config.sentences import checked
from moo_mtl.errors import InputError, unknown


@dataclass(frozen=True)
class Experiment:
    """A file's single runs, in the order of its lists, and the scripts that draw its figures."""

    name: str
    title: str
    singles: tuple[AnyRun, ...]
    figures: tuple[Path, ...]

    def label(self, single: AnyRun) -> str:
        """What tables and figures call the run: its rule, with parameters only where two rules share the name.

        Other keys follow where they differ between the runs, but for the seed.
        """
        if isinstance(single, TrainRun) and single.alone:
            rule = f"{single.alone} alone"
        else:
            rule = single.rule.name if self._namesakes[single.rule.name] == 1 else str(single.rule)
            if isinstance(single, TrainRun) and single.tasks is not None:
                rule += f" on {len(single.tasks)} tasks"
        return ", ".join([rule, *(f"{key}={getattr(single, key)}" for key in self._varied)])

    @cached_property
    def _namesakes(self) -> Mapping[str, int]:
        return Counter(name for name, _ in {(single.rule.name, str(single.rule)) for single in self.singles})

    @cached_property
    def _varied(self) -> list[str]:
        keys = [key for key in type(self.singles[0]).model_fields if key not in ("rule", "seed", "tasks")]
        several = [one for one in self.singles if not (isinstance(one, TrainRun) and one.alone)]
        return [key for key in keys if len({str(getattr(one, key)) for one in several or self.singles}) > 1]


def read(file: Path, overrides: Sequence[str] = (), *, quick: bool = False) -> Experiment:
    """The experiment in a TOML file, with ``key=value`` overrides applied before anything is checked.

    Args:
        file: to read.
        overrides: applied last.
        quick: the values of the file's table ``[quick]`` replace those of the same keys.

    Raises:
        InputError: the file is absent or not TOML, a key is unknown or missing, or a value is not of its kind.
    """
    try:
        with file.open("rb") as stream:
            table = tomllib.load(stream)
    except OSError as error:
        raise InputError(
            f"cannot read the experiment file {file}: {error.strerror}; `moo-mtl list experiments` shows some"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f'{file} is not valid TOML: {error}; texts need quotes, as in rule = "mgda"') from error
    short = table.get("quick", {})
    if quick and isinstance(short, dict):
        table |= short
    for assignment in overrides:
        override(table, assignment)
    try:
        return _experiment(file, table)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def with_rule(experiment: Experiment, old: str, new: str) -> Experiment:
    """The experiment with another rule wherever ``old`` is named; what parameters that one had are dropped."""
    chosen = Choice(name=new)
    singles = [
        single.model_copy(update={"rule": chosen}) if single.rule.name == old else single for single in experiment.singles
    ]
    return replace(experiment, singles=tuple({str(single.resolved()): single for single in singles}.values()))


def _experiment(file: Path, table: dict[str, Any]) -> Experiment:
    kind = table.get("kind")
    if not isinstance(kind, str):
        found = f"found {kind!r}" if "kind" in table else "and the file does not have that key"
        raise InputError(f'kind must be one of "trace", "train" and "front", {found}')
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    header = checked(Header, {key: value for key, value in table.items() if key in Header.model_fields})
    rest = {key: value for key, value in table.items() if key not in Header.model_fields}
    seed = {"seed": rest.pop("seed", 0)}  # varies fastest, and the rule slowest, so that a table of runs reads well
    rule = {"rule": rest.pop("rule")} if "rule" in rest else {}
    tables = grid.expand({**rule, **rest, **seed}, LISTS)
    if header.single_tasks and kind != "train":
        raise InputError('single_tasks is a key of kind = "train" only; a problem has no tasks to train alone')
    alone = {key: value for key, value in rest.items() if key != "preference"}  # which is one number for each of all tasks
    for task in header.single_tasks:
        tables += grid.expand({"rule": "equal", **alone, "tasks": [task], **seed}, LISTS)
    singles = [checked(KINDS[kind], _with_own_table(file, table)) for table in tables]
    seen: set[str] = set()
    for one in singles:
        identity = json.dumps(one.resolved(), sort_keys=True)
        if identity in seen:
            raise InputError(f"rule {str(one.rule)!r} with seed {one.seed} is listed twice; leave one out")
        seen.add(identity)
    return Experiment(file.stem, header.title, tuple(singles), tuple(file.parent / figure for figure in header.figures))


def _with_own_table(file: Path, table: dict[str, Any]) -> dict[str, Any]:
    """A CSV file lies beside its experiment, and its content is part of the configuration: another table is another run."""
    data = table.get("data")
    if not isinstance(data, dict) or data.get("name") != "csv" or not isinstance(data.get("path"), str):
        return table
    path = file.parent / data["path"]
    content = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()} if path.is_file() else {}
    return {**table, "data": {**content, **data, "path": str(path)}}
