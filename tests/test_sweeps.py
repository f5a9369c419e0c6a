"""Sweeps as a user meets them: planned, batched, found again, spread over processes, and what fails among them."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from moo_mtl import cli, runs
from moo_mtl.kinds import trace_batch
from moo_mtl.results import ask, frame

TOY = """
kind = "trace"
problem = { name = "two-task-toy", scale = 0.1 }
rule = ["equal", "mgda"]
optimizer = "adam"
lr = { log = [1e-3, 1e-1], n = 3 }
seed = { range = 4 }
gradient_noise = 0.1
steps = 20
record_every = 5
"""
MINE = """
import torch
from moo_mtl import Needs, Rule, Weighing

class Picky(Rule[tuple[()]]):
    "Equal weights, until a first loss falls below a bound."
    name, needs = "picky", Needs.LOSSES

    def __init__(self, bound: float = -100.0):
        self.bound = bound

    def weigh(self, obs, state):
        if bool((obs.losses[..., 0] < self.bound).any()):
            raise ZeroDivisionError("too low")
        return Weighing(torch.full_like(obs.losses, 0.5)), state

def cliff(x):
    return torch.stack([x.sum(-1), x.log().mean(-1)], -1)
"""


@pytest.fixture
def moo_mtl(monkeypatch, capfd, tmp_path):
    """Runs the command in an empty folder; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOO_MTL_DATA", os.environ.get("MOO_MTL_DATA", ""))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    Path("toy.toml").write_text(TOY, encoding="utf-8")
    Path("mine.py").write_text(MINE, encoding="utf-8")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["moo-mtl", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code, *capfd.readouterr()

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


def arrays(out="runs"):
    """The arrays of every finished run, by the name of its folder."""
    found = {}
    for file in sorted(Path(out, "toy").glob("*/result.npz")):
        assert runs.read(file.parent).state == "finished"
        with np.load(file) as content:
            found[file.parent.name] = {name: content[name] for name in content.files}
    return found


def assert_same(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name in one:
        for part in one[name]:
            np.testing.assert_allclose(one[name][part], other[name][part], err_msg=f"{name} {part}", **tolerance)


def test_a_dry_run_shows_the_plan_and_computes_nothing(moo_mtl):
    code, out, _ = moo_mtl("sweep", "toy.toml", "--dry-run")
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines() if line.startswith(("  runs ", "  to comp", "  jobs "))][:3] == [
        "24",
        "24",
        "2",
    ]
    assert not list(Path("runs").rglob("*.json"))


def test_runs_computed_together_are_those_computed_alone_and_say_so(moo_mtl):
    code, out, err = moo_mtl("sweep", "toy.toml")
    assert (code, err) == (0, "24 of 24 runs done\n")
    assert out == "24 runs are finished; moo-mtl results runs shows them\n"
    assert moo_mtl("sweep", "toy.toml", "--no-batch", "--out", "alone")[0] == 0
    assert_same(arrays(), arrays("alone"), rtol=1e-9, atol=1e-11)
    batches = {file.stem: json.loads(file.read_text())["members"] for file in Path("runs/toy/batches").glob("*.json")}
    assert sorted(map(len, batches.values())) == [12, 12]
    for folder in Path("runs/toy").glob("*/status.json"):
        batch = json.loads(folder.read_text())["batch"]
        assert list(batches[batch["id"]])[batch["place"]] == folder.parent.name
    assert frame("alone").batch.isna().all()
    together, apart = frame(), frame("alone")
    keys = ["rule", "lr", "seed"]
    numbers = ["loss 1", "loss 2", "upper bound", "hypervolume"]
    one, other = (table.sort_values(keys)[numbers].to_numpy() for table in (together, apart))
    np.testing.assert_allclose(one, other, rtol=1e-8)


def test_preferences_and_drawn_starts_are_batched_too(moo_mtl):
    more = ["--set", 'problem={name="zdt1", n_dim=5}', "--set", "starts=3", "--set", 'rule="stch"', "--set", "lr=[0.01, 0.02]"]
    more += ["--set", "preferences=[[0.2, 0.8], [0.5, 0.5]]"]
    assert moo_mtl("sweep", "toy.toml", *more)[0] == 0
    assert moo_mtl("sweep", "toy.toml", *more, "--no-batch", "--out", "alone")[0] == 0
    together = arrays()
    assert len(together) == 8
    assert next(iter(together.values()))["x"].shape == (5, 2, 3, 5)
    assert_same(together, arrays("alone"), rtol=1e-9, atol=1e-11)


def test_nothing_is_computed_twice_and_more_seeds_are_added(moo_mtl, monkeypatch):
    moo_mtl("sweep", "toy.toml")
    before = {file: file.read_bytes() for file in Path("runs").rglob("status.json")}
    sizes, whole = [], trace_batch.perform
    monkeypatch.setattr(trace_batch, "perform", lambda configs, *rest: sizes.append(len(configs)) or whole(configs, *rest))
    assert moo_mtl("sweep", "toy.toml")[0] == 0
    assert moo_mtl("sweep", "toy.toml", "--set", "seed={range=6}")[0] == 0
    assert sizes == [6, 6]
    assert len(before) == 24
    assert all(file.read_bytes() == content for file, content in before.items())
    assert len(list(Path("runs").rglob("status.json"))) == 36


def test_a_run_that_was_lost_comes_back_to_the_last_bit(moo_mtl):
    moo_mtl("sweep", "toy.toml")
    before = arrays()
    for name in list(before)[::5]:
        for file in Path("runs/toy", name).iterdir():
            file.unlink()
    assert moo_mtl("sweep", "toy.toml", "--set", "seed=0")[0] == 0
    assert moo_mtl("sweep", "toy.toml")[0] == 0
    assert_same(arrays(), before, rtol=0)


def test_processes_compute_what_this_one_computes(moo_mtl):
    few = ["--set", "seed=[0, 1]", "--no-batch"]
    assert moo_mtl("sweep", "toy.toml", *few)[0] == 0
    assert moo_mtl("sweep", "toy.toml", *few, "--jobs", 2, "--out", "two")[0] == 0
    assert_same(arrays(), arrays("two"), rtol=0)


LOST = ["--set", 'problem={name="mine:cliff", n_tasks=2, n_dim=1}', "--set", "starts=[[0.05]]", "--set", "optimizer=sgd"]


def test_a_run_that_diverges_in_a_batch_fails_alone_and_is_not_tried_again_unless_asked(moo_mtl):
    settings = [*LOST, "--set", "lr=[1e-5, 1e-2]", "--set", "gradient_noise=0.0", "--set", "rule=equal"]
    code, out, err = moo_mtl("sweep", "toy.toml", *settings)
    assert code == 2
    assert "4 runs are finished" in out
    assert "8 of 8 runs done, 4 of them failed" in err
    assert err.count("the loss of task 1 is not finite after") == 4
    table = frame(where="state = 'failed'")
    assert set(table.lr) == {1e-2}
    assert all("on 1 of 1 trajectories" in error for error in table.error)
    before = {file: file.stat().st_mtime_ns for file in Path("runs").rglob("status.json")}
    assert moo_mtl("sweep", "toy.toml", *settings)[0] == 2
    assert before == {file: file.stat().st_mtime_ns for file in before}
    assert moo_mtl("sweep", "toy.toml", *settings, "--retry")[0] == 2
    assert sum(file.stat().st_mtime_ns != before[file] for file in before) == 4


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_stops_its_batch_is_found_by_halves(moo_mtl, jobs):
    """With the largest learning rate the rule raises; its exception is recorded with where it was raised."""
    settings = ["--set", 'rule={name="mine:Picky", bound=-0.9}', "--set", "lr=[1e-3, 2e-3, 1.0]", "--set", "seed=[0, 1]"]
    code, _, err = moo_mtl("sweep", "toy.toml", *settings, "--jobs", jobs)
    assert code == 2
    assert "6 of 6 runs done, 2 of them failed" in err
    assert re.search(r"ZeroDivisionError in mine\.py, line \d+: too low", err)
    assert set(frame(where="state = 'finished'").lr) == {1e-3, 2e-3}
    assert set(frame(where="state = 'failed'").lr) == {1.0}


def test_a_damaged_checkpoint_of_a_half_is_said_and_waited_for_by_nobody(moo_mtl):
    settings = ["--set", 'rule={name="mine:Picky", bound=-0.9}', "--set", "lr=[1e-3, 2e-3, 1.0]", "--set", "seed=[0, 1]"]
    moo_mtl("sweep", "toy.toml", *settings)
    for file in Path("runs/toy").glob("*/*"):
        if file.parent.name != "batches":
            file.unlink()
    for file in Path("runs/toy/batches").glob("*.json"):
        if len(json.loads(file.read_text())["members"]) < 6:
            file.with_suffix(".pt").write_bytes(b"half a checkpoint")
    code, _, err = moo_mtl("sweep", "toy.toml", *settings)
    assert code == 2
    assert "6 of 6 runs done, 6 of them failed" in err
    assert err.count("is damaged; delete it") >= 3
    assert "damaged" in set(frame().state)


def test_everything_is_checked_before_the_first_run(moo_mtl):
    code, out, err = moo_mtl("sweep", "toy.toml", "--set", 'rule=["equal", {name="db-mtl", beta={each=[0.5, 2.0]}}]')
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert not list(Path("runs").rglob("status.json"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--backend", "dask"], "--backend dask and --scheduler HOST:PORT go together"),
        (["--scheduler", "x:1"], "--backend dask and --scheduler HOST:PORT go together"),
        (["--set", "lr={log=[1, 2]}"], "is no list of values"),
    ],
)
def test_bad_input_is_one_sentence(moo_mtl, arguments, sentence):
    code, out, err = moo_mtl("sweep", "toy.toml", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err


def test_run_and_sweep_share_their_runs_and_their_database(moo_mtl):
    moo_mtl("run", "toy.toml", "--set", "seed=0")
    moo_mtl("sweep", "toy.toml")
    assert len(ask(Path("runs")).rows) == 24
    _, _, err = moo_mtl("run", "toy.toml")
    assert err.count("found in") == 24
