"""Runs in several processes, which a sweep starts through torchrun: the numbers of one process, and every fault injected."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from moo_mtl import runs
from moo_mtl.results import frame

SWEEP = """
kind = "train"
data = { name = "multi-digits", train = 103, validation = 30, test = 30 }
model = "small-lenet"
rule = "mine:Slow"
epochs = 6
batch_size = 32
lr = 0.004
dtype = "float64"
"""
MINE = """
import os, signal, time
import torch
from moo_mtl import Needs, Rule, Weighing, runs

runs.CHECKPOINT_EVERY = 0.0

class Slow(Rule[tuple[()]]):
    name, needs = "slow", Needs.LOSSES

    def weigh(self, obs, state):
        with open(f"begun-{os.environ.get('RANK', 'alone')}", "a") as file:
            file.write(f"{os.getpid()}\\n")
        time.sleep(float(os.environ.get("NAP", "0")))
        return Weighing(torch.full_like(obs.losses, 0.5)), state

class Deadly(Slow):
    def weigh(self, obs, state):
        if obs.step == 3 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().weigh(obs, state)

class Wrong(Slow):
    def weigh(self, obs, state):
        raise ValueError("no such weights")

class Elsewhere(Slow):
    def weigh(self, obs, state):
        if os.environ["RANK"] == "1":
            raise ValueError("only here")
        return super().weigh(obs, state)
"""
SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("torchrun")
    (home / "small.toml").write_text(SWEEP, encoding="utf-8")
    (home / "mine.py").write_text(MINE, encoding="utf-8")
    return home


@pytest.fixture(autouse=True)
def here(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("small.toml", "mine.py"):
        Path(name).symlink_to(folder / name)


def start(*arguments, nap="0", out="runs", command="sweep"):
    command = [sys.executable, "-m", "moo_mtl", command, "small.toml", "--out", out, *map(str, arguments)]
    environment = {**os.environ, "NAP": nap, "OMP_NUM_THREADS": "1", "TMPDIR": str(Path.cwd())}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, start_new_session=True, **pipes)


def ended(process):
    with process:
        out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def arrays(out="runs", processes=2):
    """What training left, but for the seconds."""
    for file in Path(out, "small").glob("*/result.npz"):
        if runs.read(file.parent).config["processes"] == processes:
            with np.load(file) as content:
                return {key: content[key] for key in content.files if content[key].dtype.kind in "fi" and key != "seconds"}
    raise AssertionError("no such run")


@pytest.fixture(scope="module")
def undisturbed(folder):
    """The sweep of one and of two processes without a fault."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        code, _, err = ended(start("--set", "processes=[1, 2]", out="undisturbed"))
        assert code == 0, err
    finally:
        os.chdir(before)
    return arrays(folder / "undisturbed", 1), arrays(folder / "undisturbed", 2)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key], err_msg=key)


