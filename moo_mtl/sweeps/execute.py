"""A sweep as a whole: jobs to a backend, ends to the database and to whoever follows."""

from __future__ import annotations

import time

from moo_mtl import storage
from moo_mtl.progress import Reporter
from moo_mtl.results.database import Database
from moo_mtl.sweeps.backends import Backend
from moo_mtl.sweeps.backends.here import here
from moo_mtl.sweeps.batches import assemble
from moo_mtl.sweeps.job import End
from moo_mtl.sweeps.survey import Survey

POLL = 0.5  # seconds between two looks at what another process computes


def execute(survey: Survey, reporter: Reporter, *, backend: Backend = here, together: bool = False) -> list[End]:
    """Compute what a survey wants; the ends of all its runs, in the order of its items.

    Args:
        survey: of an experiment, checked.
        reporter: is told of every run that ends.
        backend: where to compute.
        together: whether runs that can be are computed in batches.

    Raises:
        RunError: a folder or the database cannot be written, or the workers cannot be reached.
    """
    storage.create(survey.folder)
    database = Database(survey.folder.parent, reporter.say)
    jobs = assemble(survey, together=together)
    database.enrol(item.run for item in survey.wanted)
    ends = {end.item.run.folder: end for end in survey.found}
    asked = {item.run.folder for item in survey.items}
    try:
        for end in survey.found:
            reporter.done(_found(end), failed=end.state == "failed")
        while jobs:
            left = []
            for job, found in backend(jobs, reporter):
                ended = [end for end in found if end.state != "open"]
                database.record((end.item.run, end.error) for end in ended)
                for end in ended:
                    if end.item.run.folder in asked and end.item.run.folder not in ends:
                        ends[end.item.run.folder] = end
                        reporter.done(_ended(end), failed=end.state == "failed")
                if len(ended) < len(found):
                    left.append(job)
            if left and len(left) < len(jobs):
                reporter.say(f"waiting for another process, which computes {len(left)} of these")
            jobs = left
            if jobs:
                time.sleep(POLL)
    finally:
        database.complete(item.run for item in survey.items)
    return [ends[item.run.folder] for item in survey.items]


def _found(end: End) -> str:
    return f"{end.item.title}: " + (f"found in {end.item.run.folder}" if end.state == "finished" else "failed")


def _ended(end: End) -> str:
    if end.state == "failed":
        return f"{end.item.title}: failed"
    return f"{end.item.title}: {end.item.run.status['seconds']:.1f} s, {end.item.run.folder}"
