"""Jobs on a Dask cluster that is already there; each is one task, with the GPUs that it asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from moo_mtl.errors import InputError, RunError
from moo_mtl.progress import Reporter
from moo_mtl.sweeps.backends import Ends
from moo_mtl.sweeps.backends.worker import ends, killed, obey, order
from moo_mtl.sweeps.job import Job

PATIENCE = 10.0  # seconds to wait for the scheduler


@dataclass(frozen=True)
class Cluster:
    """The workers of a Dask scheduler, which see the same files and have the same version of this package.

    Dask gives a job to another worker when its own is lost. A job that has lost as many as the
    scheduler allows has failed.
    """

    scheduler: str

    def __call__(self, jobs: Iterable[Job], reporter: Reporter) -> Ends:
        try:
            distributed: Any = import_module("distributed")
        except ImportError as error:
            raise InputError("--backend dask needs dask.distributed; pip install 'moo_mtl[cluster]'") from error
        waiting = list(jobs)
        try:
            client = distributed.Client(self.scheduler, timeout=PATIENCE, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise RunError(f"there is no Dask scheduler at {self.scheduler}: {error}; start one with dask scheduler") from error
        with client:
            _require_workers(client.scheduler_info(n_workers=-1)["workers"], waiting)
            futures = {client.submit(obey, order(job), **_wants(job)): job for job in waiting}
            for future in distributed.as_completed(futures, loop=client.loop):
                job = futures[future]
                try:
                    found = ends(job, future.result())
                except distributed.KilledWorker:
                    found = killed(job, "several workers of the cluster died on it; moo-mtl sweep --retry tries again")
                yield job, found
                future.release()


def _wants(job: Job) -> dict[str, Any]:
    return {"pure": False, "resources": {"GPU": job.gpus}} if job.gpus else {"pure": False}


def _require_workers(workers: dict[str, Any], jobs: list[Job]) -> None:
    """Hold the cluster against what the jobs need.

    Raises:
        InputError: there is no worker, one computes several jobs at a time, or none has as many GPUs as a job needs.
    """
    if not workers:
        raise InputError("the Dask scheduler has no worker; start some with dask worker HOST:PORT --nthreads 1")
    if any(worker["nthreads"] != 1 for worker in workers.values()):
        raise InputError(
            "a Dask worker has several threads, and torch's settings are of a whole process; start workers with --nthreads 1, "
            "and as many as there are cores with --nworkers"
        )
    wanted = max(job.gpus for job in jobs)
    offered = max(worker["resources"].get("GPU", 0) for worker in workers.values())
    if wanted > offered:
        raise InputError(
            f"a run needs GPUs: {wanted}, and no Dask worker offers more than {offered:g}; "
            f'start workers with --resources "GPU={wanted}"'
        )
