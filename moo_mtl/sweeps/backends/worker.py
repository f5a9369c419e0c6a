"""What a worker process does with a job, on this machine or another, and how its answer is read."""

from __future__ import annotations

import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from moo_mtl import runs
from moo_mtl.errors import RunError
from moo_mtl.sweeps.job import End, Job, end_of
from moo_mtl.sweeps.work import work

Answers = list[tuple[str, str]]  # of each of the job's runs: its state and error


class Order(NamedTuple):
    """What is sent to a worker: a job, and the folder and sources of the process that sends it."""

    job: Job
    home: str
    sources: str


def order(job: Job) -> Order:
    """The order for a job of this process."""
    return Order(job, str(Path.cwd()), runs.sources_digest({}))


def obey(order: Order) -> Answers:
    """Compute a job with the modules and below the folder of the process that sent it; Ctrl-C is for that one to handle.

    Raises:
        RunError: this worker has other sources, does not see the folder, or cannot write to it.
    """
    if runs.sources_digest({}) != order.sources:
        raise RunError("a worker has another version of moo_mtl than this process; install the same on all machines")
    job = _absolute(order.job, Path(order.home))
    experiment = job.items[0].run.folder.parent
    if not experiment.is_dir():
        raise RunError(f"a worker does not see the folder {experiment}; --out must be on a disk that all machines share")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if order.home not in sys.path:
        sys.path.insert(0, order.home)
    return [(end.state, end.error) for end in work(job, lambda step: None)]


def ends(job: Job, answers: Answers) -> list[End]:
    """A worker's answers as ends of the job's runs."""
    return [End(item, state, error) for item, (state, error) in zip(job.items, answers, strict=True)]  # type: ignore[arg-type]


def killed(job: Job, why: str) -> list[End]:
    """Note that the job's open runs have failed because their worker does not survive them."""
    for item in job.items:
        if end_of(item).state == "open":
            with item.run.writing():
                item.run.fail(why, {})
    return [end_of(item) for item in job.items]


def _absolute(job: Job, home: Path) -> Job:
    items = [replace(item, run=replace(item.run, folder=home / item.run.folder)) for item in job.items]
    return replace(job, items=tuple(items), batches=None if job.batches is None else home / job.batches)
