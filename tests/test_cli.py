"""The command as a user meets it: experiments run, found again, killed and resumed, and one sentence for what is wrong."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from moo_mtl import cli, runs
from moo_mtl.kinds import trace_run

TOY = """
kind = "trace"
title = "A small toy"
problem = { name = "two-task-toy", scale = 0.1 }
rule = ["equal", "mgda"]
optimizer = "adam"
lr = 1e-3
steps = 40
record_every = 10
"""
GATES = """
kind = "train"
data = "logic-gates"
model = "gates"
rule = "equal"
single_tasks = ["xor"]
optimizer = "sgd"
lr = 0.05
batch_size = 2
epochs = 3
"""

MINE = """
import torch
from moo_mtl import rules

rule = rules.get("equal")

def bowls(x):
    return torch.stack([(x - 1).square().sum(-1), (x + 1).square().sum(-1)], -1)

def cliff(x):
    return torch.stack([x.sum(-1), x.log().mean(-1)], -1)

def halving(step):
    return 0.1 * 0.5 ** (step // 10)

def failing(step):
    return [0.1, 0.1, 0.1][step]

def word(step):
    return "fast"

def pair(step, epoch):
    return 0.1
"""


@pytest.fixture
def moo_mtl(monkeypatch, capfd, tmp_path):
    """Runs the command in an empty folder; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOO_MTL_DATA", os.environ.get("MOO_MTL_DATA", ""))  # put back after --data-root has set it
    monkeypatch.setattr(sys, "path", [*sys.path])  # the folder of one test must not be seen by the next
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.setattr(runs, "_package_digest", lambda: "the package")  # an editor may be at work while tests run
    Path("toy.toml").write_text(TOY, encoding="utf-8")
    Path("gates.toml").write_text(GATES, encoding="utf-8")
    Path("mine.py").write_text(MINE, encoding="utf-8")

    def run(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["moo-mtl", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code, *capfd.readouterr()

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def folders(experiment: str = "toy", out: str = "runs") -> list[Path]:
    return sorted(file.parent for file in Path(out, experiment).glob("*/status.json"))


def arrays(folder: Path, *, without: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    with np.load(folder / "result.npz") as file:
        return {name: file[name] for name in file.files if name not in without}


def test_every_name_is_listed(moo_mtl):
    code, out, _ = moo_mtl("list")
    assert code == 0
    assert {"db-mtl", "two-task-toy", "multi-digits", "small-lenet"} <= set(out.split())
    assert "Multi-gate mixture of experts" in out  # models are described, as all else
    assert "there is no TOML file in the folder experiments" in out


def test_a_finished_run_is_found_and_not_computed_again(moo_mtl, monkeypatch):
    code, out, err = moo_mtl("run", "toy.toml")
    assert code == 0
    assert "A small toy" in out
    assert "mgda" in out
    assert len(folders()) == 2
    assert "[2/2] toy: mgda, seed 0: " in err

    before = {folder: (folder / "status.json").read_bytes() for folder in folders()}
    monkeypatch.setattr(trace_run, "perform", lambda *arguments: pytest.fail("a finished run was computed again"))
    code, again, err = moo_mtl("run", "toy.toml")
    assert code == 0
    assert again == out
    assert err.count("found in runs/toy/") == 2
    assert before == {folder: (folder / "status.json").read_bytes() for folder in folders()}


def test_what_a_run_leaves_behind(moo_mtl):
    moo_mtl("run", "toy.toml", "--set", "rule=mgda", "--set", "seed=3")
    (folder,) = folders()
    assert {file.name for file in folder.iterdir()} == {"config.json", "status.json", "metrics.json", "result.npz", "lock"}
    config = json.loads((folder / "config.json").read_text())
    assert (config["rule"], config["seed"], config["lr"]) == ({"name": "mgda"}, 3, 1e-3)
    metrics = json.loads((folder / "metrics.json").read_text())
    losses = arrays(folder)["losses"][-1]
    assert metrics["of each start"]["losses"] == losses.tolist()
    assert metrics["loss 2"] == pytest.approx(losses[:, 1].mean())
    code, out, _ = moo_mtl("show", str(folder))
    assert code == 0
    assert "finished" in out
    assert str(metrics["loss 2"]) in out


def test_a_changed_setting_is_another_run(moo_mtl):
    moo_mtl("run", "toy.toml", "--set", "rule=mgda")
    moo_mtl("run", "toy.toml", "--set", "rule=mgda", "--set", "problem.scale=1")
    assert len(folders()) == 2


def test_training_runs_tell_tests_apart_and_compare_with_single_tasks(moo_mtl):
    code, out, _ = moo_mtl("run", "gates.toml", "--set", 'single_tasks=["xor", "and"]', "--deterministic")
    assert code == 0
    assert "xor alone" in out
    assert "delta_m %" in out
    assert len(folders("gates")) == 3
    assert all(runs.read(folder).config["deterministic"] for folder in folders("gates"))


def test_rules_problems_and_schedules_of_ones_own(moo_mtl):
    settings = ["rule=mine:rule", 'problem={name="mine:bowls", n_tasks=2, n_dim=3}', "starts=[[1, 2, 3]]"]
    settings += ["lr=mine:halving"]
    code, out, err = moo_mtl("run", "toy.toml", *(word for setting in settings for word in ("--set", setting)))
    assert (code, err.count("\n")) == (0, 1)
    assert out.endswith("figures of these runs: moo-mtl report runs/toy\n")
    (first,) = folders()
    Path("mine.py").write_text(f"{MINE}# changed\n", encoding="utf-8")
    moo_mtl("run", "toy.toml", *(word for setting in settings for word in ("--set", setting)))
    assert len(folders()) == 2, "a changed module of the user's is another run"
    assert first in folders()


def test_figures_are_written_as_pdf_and_png(moo_mtl):
    Path("neighbour.py").write_text("TITLE = 'labels: '\n")
    Path("ends.py").write_text(
        "import matplotlib.pyplot as plt\n"
        "from neighbour import TITLE\n"
        "def draw(records):\n"
        "    figure, ax = plt.subplots()\n"
        "    for record in records: ax.plot(*record.load().x[-1].T, label=record.label)\n"
        "    ax.set_title(TITLE + ', '.join(record.label for record in records))\n"
        "    return figure\n"
    )
    code, out, _ = moo_mtl("run", "toy.toml", "--set", 'figures=["ends.py"]')
    assert code == 0
    for suffix, magic in (("pdf", b"%PDF"), ("png", b"\x89PNG")):
        assert f"runs/toy/figures/ends.{suffix}" in out
        assert Path(f"runs/toy/figures/ends.{suffix}").read_bytes().startswith(magic)


BAD = {
    "unknown key": (["run", "toy.toml", "--set", "stepz=1"], "did you mean 'steps'?"),
    "unknown rule": (["run", "toy.toml", "--set", "rule=mgad"], "unknown rule 'mgad'; did you mean 'mgda'?"),
    "unknown parameter": (["run", "toy.toml", "--set", "rule={name='db-mtl', betta=1}"], "did you mean 'beta'?"),
    "unknown problem": (["run", "toy.toml", "--set", "problem=two-task-toi"], "did you mean 'two-task-toy'?"),
    "wrong type": (["run", "toy.toml", "--set", "steps='many'"], "steps: expected an integer, found 'many'"),
    "negative temperature": (["run", "toy.toml", "--set", "rule={name='bmtl', temperature=-1.0}"], "temperature"),
    "no bound for a logarithm": (["run", "toy.toml", "--set", "rule=db-mtl"], "lower_bound"),
    "no bound of the data": (["run", "gates.toml", "--set", "rule={name='db-mtl', lower_bound='problem'}"], "offers none"),
    "starts of another size": (["run", "toy.toml", "--set", "starts=[[1, 2, 3]]"], "every row needs 2 numbers"),
    "unknown data": (["run", "gates.toml", "--set", "data=logic-gate"], "did you mean 'logic-gates'?"),
    "unknown task": (["run", "gates.toml", "--set", 'single_tasks=["xar"]'], "did you mean 'xor'?"),
    "empty task list": (["run", "gates.toml", "--set", "tasks=[]"], "task"),
    "missing data folder": (["run", "gates.toml", "--set", "data=sarcos", "--data-root", "nowhere"], "nowhere does not exist"),
    "NaN start": (["run", "toy.toml", "--set", "starts=[[nan, 1]]"], "starts.0.0: expected a finite number, found nan"),
    "NaN loss": (
        ["run", "toy.toml", "--set", "problem={name='mine:cliff', n_tasks=2, n_dim=1}", "--set", "starts=[[0.015]]"],
        "the loss of task 1 is not finite after 15 steps",
    ),
    "diverging training": (["run", "gates.toml", "--set", "lr=1e30"], "the loss of task 'xor' is not finite at step"),
    "unknown device": (["run", "toy.toml", "--device", "gpu"], "device 'gpu' cannot be used here"),
    "half precision": (["run", "toy.toml", "--dtype", "float16"], "dtype: expected 'float64', found 'float16'"),
    "one name twice": (["run", "toy.toml", "./toy.toml"], "two of the files are called toy"),
    "absent file": (["run", "absent.toml"], "cannot read the experiment file absent.toml"),
    "absent script": (["run", "toy.toml", "--set", 'figures=["absent.py"]'], "there is no script"),
    "a number for a schedule": (["run", "toy.toml", "--set", "lr=mine:torch"], "expected a function of the step"),
    "schedule of two arguments": (["run", "gates.toml", "--set", "lr=mine:pair"], "lr 'mine:pair' raised TypeError at step 1"),
    "schedule gives a word": (["run", "toy.toml", "--set", "lr=mine:word"], "lr 'mine:word' raised ValueError at step 1"),
    "schedule fails later": (["run", "toy.toml", "--set", "lr=mine:failing"], "lr 'mine:failing' raised IndexError at step 3"),
    "schedule of training fails later": (["run", "gates.toml", "--set", "lr=mine:failing"], "raised IndexError at step 3"),
    "wrong type of a rule's parameter": (
        ["run", "toy.toml", "--set", 'rule={name="db-mtl", beta="x"}'],
        "rule 'db-mtl': beta: expected a number, or a function, found 'x'",
    ),
    "output below a file": (["run", "toy.toml", "--out", "toy.toml/runs"], "cannot create the folder toy.toml/runs/toy"),
    "no run": (["show", "."], "is not the folder of a run"),
    "own module absent": (["run", "toy.toml", "--set", "rule=absent:rule"], "there is no module 'absent'"),
}


@pytest.mark.parametrize(("arguments", "sentence"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_sentence_and_exit_code_2(moo_mtl, arguments, sentence):
    code, out, err = moo_mtl(*arguments)
    assert code == 2
    sentences = [
        line for line in err.splitlines() if not line.startswith("[")
    ]  # "[1/2] ...: failed" is progress, not the reason
    assert all(line.startswith("moo-mtl: ") for line in sentences)
    assert sentence in sentences[0]
    assert len(sentences) == max(1, err.count(": failed\n")), err
    assert out == ""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "def draw(records):\n    return records[7]\n",
            "figures: ends.py raised IndexError in line 2: list index out of range",
        ),
        ("import no_such_module\n", "figures: ends.py raised ModuleNotFoundError in line 1: No module named 'no_such_module'"),
        ("def draw(records:\n", "figures: ends.py raised SyntaxError: "),
        ("def draw(records):\n    pass\n", "figures: draw in ends.py returned NoneType, expected a matplotlib Figure"),
    ],
)
def test_a_figure_script_that_fails_is_one_sentence_and_the_runs_are_kept(moo_mtl, text, sentence):
    Path("ends.py").write_text(text, encoding="utf-8")
    code, _, err = moo_mtl("run", "toy.toml", "--set", 'figures=["ends.py"]')
    assert code == 2
    (line,) = (line for line in err.splitlines() if not line.startswith("["))
    assert line.startswith(f"moo-mtl: {sentence}")
    assert all(runs.read(folder).state == "finished" for folder in folders())


def test_all_files_are_checked_before_the_first_starts(moo_mtl):
    Path("bad.toml").write_text(TOY.replace('"mgda"', '"mgad"'), encoding="utf-8")
    code, _, err = moo_mtl("run", "toy.toml", "bad.toml")
    assert code == 2
    assert "mgad" in err
    assert folders() == []


@pytest.mark.parametrize("name", ["result.npz", "metrics.json", "config.json", "status.json"])
def test_a_corrupt_run_folder_says_what_to_delete(moo_mtl, name):
    moo_mtl("run", "toy.toml", "--set", "rule=mgda")
    (folder,) = folders()
    (folder / name).write_bytes((folder / name).read_bytes()[:-5])
    code, _, err = moo_mtl("run", "toy.toml", "--set", "rule=mgda")
    assert code == 2
    assert f"delete the folder {folder}" in err


def test_a_corrupt_checkpoint_says_what_to_delete(moo_mtl):
    moo_mtl("run", "toy.toml", "--set", "rule=mgda")
    (folder,) = folders()
    run = runs.read(folder)
    run.begin()
    run.checkpoint.write_bytes(b"half a checkp")
    code, _, err = moo_mtl("run", "toy.toml", "--set", "rule=mgda")
    assert code == 2
    assert f"the checkpoint {folder / 'checkpoint.pt'} is damaged; delete it" in err


def test_a_full_disk_is_one_sentence_and_no_run_is_called_finished(moo_mtl, monkeypatch):
    def full(path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("moo_mtl.tracing.Trace.save", lambda trace, path: full(path))
    code, _, err = moo_mtl("run", "toy.toml")
    (folder,) = folders()
    assert (code, err) == (2, f"moo-mtl: cannot write to {folder}: No space left on device; what was written before is kept\n")
    assert runs.read(folder).state == "unfinished"


# The command, with a checkpoint at every opportunity, and steps slow enough to be caught at work.
OFTEN = """
import sys, time
from moo_mtl import cli, runs, progress
runs.CHECKPOINT_EVERY = 0.0
runs._package_digest = lambda: "the package"
follow = progress._Lines.follow
progress._Lines.follow = lambda *arguments: lambda step: time.sleep(0.3)
sys.argv = ["moo-mtl", *sys.argv[1:]]
cli.main()
"""
CASES = {
    "trace": ("toy", ["--set", "rule={name='db-mtl', lower_bound='problem'}", "--set", "gradient_noise=0.1"], ()),
    "train": ("gates", ["--set", "rule=db-mtl", "--set", "single_tasks=[]", "--set", "epochs=60"], ("seconds",)),
}


def interrupted(experiment: str, settings: list[str], by: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Start the command, and end it once a checkpoint has been written."""
    command = [sys.executable, "-c", OFTEN, "run", f"{experiment}.toml", *settings]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(Path("runs").glob("*/*/checkpoint.pt")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(by)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.mark.parametrize(("experiment", "settings", "apart"), CASES.values(), ids=CASES.keys())
def test_a_killed_run_resumes_and_ends_bit_identical(moo_mtl, experiment, settings, apart):
    settings = [*settings, *(["--set", "steps=1500"] if experiment == "toy" else [])]
    assert interrupted(experiment, settings, signal.SIGKILL).returncode == -signal.SIGKILL
    (killed,) = folders(experiment)
    assert runs.read(killed).state == "unfinished"
    assert moo_mtl("run", f"{experiment}.toml", *settings)[0] == 0
    assert runs.read(killed).state == "finished"
    assert not (killed / "checkpoint.pt").exists()

    assert moo_mtl("run", f"{experiment}.toml", *settings, "--out", "whole")[0] == 0
    (whole,) = folders(experiment, "whole")
    resumed, expected = arrays(killed, without=apart), arrays(whole, without=apart)
    assert resumed.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(resumed[name], array, err_msg=name)


def test_resuming_goes_on_from_the_checkpoint(moo_mtl, monkeypatch):
    settings = ["--set", "rule=mgda", "--set", "steps=4000"]
    interrupted("toy", settings, signal.SIGKILL)
    seen = []
    whole = trace_run.trace
    monkeypatch.setattr(trace_run, "trace", lambda *a, **k: seen.append(k.get("resume")) or whole(*a, **k))
    assert moo_mtl("run", "toy.toml", *settings)[0] == 0
    assert seen[-1] is not None


def test_ctrl_c_leaves_a_run_that_can_go_on_and_says_so(moo_mtl):
    settings = ["--set", "rule=mgda", "--set", "steps=4000"]
    stopped = interrupted("toy", settings, signal.SIGINT)
    assert stopped.returncode == 130
    assert "the same command goes on from the last checkpoint" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert moo_mtl("run", "toy.toml", *settings)[0] == 0


def test_a_run_that_fails_does_not_stop_the_others(moo_mtl):
    """DB-MTL meets its bound on the way; the other rule's run and table are there all the same."""
    rules = 'rule=[{name="db-mtl", lower_bound=-0.2}, "mgda"]'
    code, out, err = moo_mtl("run", "toy.toml", "--set", rules, "--set", "starts=[[0.0, 0.0]]", "--set", "lr=0.1")
    assert code == 2
    assert "toy: db-mtl, seed 0: log: the loss of task" in err
    assert "mgda" in out
    assert [runs.read(folder).state for folder in folders()].count("finished") == 1
