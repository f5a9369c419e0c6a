"""Jobs on the cores of this machine, by joblib. A worker that is killed costs what it computed since the last checkpoint."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from moo_mtl.errors import RunError
from moo_mtl.progress import Reporter
from moo_mtl.sweeps.backends import Ends
from moo_mtl.sweeps.backends.worker import Answers, Order, ends, killed, obey, order
from moo_mtl.sweeps.job import Job, end_of


@dataclass(frozen=True)
class Processes:
    """Worker processes, each with one job at a time and the threads that the experiment file gives a run.

    A job whose worker dies is computed again when the others are done, without company; if its worker then dies again, so that
    nobody else can be blamed, its runs have failed.
    """

    count: int

    def __call__(self, jobs: Iterable[Job], reporter: Reporter) -> Ends:
        left, suspects = {job.name: job for job in jobs}, []
        while left:
            began = time.time()
            for name, answers in _computed(list(left.values()), self.count):
                if answers is not None:
                    yield left[name], ends(left.pop(name), answers)
                    continue
                accused = [job for job in left.values() if _begun(job, began)]
                if not accused:
                    raise RunError("the worker processes die before they begin a run; look at the memory that is free")
                suspects += [left.pop(job.name) for job in accused]
                reporter.say(f"a worker process died; {len(suspects)} jobs will go on from their checkpoints, one at a time")
        for job in suspects:
            for _, answers in _computed([job], self.count):
                yield job, killed(job, DIED) if answers is None else ends(job, answers)


DIED = "its worker process died twice, the second time alone: killed, or out of memory; moo-mtl sweep --retry tries again"


def _computed(jobs: Sequence[Job], count: int) -> Iterator[tuple[str, Answers | None]]:
    """Names of jobs with what has come of them, and ``None`` when a worker has died, and with it the pool."""
    from joblib import Parallel, delayed

    # Two workers at least: with one, joblib would compute in this process, and a death would be ours.
    pool = Parallel(n_jobs=max(2, count), backend="loky", return_as="generator_unordered", batch_size=1)
    try:
        yield from pool(delayed(_named)(order(job)) for job in jobs)
    except BrokenProcessPool:
        yield "", None


def _named(order: Order) -> tuple[str, Answers]:
    return order.job.name, obey(order)


def _begun(job: Job, since: float) -> bool:
    """Whether a worker has begun the job since then, and not ended it."""
    begun = job.lock.exists() and job.lock.stat().st_mtime >= since - 1  # some file systems round to seconds
    return begun and any(end_of(item).state == "open" for item in job.items)
