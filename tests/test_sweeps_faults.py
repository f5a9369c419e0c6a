"""Every fault is injected for real and counted: no finished run is lost or computed twice, and what resumes ends bit-identical.

The rule of these sweeps writes a line for every computation that it begins from the start, so that those can be counted.
"""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from moo_mtl import runs
from moo_mtl.results import FILE, frame

SWEEP = """
kind = "trace"
problem = "two-task-toy"
rule = ["mine:Slow", { name = "mine:Slow", share = 0.25 }]
optimizer = "adam"
lr = [1e-3, 1e-2]
seed = { range = 2 }
gradient_noise = 0.1
steps = 40
"""
MINE = """
import os, signal, time
import torch
from moo_mtl import Needs, Rule, Weighing, runs

runs.CHECKPOINT_EVERY = 0.0  # also in worker processes, which import this to know the rule

def begin():
    with open("begun", "a") as file:
        file.write(f"{os.getpid()}\\n")

class Slow(Rule[tuple[()]]):
    name, needs = "slow", Needs.LOSSES

    def __init__(self, share: float = 0.5):
        self.share = share

    def weigh(self, obs, state):
        if obs.step == 2:
            begin()
        if obs.step > 1:
            time.sleep(float(os.environ.get("NAP", "0")))
        return Weighing(torch.full_like(obs.losses, self.share)), state

class Deadly(Slow):
    def weigh(self, obs, state):
        if obs.step == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().weigh(obs, state)
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("toy.toml").write_text(SWEEP, encoding="utf-8")
    Path("mine.py").write_text(MINE, encoding="utf-8")
    return tmp_path


def start(*arguments, nap="0", **options):
    command = [sys.executable, "-m", "moo_mtl", "sweep", "toy.toml", *map(str, arguments)]
    environment = {**os.environ, "NAP": nap, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, start_new_session=True, **pipes, **options)


def sweep(*arguments, **options):
    with start(*arguments, **options) as process:
        out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def until(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def begun():
    return Path("begun").read_text().split() if Path("begun").exists() else []


def checkpoints(out="runs"):
    return [file for file in Path(out).rglob("*.pt") if not file.name.startswith(".")]


def states(out="runs"):
    return sorted(runs.read(file.parent).state for file in Path(out, "toy").glob("*/status.json"))


def arrays(out="runs"):
    """The arrays of every finished run by what it computes: another package has other folders."""
    found = {}
    for file in sorted(Path(out, "toy").glob("*/result.npz")):
        config = runs.read(file.parent).config
        with np.load(file) as content:
            found[str((config["rule"], config["lr"], config["seed"]))] = {name: content[name] for name in content.files}
    return found


def assert_whole(count=8, out="runs"):
    """All runs are there, once, in folders and database; and they are to the last bit those of a sweep without a fault."""
    assert states(out) == ["finished"] * count
    table = frame(out)
    assert sorted(table.hash) == sorted(file.parent.name for file in Path(out, "toy").glob("*/status.json"))
    assert list(table.state) == ["finished"] * count
    assert checkpoints(out) == []


def assert_same(expected, out="runs"):
    found = arrays(out)
    assert found.keys() == expected.keys()
    for name, content in expected.items():
        for part, array in content.items():
            np.testing.assert_array_equal(found[name][part], array, err_msg=f"{name} {part}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The arrays of the sweep in batches, and of the same runs by themselves, without any fault."""
    home = tmp_path_factory.mktemp("undisturbed")
    (home / "toy.toml").write_text(SWEEP, encoding="utf-8")
    (home / "mine.py").write_text(MINE, encoding="utf-8")
    before = os.getcwd()
    os.chdir(home)
    try:
        assert sweep()[0] == 0
        assert sweep("--no-batch", "--out", "alone")[0] == 0
        return {"batch": arrays(), "alone": arrays("alone")}
    finally:
        os.chdir(before)


SLOW = pytest.mark.slow
STOPS = [
    pytest.param("batch", signal.SIGKILL, id="batch-kill"),
    pytest.param("batch", signal.SIGINT, id="batch-ctrl-c", marks=SLOW),
    pytest.param("alone", signal.SIGKILL, id="alone-kill", marks=SLOW),
    pytest.param("alone", signal.SIGINT, id="alone-ctrl-c", marks=SLOW),
]


@pytest.mark.parametrize(("mode", "signal_"), STOPS)
def test_a_driver_that_is_stopped_goes_on_where_it_was(undisturbed, mode, signal_):
    options = [] if mode == "batch" else ["--no-batch"]
    with start(*options, nap="0.02") as process:
        until(lambda: checkpoints() and len(begun()) >= (1 if mode == "batch" else 3), process)
        time.sleep(0.2)  # so that the checkpoint is of a step after the one that is counted
        process.send_signal(signal_)
        _, err = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if signal_ == signal.SIGKILL else 130)
    assert "Traceback" not in err
    code, _, err = sweep(*options)
    assert code == 0, err
    assert len(begun()) == (2 if mode == "batch" else 8), "something was computed again from the start"
    assert_whole()
    assert_same(undisturbed[mode])


