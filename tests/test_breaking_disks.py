"""Attempts to break runs by their disk: full, read-only, or fed by somebody who means harm."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from moo_mtl.cli import main
from moo_mtl.data import sources
from moo_mtl.data.checksums import SHA256
from moo_mtl.data.sources import Source

TOY = 'kind = "trace"\nproblem = "two-task-toy"\nrule = ["mgda", "equal", "mine:Wrong"]\nlr = 0.01\nsteps = 300\n'
MINE = """
import torch
from pathlib import Path
from moo_mtl import Needs, Rule, Weighing

class Wrong(Rule[tuple[()]]):
    '''Fails when it has used up the disk.'''
    name, needs = "wrong", Needs.LOSSES

    def weigh(self, obs, state):
        if obs.step == 2 and Path("filling").exists():
            try:
                with open("disk/filler", "wb", buffering=0) as file:
                    while file.write(bytes(512)):
                        pass
            except OSError:
                raise ValueError("no such weights") from None
        return Weighing(torch.full_like(obs.losses, 0.5)), state
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("toy.toml").write_text(TOY, encoding="utf-8")
    Path("mine.py").write_text(MINE, encoding="utf-8")
    yield
    sys.modules.pop("mine", None)


def mount(*options):
    return subprocess.run(["mount", *options, "disk"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk():
    """A disk of 4 MiB of its own at ``disk``; ``mount`` makes it smaller, or read-only."""
    Path("disk").mkdir()
    if os.geteuid() != 0 or not mount("-t", "tmpfs", "-o", "size=4M", "none"):
        pytest.skip("only root may mount a small disk")
    yield
    subprocess.run(["umount", "-l", "disk"], check=True)


@pytest.fixture
def moo_mtl(monkeypatch, capsys):
    def command(*words):
        monkeypatch.setattr(sys, "argv", ["moo-mtl", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code, capsys.readouterr().err

    return command


def said(err):
    """The one sentence that ends a command."""
    sentence = err.splitlines()[-1]
    assert sentence.startswith("moo-mtl: ")
    assert "Traceback" not in err
    return sentence


def arrays(out):
    return {file.parent.name: file.read_bytes() for file in Path(out).rglob("result.npz")}


@pytest.mark.parametrize("size", [20, 140, 180])
def test_a_full_disk_ends_in_a_sentence_and_the_same_command_goes_on(disk, moo_mtl, size):
    assert mount("-o", f"remount,size={size}k")
    code, err = moo_mtl("run", "toy.toml", "--out", "disk/runs")
    assert code == 2
    assert "cannot" in said(err)
    assert mount("-o", "remount,size=4M")
    assert moo_mtl("run", "toy.toml", "--out", "disk/runs")[0] == 0
    assert moo_mtl("run", "toy.toml", "--out", "whole")[0] == 0
    assert arrays("disk/runs") == arrays("whole")
    assert list(Path("disk").rglob(".part-*")) == []


def test_a_failure_that_finds_no_room_to_be_noted_is_computed_again(disk, moo_mtl):
    Path("filling").touch()
    code, err = moo_mtl("run", "toy.toml", "--set", "rule=mine:Wrong", "--out", "disk/runs")
    assert code == 2
    assert "cannot write" in said(err)
    Path("filling").unlink()
    Path("disk/filler").unlink()
    assert moo_mtl("run", "toy.toml", "--set", "rule=mine:Wrong", "--out", "disk/runs")[0] == 0


def test_a_read_only_disk_ends_every_writer_in_a_sentence(disk, moo_mtl):
    assert moo_mtl("run", "toy.toml", "--out", "disk/runs")[0] == 0
    folder = next(Path("disk/runs/toy").glob("*/status.json")).parent
    assert mount("-o", "remount,ro")
    for words in (
        *(("run", "toy.toml", "--out", "disk/runs"), ("sweep", "toy.toml", "--out", "disk/runs")),
        *(("results", "disk/runs"), ("report", "disk/runs/toy"), ("front", "zdt1", "--rules", "stch", "--out", "disk/front")),
        ("data", "fetch", "adult", "--data-root", "disk/data"),
    ):
        code, err = moo_mtl(*words)
        assert code == 2, words
        assert "disk" in said(err)
    assert moo_mtl("show", folder)[0] == 0


@pytest.mark.parametrize("harm", ["another content", "climbing", "no archive", "cut short", "without the member"])
def test_hostile_data_ends_the_command_in_a_sentence(harm, moo_mtl, monkeypatch):
    member = "../../adult.data" if harm == "climbing" else "adult.data"
    with zipfile.ZipFile("adult.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("other" if harm == "without the member" else member, b"people " * 1000)
    whole = Path("adult.zip").read_bytes()
    Path("adult.zip").write_bytes({"no archive": b"<html>", "cut short": whole[: len(whole) // 2]}.get(harm, whole))
    for file in ("adult/adult.data", "adult/adult.test"):
        monkeypatch.setitem(sources.SOURCES, file, Source("http://localhost/adult.zip", "adult.data"))
        expected = b"people " * 1000 if harm != "another content" else b"others"
        monkeypatch.setitem(SHA256, file, hashlib.sha256(expected).hexdigest())
    monkeypatch.setattr("moo_mtl.data.fetching._downloaded", lambda *_: Path("adult.zip"))
    before = {file for file in Path.cwd().parent.rglob("*") if file.is_file()}
    code, err = moo_mtl("data", "fetch", "adult", "--data-root", "data")
    assert code == 2
    assert "adult/adult.data" in said(err)
    assert {file for file in Path.cwd().parent.rglob("*") if file.is_file()} == before, "nothing was written"
