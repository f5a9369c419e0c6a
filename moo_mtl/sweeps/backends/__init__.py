"""Where jobs are computed: in this process, in processes of this machine, on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from moo_mtl.progress import Reporter
from moo_mtl.sweeps.job import End, Job

Ends = Iterator[tuple[Job, list[End]]]


class Backend(Protocol):
    """Computes jobs in any order, and gives each with the ends of its runs as it is done."""

    def __call__(self, jobs: Iterable[Job], reporter: Reporter) -> Ends:
        """Compute.

        Raises:
            RunError: a folder cannot be written, or the workers cannot be reached.
        """
