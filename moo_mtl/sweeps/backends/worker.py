"""What a worker process does with a job, on this machine or another."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from moo_mtl import runs
from moo_mtl.errors import RunError
from moo_mtl.sweeps.job import End, Job, end_of
from moo_mtl.sweeps.work import work


def in_worker(job: Job, home: str, sources: str) -> list[End]:
    """Compute a job with the modules of the driver's folder; Ctrl-C is the driver's to handle.

    Raises:
        RunError: this worker has other sources than the driver, or a folder cannot be written.
    """
    if runs.sources_digest({}) != sources:
        raise RunError("a worker has another version of moo_mtl than this process; install the same on all machines")
    if not job.items[0].run.folder.parent.is_dir():
        raise RunError(
            f"a worker does not see the folder {job.items[0].run.folder.parent}; --out must be on a disk that all share"
        )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if home not in sys.path:
        sys.path.insert(0, home)
    return work(job, lambda step: None)


def arguments(job: Job) -> tuple[Job, str, str]:
    """What ``in_worker`` is called with."""
    return job, str(Path.cwd()), runs.sources_digest({})


def killed(job: Job, why: str) -> list[End]:
    """Note that the job's open runs have failed because their worker does not survive them."""
    for item in job.items:
        if end_of(item).state == "open":
            with item.run.writing():
                item.run.fail(why, {})
    return [end_of(item) for item in job.items]
