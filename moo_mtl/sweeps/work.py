"""One job, computed in whatever process this is: the run folders it leaves are all that counts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from moo_mtl import launch, storage
from moo_mtl.config import TrainRun
from moo_mtl.errors import BusyError, DamageError, RunError
from moo_mtl.kinds import single_run
from moo_mtl.runs import locked
from moo_mtl.sweeps import torchrun
from moo_mtl.sweeps.batches import alone, batch
from moo_mtl.sweeps.job import End, Item, Job, end_of

Advance = Callable[[int], None]


def work(job: Job, advance: Advance) -> list[End]:
    """Compute what is left of a job.

    Args:
        job: one run, or a batch.
        advance: called with the number of steps or epochs done so far.

    Returns:
        How each of its runs ended.

    Raises:
        RunError: a folder cannot be written, which other jobs would meet as well.
    """
    apart: list[End] = []
    try:
        if job.batches is None:
            _alone(job.items[0], advance)
        else:
            with locked(job.lock), single_run.writable(job.batches):
                apart = _together(job.items, job.batches, job.name, advance)
    except BusyError:
        pass  # the folders say of which runs this is true
    except DamageError as error:
        return [_end(item, str(error)) for item in job.items]
    damaged = {end.item.run.folder: end.error for end in apart}
    return [_end(item, damaged.get(item.run.folder, "")) for item in job.items]


def _alone(item: Item, advance: Advance) -> None:
    if isinstance(item.single, TrainRun) and item.single.processes > 1 and not launch.launched():
        torchrun.perform(item.single, item.run, advance)
    else:
        single_run.perform(item.single, item.run, advance)


def _together(items: Sequence[Item], folder: Path, name: str, advance: Advance) -> list[End]:
    """Compute a batch; the answer is how those runs ended that had to be computed apart from it."""
    left = [item for item in items if _end(item).state == "open"]
    if not left:
        return []
    apart: list[End] = []
    module = single_run.batched(items[0].single)
    assert module is not None
    single_run.settle(items[0].single)
    measured = single_run.Measured(items[0].single)
    checkpoint = folder / f"{name}.pt"
    try:
        found = module.perform([item.single for item in items], checkpoint, advance)
        took = measured()
        took = {**took, "seconds": round(took["seconds"] / len(items), 6)}
        lost = []
        for place, (item, result) in enumerate(zip(items, found, strict=True)):
            if result is None:
                lost.append(item)
            elif item in left:
                _keep(item, *result, {**took, "batch": {"id": name, "size": len(items), "place": place}})
        os.sync()  # once for all their files; until then the checkpoint stays
    except (RunError, OSError):
        raise
    except Exception:  # one of the runs fails in a way that stops the program: halves say which
        middle = len(items) // 2
        for half in (items[:middle], items[middle:]):
            apart += work(batch(half, folder), advance)
    else:
        for item in lost:  # by itself it fails as well, and says why
            apart += work(alone(item), advance)
    checkpoint.unlink(missing_ok=True)
    return apart


def _keep(item: Item, result: Any, metrics: dict[str, Any], took: dict[str, Any]) -> None:
    try:
        with item.run.writing():
            if end_of(item).state == "open":
                storage.write(item.run.result, result.save, durable=False)
                item.run.finish(metrics, took, durable=False)
    except BusyError:
        pass  # another process computes this run by itself, and will finish it


def _end(item: Item, damage: str = "") -> End:
    try:
        end = end_of(item)
    except DamageError as error:
        return End(item, "failed", str(error))
    return End(item, "failed", damage) if damage and end.state == "open" else end
