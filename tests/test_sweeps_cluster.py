"""A real Dask scheduler with real workers, started here: the same sweep, a killed worker, clusters that will not do."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from moo_mtl import runs
from moo_mtl.results import frame
from tests.test_sweeps_faults import MINE, SWEEP, arrays, assert_same, assert_whole, begun, checkpoints, start, sweep, until

pytest.importorskip("distributed", reason="the extra [cluster] is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Starts a scheduler, and as many workers as asked; gives the address and the workers."""
    monkeypatch.chdir(tmp_path)
    Path("toy.toml").write_text(SWEEP, encoding="utf-8")
    Path("mine.py").write_text(MINE, encoding="utf-8")
    started = []

    def launch(*arguments, log):
        with open(log, "w") as file:
            environment = {**os.environ, "NAP": "0.02", "OMP_NUM_THREADS": "1"}
            command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
            started.append(subprocess.Popen(command, stderr=file, stdout=file, env=environment, cwd=log.parent))
        return started[-1]

    def up(count, *options):
        launch("dask_scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1", log=tmp_path / "scheduler.log")
        address = logged(tmp_path / "scheduler.log", r"Scheduler at: *(tcp://127\.0\.0\.1:\d+)")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        workers = [
            launch("dask_worker", address, "--no-dashboard", "--no-nanny", *options, log=elsewhere / f"{place}.log")
            for place in range(count)
        ]
        for place in range(count):
            logged(elsewhere / f"{place}.log", r"(Registered to)")
        return address, workers

    yield up
    for process in reversed(started):
        process.kill()
        process.wait()


def logged(file, pattern):
    deadline = time.monotonic() + 120
    while not (found := re.search(pattern, file.read_text())):
        assert time.monotonic() < deadline, file.read_text()
        time.sleep(0.05)
    return found[1]


def on(address, *more):
    return ["--backend", "dask", "--scheduler", address, *more]


def test_a_cluster_computes_what_this_process_computes_also_when_a_worker_is_killed(cluster):
    address, workers = cluster(2, "--nthreads", "1")
    with start(*on(address, "--no-batch")) as process:
        until(lambda: checkpoints() and len(counted()) >= 3, process)
        victim = next(worker for worker in workers if str(worker.pid) in counted()[-1:])
        victim.send_signal(signal.SIGKILL)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "8 of 8 runs done" in err
    assert len(counted()) <= 8 + 1, "at most the run of the killed worker began again"
    assert_whole()
    assert sweep("--no-batch", "--out", "alone")[0] == 0
    assert_same(arrays("alone"))


def counted():
    """What the workers noted in the folder where they were started."""
    file = Path("elsewhere", "begun")
    return file.read_text().split() if file.exists() else begun()


def test_batches_go_to_a_cluster_whole(cluster):
    address, _ = cluster(1, "--nthreads", "1")
    assert sweep(*on(address))[0] == 0
    assert_whole()
    assert set(frame().batch_runs) == {4}


def test_runs_with_a_gpu_ask_for_one(cluster, monkeypatch):
    address, _ = cluster(1, "--nthreads", "1")
    code, _, err = sweep(*on(address), "--set", "device=cpu")
    assert code == 0, err
    from moo_mtl.sweeps.backends.cluster import _require_workers, _wants
    from moo_mtl.sweeps.batches import alone
    from moo_mtl.sweeps.job import Item

    single = type("Single", (), {"device": "cuda:0"})()
    job = alone(Item("a", single, runs.Run(Path("x"), {})))
    assert _wants(job)["resources"] == {"GPU": 1}
    with pytest.raises(Exception, match="no Dask worker offers more than 0"):
        _require_workers({"w": {"nthreads": 1, "resources": {}}}, [job])
    _require_workers({"w": {"nthreads": 1, "resources": {"GPU": 1.0}}}, [job])


def test_clusters_that_will_not_do_are_one_sentence(cluster):
    address, _ = cluster(1, "--nthreads", "2")
    code, _, err = sweep(*on(address))
    assert code == 2
    assert "start workers with --nthreads 1" in err
    code, _, err = sweep(*on("127.0.0.1:1"))
    assert code == 2
    assert "there is no Dask scheduler at 127.0.0.1:1" in err
    assert "Traceback" not in err