def until(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def begun(rank):
    file = Path(f"begun-{rank}")
    return file.read_text().split() if file.exists() else []


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_two_processes_compute_what_one_does(undisturbed, folder):
    one, two = undisturbed
    for key in one:
        np.testing.assert_allclose(two[key], one[key], rtol=1e-10, atol=1e-10, err_msg=key)
    table = frame(folder / "undisturbed")
    assert sorted(table.processes) == [1, 2]
    assert list(table.state) == ["finished"] * 2
    assert {file.name for file in folder.glob("begun-*")} == {"begun-alone", "begun-0", "begun-1"}


def interrupted(process):
    process.send_signal(signal.SIGINT)


def killed(process):
    process.kill()


@pytest.mark.parametrize(
    ("stop", "jobs"), [(killed, 1), pytest.param(interrupted, 1, marks=SLOW), pytest.param(interrupted, 2, marks=SLOW)]
)
def test_a_driver_that_is_stopped_takes_them_along_and_goes_on_where_it_was(undisturbed, stop, jobs):
    process = start("--set", "processes=2", "--jobs", jobs, nap="0.3")
    until(lambda: len(begun(1)) >= 5, process)
    stop(process)
    code, _, err = ended(process)
    if stop is killed or jobs == 1:  # of two jobs a worker may be ended before it has tidied up; the next start does
        assert bool(list(Path("runs/small").glob("*/.call-*"))) == (stop is killed)
    assert code == (130 if stop is interrupted else -signal.SIGKILL), err
    assert "Traceback" not in err
    pids = {*begun(0), *begun(1)}
    deadline = time.monotonic() + 30
    while not all(map(gone, pids)):
        assert time.monotonic() < deadline, "a process outlives the sweep"
        time.sleep(0.05)
    code, _, err = ended(start("--set", "processes=2", "--jobs", jobs))
    assert code == 0, err
    assert list(Path.cwd().rglob(".call-*")) == [] == list(Path.cwd().glob("moo-mtl-*")), "the killed driver's folder is left"
    steps = int(undisturbed[1]["steps"])
    assert steps <= len(begun(0)) <= steps + 2, "at most the steps since the last checkpoint are taken again"
    assert_same(arrays(), undisturbed[1])


@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=SLOW)])
def test_a_process_that_is_killed_is_started_again(undisturbed, rank):
    process = start("--set", "processes=2", nap="0.1")
    until(lambda: len(begun(1)) >= 5, process)
    os.kill(int(begun(rank)[-1]), signal.SIGKILL)
    code, _, err = ended(process)
    assert code == 0, err
    assert len(set(begun(0))) == len(set(begun(1))) == 2
    assert_same(arrays(), undisturbed[1])


@SLOW
def test_a_worker_that_is_killed_takes_them_along_and_is_replaced(undisturbed):
    process = start("--set", "processes=2", "--jobs", 2, nap="0.1")
    until(lambda: len(begun(1)) >= 5, process)
    launcher = parent(begun(1)[-1])
    os.kill(parent(launcher), signal.SIGKILL)
    code, _, err = ended(process)
    assert code == 0, err
    assert "a worker process died" in err
    assert len(set(begun(0))) == len(set(begun(1))) == 2
    assert_same(arrays(), undisturbed[1])


@SLOW
def test_a_run_that_kills_its_processes_fails_and_the_others_finish():
    code, _, err = ended(start("--set", 'rule=["mine:Deadly", "mine:Elsewhere", "mine:Slow"]', "--set", "processes=2"))
    assert code == 2
    assert err.count("one of its 2 processes died, 2 times") == 2
    assert "3 of 3 runs done, 2 of them failed" in err
    traces = [runs.read(file.parent).status.get("traceback", "") for file in Path("runs/small").glob("*/status.json")]
    assert sum("ValueError: only here" in trace for trace in traces) == 1
    assert sum("Signal 9 (SIGKILL)" in trace for trace in traces) == 1


@SLOW
def test_a_failure_is_recorded_as_that_of_any_run():
    code, _, err = ended(start("--set", "rule=mine:Wrong", "--set", "processes=2"))
    assert code == 2
    assert "ValueError in mine.py, line" in err
    assert "no such weights" in err
    assert list(frame().state) == ["failed"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("processes=0",), "processes: expected a number greater than 0"),
        (("processes=2", "device=cuda:0"), '"cuda" gives each its own'),
        (("processes=2", "device=cuda"), "cannot be used here"),
    ],
)
def test_what_cannot_be_is_one_sentence(settings, sentence):
    import torch

    if torch.cuda.device_count() > 1:
        pytest.skip("two GPUs can be used here")
    code, _, err = ended(start(*(part for setting in settings for part in ("--set", setting))))
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err


def test_torchrun_started_by_hand_must_fit(monkeypatch):
    from moo_mtl import config
    from moo_mtl.errors import InputError
    from moo_mtl.kinds import train_run

    (single,) = config.read(Path("small.toml"), ["processes=3", "rule=mgda"]).singles
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="processes is 3, and torchrun has started 2"):
        train_run.check(single)
