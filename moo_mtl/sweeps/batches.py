"""Which runs are computed together. A batch is written down before it starts, so that it is the same batch ever after.

``runs/<experiment>/batches/<name>.json`` lists the members in their order; beside it lie the checkpoint, while there is one,
and the lock. A run whose folder is lost comes back to the last bit, because its batch is computed again as it was.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moo_mtl import storage
from moo_mtl.config import KINDS
from moo_mtl.kinds import single_run
from moo_mtl.runs import Run
from moo_mtl.sweeps.job import Item, Job
from moo_mtl.sweeps.survey import Survey

FOLDER = "batches"


def assemble(survey: Survey, *, together: bool, note: bool = True) -> list[Job]:
    """The jobs that compute what a survey wants.

    Args:
        survey: of an experiment.
        together: whether to batch; what has a checkpoint of its own, or has failed, stays by itself.
        note: write the batches down, so that other processes and later calls form the same ones.

    Raises:
        RunError: the folder cannot be written.
    """
    free = [item for item in survey.wanted if together and item.run.state == "absent" and single_run.alike(item.single)]
    left = {item.run.folder.name: item for item in free}
    apart = [item for item in survey.wanted if item.run.folder.name not in left]
    folder = survey.folder / FOLDER
    with _planning(folder, note=note and bool(left)):
        jobs = list(_noted(folder, survey, left))
        groups: dict[str, list[Item]] = {}
        for item in left.values():
            groups.setdefault(str(single_run.alike(item.single)), []).append(item)
        for group in groups.values():
            module = single_run.batched(group[0].single)
            size = 1 if module is None else module.capacity(group[0].single)
            jobs += [
                batch(members, folder, note=note) for members in (group[at : at + size] for at in range(0, len(group), size))
            ]
    return [*jobs, *(alone(item) for item in apart)]


def alone(item: Item) -> Job:
    """A run by itself."""
    return Job((item,), None, item.run.folder.name)


def batch(items: Sequence[Item], folder: Path, *, note: bool = True) -> Job:
    """Runs that are computed together; one of them needs no batch."""
    if len(items) == 1:
        return alone(items[0])
    hashes = [item.run.folder.name for item in items]
    name = hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:16]
    if note:
        members = {item.run.folder.name: dict(item.run.config) for item in items}  # in their order
        storage.write_json(folder / f"{name}.json", {"members": members})
    return Job(tuple(items), folder, name)


def _noted(folder: Path, survey: Survey, left: dict[str, Item]) -> Iterator[Job]:
    """The batches of earlier calls that hold a wanted run; what they hold is taken out of ``left``."""
    known = {item.run.folder.name: item for item in survey.items}
    oldest_first = sorted(folder.glob("*.json"), key=lambda file: (file.stat().st_mtime_ns, file.name))
    for file in oldest_first if left else ():
        members = storage.read_json(file)["members"]
        if not left.keys().isdisjoint(members):
            items = [known.get(name) or _stranger(survey.folder / name, settings) for name, settings in members.items()]
            for item in items:
                left.pop(item.run.folder.name, None)
            yield Job(tuple(items), folder, file.stem)


def _stranger(folder: Path, settings: dict[str, Any]) -> Item:
    """A member that this experiment file does not ask for."""
    single = KINDS[settings["kind"]].model_validate(settings)
    return Item(f"{folder.parent.name}: {single.rule}, seed {single.seed}", single, Run(folder, settings))


@contextmanager
def _planning(folder: Path, *, note: bool) -> Iterator[None]:
    """One process at a time writes batches down, so that two never put one run into different ones."""
    if not note:
        yield
        return
    storage.create(folder)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