@pytest.mark.slow
def test_a_driver_killed_at_any_moment_loses_nothing(undisturbed):
    """Killed again and again, a little later each time, until a call comes through."""
    delays = (0.0, 0.1, 0.2, 0.4, 0.8)
    for delay in delays:
        with start(nap="0.005") as process:
            until(lambda: Path("runs/toy/batches").exists() or not process, process)
            time.sleep(delay)
            process.kill()
    assert sweep()[0] == 0
    assert_whole()
    assert_same(undisturbed["batch"])


def test_a_worker_that_is_killed_is_replaced(undisturbed):
    with start("--no-batch", "--jobs", 2, nap="0.02") as process:
        until(lambda: checkpoints() and len(begun()) >= 3, process)
        os.kill(int(begun()[-1]), signal.SIGKILL)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "a worker process died" in err
    assert "8 of 8 runs done" in err
    assert_whole()
    assert_same(undisturbed["alone"])
    assert len(begun()) <= 8 + 2, "at most the runs of the two workers that went down began again"


@pytest.mark.slow
def test_a_run_that_kills_its_workers_fails_and_the_others_finish():
    rules = 'rule=["mine:Slow", "mine:Deadly"]'
    code, _, err = sweep("--no-batch", "--jobs", 2, "--set", rules, "--set", "lr=1e-3", "--set", "seed={range=2}")
    assert code == 2
    assert "4 of 4 runs done, 2 of them failed" in err
    assert err.count("its worker process died twice, the second time alone") == 2
    assert states() == ["failed", "failed", "finished", "finished"]
    assert set(frame(where="state = 'failed'").rule) == {"mine:Deadly"}


@pytest.mark.slow
def test_two_drivers_share_the_work(undisturbed):
    with start("--no-batch", nap="0.01") as one, start("--no-batch", nap="0.01") as other:
        for process in (one, other):
            _, err = process.communicate(timeout=300)
            assert process.returncode == 0, err
            assert "8 of 8 runs done" in err
    assert len(begun()) == 8
    assert len(set(begun())) == 2, "one of the drivers computed nothing"
    assert_whole()
    assert_same(undisturbed["alone"])


def test_two_drivers_form_the_same_batches(undisturbed):
    with start(nap="0.01") as one, start(nap="0.01") as other:
        assert [process.wait(timeout=300) for process in (one, other)] == [0, 0]
    assert len(begun()) == 2
    assert_whole()
    assert_same(undisturbed["batch"])


@pytest.fixture
def small_disk(here):
    """A disk of 200 kB for the runs, which is filled by the sweep; only root may mount one."""
    place = here / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_the_sweep_goes_on_when_there_is_room(small_disk, undisturbed):
    code, _, err = sweep("--no-batch", "--out", small_disk)
    assert code == 2
    assert re.search(r"moo-mtl: cannot write .*(No space left|full|file write failed)", err), err
    assert "Traceback" not in err
    assert "finished" not in states(small_disk) or states(small_disk).count("finished") < 8
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert sweep("--no-batch", "--out", small_disk)[0] == 0
    assert_whole(out=small_disk)
    assert_same(undisturbed["alone"], out=small_disk)


@pytest.mark.slow
def test_a_file_that_cannot_grow_is_one_sentence(undisturbed):
    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    code, _, err = sweep(preexec_fn=small)
    assert code == 2
    assert re.search(r"moo-mtl: cannot write .*", err), err
    assert "Traceback" not in err
    assert sweep()[0] == 0
    assert_whole()
    assert_same(undisturbed["batch"])


def test_a_damaged_checkpoint_stops_no_other_run(undisturbed):
    with start(nap="0.02") as process:
        until(checkpoints, process)
        process.kill()
    (checkpoint,) = checkpoints()
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    code, _, err = sweep()
    assert code == 2
    assert f"the checkpoint {checkpoint} is damaged; delete it" in err
    assert states() == ["finished"] * 4
    table = frame()
    assert (table.state == "damaged").sum() == 4
    assert table[table.state == "damaged"].error.str.contains("delete it").all()
    checkpoint.unlink()
    assert sweep()[0] == 0
    assert_whole()
    assert_same(undisturbed["batch"])


@pytest.mark.slow
def test_a_truncated_database_is_made_anew_during_the_sweep(undisturbed):
    with start("--no-batch", nap="0.01") as process:
        until(lambda: "finished" in states(), process)
        os.truncate(Path("runs") / FILE, 5000)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert_whole()
    assert_same(undisturbed["alone"])


@pytest.mark.slow
def test_a_damaged_run_is_named_and_stops_no_other(undisturbed):
    assert sweep("--set", "lr=1e-3")[0] == 0
    spoiled = next(Path("runs/toy").glob("*/result.npz"))
    spoiled.write_bytes(spoiled.read_bytes()[:-7])
    code, _, err = sweep()
    assert code == 2
    assert f"delete the folder {spoiled.parent}" in err
    assert sorted(frame().state) == ["finished"] * 8 or "damaged" in set(frame().state)
    shutil.rmtree(spoiled.parent)
    assert sweep()[0] == 0
    assert_whole()
