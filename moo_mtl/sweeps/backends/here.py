"""One job after the other, in this process; their steps are followed."""

from __future__ import annotations

from collections.abc import Iterable

from moo_mtl.kinds import single_run
from moo_mtl.progress import Reporter
from moo_mtl.sweeps.backends import Ends
from moo_mtl.sweeps.job import Job
from moo_mtl.sweeps.work import work


def here(jobs: Iterable[Job], reporter: Reporter) -> Ends:
    for job in jobs:
        first = job.items[0]
        total, unit = single_run.kind(first.single).length(first.single)
        others = f" and {len(job.items) - 1} more" if len(job.items) > 1 else ""
        yield job, work(job, reporter.follow(f"{first.title}{others}", total, unit))
