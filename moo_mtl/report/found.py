"""The runs below a folder, and which of them belong in one picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moo_mtl import runs
from moo_mtl.config import KINDS, AnyRun, TrainRun
from moo_mtl.errors import RunError
from moo_mtl.kinds import single_run
from moo_mtl.runs import Run

Keys = tuple[str, ...]  # of a nested configuration, from the outside in


@dataclass(frozen=True)
class Found:
    """One run, as the report shows it.

    Attributes:
        label: what tells it from runs that are no repetition of it: its rule, and the settings that differ.
        colour_of: the rule's name, which decides its colour.
        differs: the settings that are not the same in every run of the section, seed included, as text.
        config: resolved and valid.
        run: its folder.
    """

    label: str
    colour_of: str
    differs: dict[str, str]
    config: AnyRun
    run: Run

    @property
    def alone(self) -> bool:
        """Whether it trains one task by itself, for the others to be compared with."""
        return isinstance(self.config, TrainRun) and self.config.alone is not None

    @property
    def finished(self) -> bool:
        return self.run.status["state"] == "finished"  # its checksums were compared when it was found

    @property
    def metrics(self) -> dict[str, Any]:
        return self.run.metrics if self.finished else {}

    def load(self) -> Any:
        """The arrays of a finished run: a ``Trace``, a ``History``."""
        return single_run.kind(self.config).result(self.run)


@dataclass(frozen=True)
class Section:
    """The runs of one experiment's folder."""

    name: str
    found: tuple[Found, ...]


def sections(folder: Path, advance: Callable[[str], None] = lambda name: None) -> tuple[list[Section], list[str]]:
    """Every run below a folder, by the folder that holds it; and a sentence for each one that cannot be read.

    Args:
        folder: of a run, of an experiment, or of many.
        advance: called with each run's folder before it is read.

    Raises:
        RunError: there is no run below the folder.
    """
    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}; give the folder of a run, or of many, as in moo-mtl report runs/toy-demo")
    places = sorted(file.parent for file in folder.rglob("status.json"))
    if not places:
        raise RunError(f"no run lies below {folder}: none of its folders has a status.json; moo-mtl run FILE makes some")
    read, refused = [], []
    for place in places:
        advance(str(place))
        try:
            run = runs.read(place)
            read.append((run, KINDS[run.config["kind"]].model_validate(run.config)))
        except RunError as error:
            refused.append(str(error))
        except (KeyError, ValueError):  # pydantic's error is a ValueError
            refused.append(f"{place} was made by another version of moo_mtl, whose configuration this one does not know")
    homes = sorted({run.folder.parent for run, _ in read})
    named = [(_name(home, folder), [(run, config) for run, config in read if run.folder.parent == home]) for home in homes]
    return [Section(name, tuple(_told_apart(members))) for name, members in named], refused


def _name(home: Path, folder: Path) -> str:
    inside = home.relative_to(folder).as_posix() if home.is_relative_to(folder) else "."
    return inside if inside != "." else home.resolve().name


def _told_apart(members: Sequence[tuple[Run, AnyRun]]) -> list[Found]:
    flat = [_flat(config.resolved()) for _, config in members]
    keys = list(dict.fromkeys(key for one in flat for key in one))
    differing = [key for key in keys if len({one.get(key, "") for one in flat}) > 1]
    found = []
    for (run, config), one in zip(members, flat, strict=True):
        differs = {".".join(key): one.get(key, "-") for key in differing}
        tasks = config.tasks if isinstance(config, TrainRun) else None
        name = config.rule.name if tasks is None else f"{'+'.join(tasks)} alone"
        settings = _telling(name, differs, [(other.rule.name, flat[n]) for n, (_, other) in enumerate(members)])
        found.append(Found(", ".join([name, *settings]), name, differs, config, run))
    return sorted(found, key=lambda one: (one.alone, one.label, one.config.seed))


def _telling(name: str, differs: dict[str, str], others: Sequence[tuple[str, dict[Keys, str]]]) -> list[str]:
    """The settings, other than rule and seed, by which a run differs from runs of the same rule."""
    same_rule = [one for rule, one in others if rule == name] or [one for _, one in others]
    told = []
    for key, value in differs.items():
        if key not in ("seed", "rule.name", "tasks") and len({one.get(tuple(key.split(".")), "-") for one in same_rule}) > 1:
            told.append(f"{key.removeprefix('rule.')}={value}")
    return told


def _flat(value: dict[str, Any], above: Keys = ()) -> dict[Keys, str]:
    flat: dict[Keys, str] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat |= _flat(item, (*above, key))
        else:
            flat[(*above, key)] = item if isinstance(item, str) else str(item)
    return flat
