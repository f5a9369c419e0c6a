"""Two commands in one folder, started together: both end well, every run is computed once, no reader sees half of anything."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from moo_mtl.results import FILE, frame
from moo_mtl.results import database as database_module
from moo_mtl.results.database import Database
from moo_mtl.runs import Run
from tests.test_sweeps_faults import MINE, SWEEP, arrays, assert_same, assert_whole, begun, until

DRAW = """
from matplotlib.figure import Figure

def draw(records):
    figure = Figure()
    axes = figure.add_subplot()
    for record in records:
        axes.plot(record.load().losses[..., 0])
    return figure

def table(records):
    return "".join(f"{record.run.folder.name} {record.metrics}\\n" for record in records)
"""
FIGURES = ("pdf", "png", "tex")
WHOLE = {"pdf": b"%%EOF\n", "png": b"IEND\xaeB`\x82", "tex": b"}\n"}  # how they end


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("toy.toml").write_text(SWEEP + 'figures = ["draw.py"]\n', encoding="utf-8")
    Path("mine.py").write_text(MINE, encoding="utf-8")
    Path("draw.py").write_text(DRAW, encoding="utf-8")


@contextmanager
def started(*arguments, nap="0"):
    """A command, which is killed if the test ends before it does."""
    command = [sys.executable, "-m", "moo_mtl", *map(str, arguments)]
    environment = {**os.environ, "NAP": nap, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process):
    out, err = process.communicate(timeout=300)
    assert "Traceback" not in err, err
    assert "damaged" not in err, err
    return process.returncode, out, err


def together(*commands, nap="0.005"):
    """What several commands that start at the same time write; all of them succeed."""
    with started(*commands[0], nap=nap) as one, started(*commands[1], nap=nap) as other:
        found = [ended(process) for process in (one, other)]
    assert [code for code, _, _ in found] == [0, 0], found
    return [out + err for _, out, err in found]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The arrays of the same runs, computed by one process."""
    home = tmp_path_factory.mktemp("alone")
    before = os.getcwd()
    os.chdir(home)
    try:
        Path("toy.toml").write_text(SWEEP, encoding="utf-8")
        Path("mine.py").write_text(MINE, encoding="utf-8")
        with started("run", "toy.toml") as process:
            assert ended(process)[0] == 0
        return arrays()
    finally:
        os.chdir(before)


def assert_sound(alone, figures=None, again=0):
    """Each run once, as it is alone; a sound database; whole figures; and nothing left behind."""
    assert 8 <= len(begun()) <= 8 + again, "a run was computed twice"
    assert_whole()
    assert_same(alone)
    assert_sound_database(8)
    assert list(Path().rglob(".part-*")) == []
    for suffix in FIGURES if figures is not None else ():
        assert figures.with_suffix(f".{suffix}").read_bytes().endswith(WHOLE[suffix])


def assert_sound_database(count):
    with closing(sqlite3.connect(Path("runs", FILE))) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT count(*), count(DISTINCT hash) FROM runs").fetchone() == (count, count)


def test_two_runs(alone):
    for text in together(["run", "toy.toml"], ["run", "toy.toml"]):
        assert text.count("runs/toy/figures/draw.") == 3
    assert len(set(begun())) == 2, "one of them computed nothing"
    assert_sound(alone, Path("runs/toy/figures/draw"))


@pytest.mark.slow
def test_two_sweeps_with_workers(alone):
    sweep = ["sweep", "toy.toml", "--no-batch", "--jobs", 2]
    for text in together(sweep, sweep):
        assert "8 of 8 runs done" in text
    assert_sound(alone)


@pytest.mark.slow
def test_two_figures(alone):
    figures = ["figures", "toy", "--experiments", "."]
    together(figures, figures)
    assert_sound(alone, Path("figures/toy"))


@pytest.mark.slow
def test_one_of_two_runs_is_killed(alone):
    """The other goes on from its last checkpoint, or begins that one run again where there was none yet."""
    with started("run", "toy.toml", nap="0.01") as one, started("run", "toy.toml", nap="0.01") as other:
        until(lambda: {str(one.pid), str(other.pid)} <= set(begun()) and len(begun()) >= 4, one)
        one.send_signal(signal.SIGKILL)
        code, _, err = ended(other)
        one.communicate()
    assert code == 0, err
    assert len(begun()) - begun().count(str(one.pid)) >= 4
    assert_sound(alone, Path("runs/toy/figures/draw"), again=1)


READERS = {"results": [], "report": ["runs/toy"], "compare": ["runs/toy"]}


@pytest.mark.slow
def test_readers_while_runs_are_computed():
    """What is there is shown; what cannot be shown yet is refused in a sentence."""
    rules, codes = 'rule=["equal", "mine:Slow"]', {name: [] for name in READERS}
    with started("run", "toy.toml", "--set", rules, nap="0.1") as process:
        until(lambda: begun(), process)
        while process.poll() is None:
            for name, arguments in READERS.items():
                with started(name, *arguments) as reader:
                    code, _, err = ended(reader)
                assert code == 0 or (code == 2 and len(err.splitlines()) == 1), err
                codes[name].append(code)
        assert ended(process)[0] == 0
    assert all(codes.values())
    assert set(codes["results"] + codes["report"]) == {0}
    for name, arguments in READERS.items():
        with started(name, *arguments) as reader:
            assert ended(reader)[0] == 0
    assert_whole()
    assert_sound_database(8)
    assert len(begun()) == 4


WRITER = """
import sys
from pathlib import Path
from moo_mtl.results import database as database_module
from moo_mtl.results.database import Database
from moo_mtl.runs import Run
from moo_mtl.runs import Run

database, me = Database(Path("runs")), sys.argv[1]
for number in range(80):
    run = Run(Path("runs", "toy", f"{me}{number}"), {"kind": "trace", "rule": {"name": "mgda"}, "seed": number})
    database.enrol([run])
    with run.writing():
        run.finish({"x": 1.0}, {"seconds": 0.1}, durable=False)
    database.record([(run, "")])
"""


def test_a_database_made_anew_while_others_write_to_it():
    """Nobody goes on writing to the old one, whose rows would be lost, and no journal is taken from under a writer."""
    one, other = (subprocess.Popen([sys.executable, "-c", WRITER, me], stderr=subprocess.PIPE, text=True) for me in "ab")
    with one, other:
        while one.poll() is None or other.poll() is None:
            Database(Path("runs")).rebuild()
        assert [writer.communicate()[1] for writer in (one, other)] == ["", ""]
    assert_sound_database(160)
    assert list(frame("runs").state) == ["finished"] * 160


def test_a_run_that_ends_while_the_database_is_made_anew(monkeypatch):
    """Its row goes to the new file, not to the old one that nobody reads any more."""
    first, second = (Run(Path("runs", "toy", name), {"kind": "trace", "rule": {"name": "mgda"}}) for name in ("a", "b"))
    database, scanning, go_on, read = Database(Path("runs")), threading.Event(), threading.Event(), database_module.read

    def slow(*arguments):
        if not scanning.is_set():
            scanning.set()
            assert go_on.wait(60)
        return read(*arguments)

    def finish(run):
        with run.writing():
            run.finish({}, {"seconds": 0.1})

    finish(first)
    database.rebuild()
    monkeypatch.setattr(database_module, "read", slow)
    with ThreadPoolExecutor() as pool:
        anew = pool.submit(database.rebuild)
        assert scanning.wait(60)
        finish(second)
        entered = pool.submit(database.record, [(second, "")])
        time.sleep(0.3)
        go_on.set()
        assert anew.result(60) == 1
        entered.result(60)
    assert_sound_database(2)
