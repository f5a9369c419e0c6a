"""``moo-mtl sweep``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from moo_mtl.commands.experiments import interruptible, read, say_failures, undisturbed
from moo_mtl.commands.tables import print_table
from moo_mtl.errors import InputError

if TYPE_CHECKING:
    from moo_mtl.sweeps import Job, Survey
    from moo_mtl.sweeps.backends import Backend


def sweep(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Experiment files (TOML).")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as 'lr=[0.1, 0.01]'.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and show the plan; compute nothing.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes on this machine; each run has the threads of its file.")] = 1,
    backend: Annotated[Literal["process", "dask"], typer.Option(help="This machine, or a Dask cluster.")] = "process",
    scheduler: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Of the Dask cluster.")] = None,
    together: Annotated[
        bool, typer.Option("--batch/--no-batch", help="Compute runs that differ in lr and seed alone as one tensor program.")
    ] = True,
    retry: Annotated[bool, typer.Option("--retry", help="Compute runs again that have failed.")] = False,
    device: Annotated[str | None, typer.Option(help='As in torch: "cpu", "cuda", "cuda:1".')] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder of the data files; default: $MOO_MTL_DATA.")] = None,
) -> None:
    """Compute every combination of an experiment's values, or find it computed; nothing is computed twice.

    Any key may have several values: lr = {log = [1e-4, 1e-1], n = 7}, seed = {range = 10}, rule = ["mgda", "equal"],
    betas = {each = [[0.9, 0.999], [0.5, 0.9]]}. All runs are checked before the first starts. One that fails is recorded with
    its error and does not stop the others. After Ctrl-C, kill -9 or a full disk the same command goes on from the last
    checkpoints.

    [bold]Examples[/bold]

    moo-mtl sweep experiments/toy.toml --set 'lr={log=[1e-4, 1e-1], n=7}' --dry-run

    moo-mtl sweep mine.toml --jobs 8

    moo-mtl sweep mine.toml --backend dask --scheduler 10.0.0.1:8786 --out /shared/runs
    """
    if data_root is not None:
        os.environ["MOO_MTL_DATA"] = str(data_root)
    experiments = read(files, settings or [], out, device, None, False)
    with interruptible(out), undisturbed():
        from moo_mtl import experiment, progress

        where = _backend(backend, scheduler, jobs)
    surveys = [experiment.prepare(one, out, retry=retry) for one in experiments]
    if dry_run:
        _print_plan(surveys, together)
        return
    with interruptible(out), progress.reporting(sum(len(one.items) for one in surveys), each=False) as reporter:
        outcomes = [
            experiment.compute(one, found, reporter, backend=where, together=together)
            for one, found in zip(experiments, surveys, strict=True)
        ]
    print(f"{sum(len(outcome.records) for outcome in outcomes)} runs are finished; moo-mtl results {out} shows them")
    say_failures([failure for outcome in outcomes for failure in outcome.failures])


def _backend(backend: str, scheduler: str | None, jobs: int) -> Backend:
    if (backend == "dask") != (scheduler is not None):
        raise InputError("--backend dask and --scheduler HOST:PORT go together")
    if scheduler is not None:
        from moo_mtl.sweeps.backends.cluster import Cluster

        return Cluster(scheduler)
    if jobs > 1:
        from moo_mtl.sweeps.backends.processes import Processes

        return Processes(jobs)
    from moo_mtl.sweeps.backends.here import here

    return here


def _print_plan(surveys: Iterable[Survey], together: bool) -> None:
    from moo_mtl.sweeps.batches import assemble

    for found in surveys:
        jobs = assemble(found, together=together, note=False)
        states = Counter(end.state for end in found.found)
        counts = {
            "runs": len(found.items),
            "finished already": states["finished"],
            "failed before": states["failed"],
            "to compute": len(found.wanted),
            "in batches": sum(len(job.items) for job in jobs if job.batches is not None),
            "jobs": len(jobs),
        }
        print_table(str(found.folder), ("what", "how many"), ((name, f"{count:,}") for name, count in counts.items()))
        print_table("jobs", ("runs", "first run"), _lines(jobs))


def _lines(jobs: list[Job], most: int = 20) -> Iterable[tuple[str, str]]:
    yield from ((f"{len(job.items):,}", job.items[0].title) for job in jobs[:most])
    if len(jobs) > most:
        yield f"{sum(len(job.items) for job in jobs[most:]):,}", f"in {len(jobs) - most:,} more jobs"
