"""What a sweep costs beyond its computations, and how soon the database answers: ``python -m benchmarks.sweeps``.

Overhead is what the whole command took (reading, checking, planning, computing, storing) less what was spent inside
``trace``, a run; by the clock, and by the processor's time, which neighbours on the machine do not sway. In process mode it is
the time that two workers were there less the time that their runs report.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from moo_mtl import config, experiment, progress
from moo_mtl.kinds import trace_batch
from moo_mtl.results import FILE, Database, ask
from moo_mtl.results.query import names
from moo_mtl.results.row import COLUMNS
from moo_mtl.sweeps.backends import Backend
from moo_mtl.sweeps.backends.here import here
from moo_mtl.sweeps.backends.processes import Processes

FILE_OF_RUNS = """
kind = "trace"
problem = {{ name = "two-task-toy", scale = 0.1 }}
rule = ["equal", "mgda", {{ name = "db-mtl", lower_bound = "problem" }}, "imtl-g", "pcgrad"]
optimizer = "adam"
lr = {{ log = [1e-4, 1e-1], n = 10 }}
seed = {{ range = {seeds} }}
gradient_noise = 0.01
steps = {steps}
record_every = 10
"""
QUERIES = {
    "one rule on one problem, one metric": ("rule = 'mgda' AND problem = 'zdt1' AND lr = 0.01", ["upper bound"]),
    "one rule's settings by a metric": ("rule = 'mgda' AND problem = 'zdt1' AND \"upper bound\" < 0.3", ["upper bound"]),
    "one seed of every rule, two metrics": ("problem = 'zdt1' AND seed = 0", ["upper bound", "loss 1"]),
    "what failed": ("state = 'failed'", []),
    "one run by its hash": ("hash = 'copy-77'", []),
    "a rule's parameter": ("rule = 'db-mtl' AND problem = 'zdt1' AND config ->> '$.rule.lower_bound' = 'problem'", []),
}


def sweep(folder: Path, text: str, *, backend: Backend, together: bool) -> tuple[float, list[experiment.Record]]:
    """Seconds of a whole sweep, and its records."""
    file = folder / "scale.toml"
    file.write_text(text, encoding="utf-8")
    began = time.perf_counter()
    one = config.read(file)
    found = experiment.prepare(one, folder / "runs")
    with progress.reporting(len(one.singles), each=False) as reporter:
        outcome = experiment.compute(one, found, reporter, backend=backend, together=together)
    assert not outcome.failures
    return time.perf_counter() - began, outcome.records


def in_batches(folder: Path, runs: int) -> None:
    inside, inside_cpu = 0.0, 0.0
    whole = trace_batch.trace

    def timed(*arguments: object, **keywords: object) -> object:
        nonlocal inside, inside_cpu
        began, began_cpu = time.perf_counter(), time.process_time()
        try:
            return whole(*arguments, **keywords)  # type: ignore[arg-type]
        finally:
            inside += time.perf_counter() - began
            inside_cpu += time.process_time() - began_cpu

    trace_batch.trace = timed  # type: ignore[assignment]
    began_cpu = time.process_time()
    try:
        seconds, records = sweep(folder, FILE_OF_RUNS.format(seeds=runs // 50, steps=50), backend=here, together=True)
        cpu = time.process_time() - began_cpu
        again, _ = sweep(folder, FILE_OF_RUNS.format(seeds=runs // 50, steps=50), backend=here, together=True)
    finally:
        trace_batch.trace = whole
    count = len(records)
    print(f"batch mode: {count} runs in {seconds:.1f} s, {inside:.1f} s of it computing")
    clock, processor = (1000 * rest / count for rest in (seconds - inside, cpu - inside_cpu))
    print(f"  overhead {clock:.2f} ms a run by the clock, {processor:.2f} ms of the processor; found again in {again:.1f} s")


def in_processes(folder: Path, runs: int, workers: int = 2) -> None:
    few = FILE_OF_RUNS.format(seeds=1, steps=50)
    sweep(folder, few, backend=Processes(workers), together=False)  # the workers are started, and import torch
    text = FILE_OF_RUNS.format(seeds=1 + runs // 50, steps=50)
    seconds, records = sweep(folder, text, backend=Processes(workers), together=False)
    new = [record for record in records if record.config.seed > 0]
    inside = sum(record.run.status["seconds"] for record in new)
    beyond = 1000 * (workers * seconds - inside) / len(new)
    print(f"process mode: {len(new)} runs in {seconds:.1f} s on {workers} workers; these report {inside:.1f} s of computing")
    print(f"  overhead {beyond:.1f} ms of a worker a run")


def answers(folder: Path, rows: int) -> None:
    """Copies of real rows, spread over problems, rules and seeds."""
    root = folder / "runs"
    Database(root).rebuild()
    with closing(sqlite3.connect(root / FILE)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM runs").fetchone()
        others = ", ".join(f'"{name}"' for name in COLUMNS if name not in ("hash", "problem", "seed", "state"))
        problems = "CASE c % 10 WHEN 0 THEN 'zdt1' WHEN 1 THEN 'zdt2' ELSE 'dtlz' || (c % 10) END"
        connection.execute(
            f"WITH RECURSIVE n(c) AS (SELECT 0 UNION ALL SELECT c + 1 FROM n WHERE c < {rows - count - 1}) "
            f"INSERT INTO runs (hash, problem, seed, state, {others}) SELECT 'copy-' || c, {problems}, c / 500, "
            f"CASE WHEN c % 500 = 0 THEN 'failed' ELSE 'finished' END, {others} "
            f"FROM n JOIN runs ON runs.id = 1 + (c / 10) % {count}"
        )
        connection.execute(
            "INSERT INTO metrics SELECT name, id, value FROM runs "
            f"JOIN metrics ON metrics.run = 1 + (id / 10) % {count} WHERE id > {count}"
        )
        connection.commit()
        (count,) = connection.execute("SELECT count(*) FROM runs").fetchone()
        (numbers,) = connection.execute("SELECT count(*) FROM metrics").fetchone()
    print(f"database: {count} runs, {numbers} numbers, {(root / FILE).stat().st_size / 1e6:.0f} MB")
    for name, (where, metrics) in QUERIES.items():
        found = len(ask(root, where, metrics).rows)
        print(f"  {name}: {median(partial(ask, root, where, metrics))}, {found} rows")
    print(f"  names of all metrics: {median(partial(names, root))}")


def median(action: Callable[[], object], times: int = 9) -> str:
    """Milliseconds of several calls, by the clock and of the processor."""
    clock, processor = [], []
    for _ in range(times):
        began, began_cpu = time.perf_counter(), time.process_time()
        action()
        clock.append(1000 * (time.perf_counter() - began))
        processor.append(1000 * (time.process_time() - began_cpu))
    return f"{sorted(clock)[times // 2]:.1f} ms ({sorted(processor)[times // 2]:.1f} ms of the processor)"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--runs", type=int, default=10_000, help="in batch mode; a multiple of 50")
    parser.add_argument("--processes", type=int, default=200, help="runs in process mode; a multiple of 50, or 0")
    parser.add_argument("--rows", type=int, default=100_000, help="of the database")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        in_batches(Path(one), arguments.runs)
        answers(Path(one), arguments.rows)
        if arguments.processes:
            in_processes(Path(other), arguments.processes)


if __name__ == "__main__":
    main()
