"""Attempts to break what lies on the disk: files cut short, with a bit flipped, or written by somebody who means harm."""

import json
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from moo_mtl import config, experiment, problems, rules, runs, storage, trace
from moo_mtl.cli import main
from moo_mtl.data import sources
from moo_mtl.data.checksums import SHA256
from moo_mtl.data.fetching import fetch
from moo_mtl.data.sources import Source
from moo_mtl.data.tables import csv as table
from moo_mtl.errors import DamageError, DataError, InputError, MooMtlError, RunError
from moo_mtl.fronts import Front
from moo_mtl.kinds.front_run import NetworkFronts
from moo_mtl.kinds.trace_run import resumed
from moo_mtl.training import History
from moo_mtl.training.checkpoint import Checkpoint

FLIPS = 200


class Payload:
    """What unpickling this would do."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path("executed").exists(), "a payload was executed"


def saved(file):
    """A saved value, how it is read, and all that was in it."""
    if file == "trace.npz":
        toy = problems.get("two-task-toy")
        value = trace(toy, rules.mgda(), toy.starts[:2], steps=3, lr=0.1)
    elif file == "history.npz":
        two = torch.arange(4.0, dtype=torch.float64).reshape(2, 2)
        empty = torch.zeros(0, 2, dtype=torch.float64)
        bounds = {"train": torch.tensor([0.1, 0.2], dtype=torch.float64)}
        value = History(("a", "b"), two, two + 1, empty, {"a/mae": two[0]}, two[1], empty, bounds, torch.tensor([1, 0]), 1, 3)
    elif file == "front.npz":
        value = Front(*torch.rand(4, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), torch.rand(3, 0))
    else:
        parts = torch.rand(9, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        value = NetworkFronts(*parts)
    value.save(file)
    return type(value)


def content(value):
    flat = {}
    for name, part in vars(value).items():
        flat |= {f"{name} {key}": tensor for key, tensor in part.items()} if isinstance(part, dict) else {name: part}
    return flat


def alike(ours, theirs):
    ours, theirs = content(ours), content(theirs)
    return ours.keys() == theirs.keys() and all(
        torch.equal(part, theirs[name]) if isinstance(part, torch.Tensor) else part == theirs[name]
        for name, part in ours.items()
    )


def spoiled(whole, seed):
    """The file's bytes, cut short or with one bit flipped."""
    chance = random.Random(seed)
    if seed % 4 == 0:
        return whole[: chance.randrange(len(whole))]
    changed, bit = bytearray(whole), chance.randrange(8 * len(whole))
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


RESULTS = ["trace.npz", "history.npz", "front.npz", "fronts.npz"]


@pytest.mark.parametrize("file", RESULTS)
def test_a_spoiled_result_is_refused_or_harmless(file):
    kind = saved(file)
    whole, value = Path(file).read_bytes(), kind.load(file)
    refused = 0
    for seed in range(FLIPS):
        Path(file).write_bytes(spoiled(whole, seed))
        try:
            found = kind.load(file)
        except InputError:
            refused += 1
        else:
            assert alike(found, value), f"seed {seed}"
    assert refused > FLIPS / 2


@pytest.mark.parametrize("file", RESULTS)
@pytest.mark.parametrize("form", ["objects", "object", "pickle", "text", "empty", "folder"])
def test_a_hostile_result_is_refused(file, form):
    kind = saved(file)
    with np.load(file) as honest:
        names = list(honest.files)
    Path(file).unlink()
    if form == "objects":
        np.savez(file, **{name: np.array([Payload()], dtype=object) for name in names})
    elif form == "object":
        with open(file, "wb") as stream:
            np.save(stream, np.array([Payload()], dtype=object))
    elif form == "folder":
        Path(file).mkdir()
    else:
        Path(file).write_bytes({"pickle": pickle.dumps(Payload()), "text": b"losses", "empty": b""}[form])
    with pytest.raises(InputError, match=file):
        kind.load(file)


IDENTITY = {"rule": "mgda"}


def read_checkpoint(file):
    return Checkpoint(file, IDENTITY, 0).load()


READERS = [read_checkpoint, resumed]


@pytest.mark.parametrize("read", READERS)
def test_a_spoiled_checkpoint_never_gives_other_numbers(read):
    """PyTorch itself passes over the checksums: before this package looked at them, half of the flips went through."""
    file, numbers = Path("checkpoint.pt"), torch.randn(300, dtype=torch.float64)
    if read is resumed:
        torch.save({"x": numbers}, file)
    else:
        Checkpoint(file, IDENTITY, 0).save({"x": numbers})
    whole, refused = file.read_bytes(), 0
    for seed in range(FLIPS):
        file.write_bytes(spoiled(whole, seed))
        try:
            found = read(file)
        except DamageError as error:
            refused, said = refused + 1, str(error)
        else:
            assert torch.equal(found["x"], numbers), f"seed {seed}"
            continue
        assert "delete it" in said
        assert "\n" not in said
    assert refused > FLIPS / 2


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "what",
    [
        Payload(),
        {"version": 1, "identity": IDENTITY, "state": Payload()},
        {"version": 1, "identity": IDENTITY, "state": 7},
        {"version": 1, "identity": 3, "state": {}},
        {"version": "one"},
        [1, 2],
        torch.ones(3),
        "text",
    ],
    ids=lambda what: type(what).__name__,
)
@pytest.mark.parametrize("form", ["torch", "old torch", "pickle"])
def test_a_hostile_checkpoint_is_refused_and_never_executed(read, what, form):
    file = Path("checkpoint.pt")
    if form == "pickle":
        file.write_bytes(pickle.dumps(what))
    else:
        torch.save(what, file, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(DamageError, match=r"checkpoint\.pt"):
        read(file)


@pytest.mark.parametrize("size", [0, 1, 100])
@pytest.mark.parametrize("name", ["config.json", "status.json", "metrics.json"])
def test_a_run_with_a_file_of_noise_is_named(size, name):
    run = runs.locate(Path("runs"), "toy", {"kind": "trace"})
    with run.writing():
        run.begin()
        storage.write(run.result, lambda part: part.write_bytes(b"arrays"))
        run.finish({"loss": 1.0}, {"seconds": 0.0})
    (run.folder / name).write_bytes(random.Random(size).randbytes(size))
    with pytest.raises(DamageError, match=f"{name}.*delete the folder"):
        _ = run.state


HOSTILE = ["../../outside.data", "/tmp/outside.data", "adult.data/../../outside.data", "..\\outside.data"]


@pytest.mark.parametrize("member", HOSTILE)
def test_an_archive_writes_nowhere_but_to_its_folder(member, monkeypatch):
    """Members are read one by one and written under the name that the package knows."""
    import hashlib

    Path("served").mkdir()
    with zipfile.ZipFile("served/adult.zip", "w") as archive:
        archive.writestr(member, b"people")
        archive.writestr("adult.data", b"people")
    monkeypatch.setitem(sources.SOURCES, "adult/adult.data", Source("http://localhost/adult.zip", "adult.data"))
    monkeypatch.setitem(sources.SOURCES, "adult/adult.test", Source("http://localhost/adult.zip", member))
    for file in ("adult/adult.data", "adult/adult.test"):
        monkeypatch.setitem(SHA256, file, hashlib.sha256(b"people").hexdigest())
    monkeypatch.setattr("moo_mtl.data.fetching._downloaded", lambda *_: Path("served/adult.zip"))
    before = set(Path.cwd().parent.iterdir())
    fetch("adult", Path("data"))
    assert sorted(file.name for file in Path("data").rglob("*") if file.is_file()) == ["adult.data", "adult.test"]
    assert set(Path.cwd().parent.iterdir()) == before
    assert not Path("/tmp/outside.data").exists()


@pytest.mark.parametrize("flip", range(8))
def test_a_spoiled_archive_is_refused_and_leaves_nothing(flip, monkeypatch):
    with zipfile.ZipFile("adult.zip", "w") as archive:
        archive.writestr("adult.data", b"people " * 50)
    whole = Path("adult.zip").read_bytes()
    Path("adult.zip").write_bytes(whole[:40] if flip == 0 else whole[:60] + bytes([whole[60] ^ 1 << flip - 1]) + whole[61:])
    monkeypatch.setitem(sources.SOURCES, "adult/adult.data", Source("http://localhost/adult.zip", "adult.data"))
    monkeypatch.setattr("moo_mtl.data.fetching._downloaded", lambda *_: Path("adult.zip"))
    with pytest.raises(DataError, match=r"adult/adult\.data"):
        fetch("adult", Path("data"))
    assert [file for file in Path("data").rglob("*") if file.is_file()] == []


TABLES = {
    "nothing": b"",
    "no row": b"a,b,y\n",
    "not a table": bytes(range(256)) * 20,
    "ragged": b"a,b,y\n1,2\n3\n1,2,3,4,5\n" * 9,
    "infinite": b"a,b,y\n" + b"1e999,2,3\n4,inf,5\n6,7,-inf\n" * 9,
    "too large": b"a,b,y\n" + b"1e308,2,3\n-1e308,2,1e308\n" * 9,
    "constant": b"a,b,y\n" + b"1,2,3\n" * 30,
    "words for numbers": b"a,b,y\n" + b"x,2,3\nq,r,4\n" * 9,
    "a column twice": b"a,a,y\n" + b"1,2,3\n2,3,5\n" * 9,
    "utf-16": "a,b,y\n1,2,3\n".encode("utf-16"),
    "latin-1": "a,b,y\n1,ü,3\n".encode("latin-1") * 9,
    "nul": b"a,b,y\n" + b"1,\x00,3\n2,3,4\n" * 9,
    "one line of a megabyte": b"a,b,y\n" + b"1" * 1_000_000 + b",2,3\n",
    "quotes": b'a,b,y\n"1,2,3\n4,5,6\n',
    "mixed labels": b"a,b,y\n" + b"1,2,3\n1,3,yes\n2,4,5\n" * 9,
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_anything_is_a_data_set_of_finite_numbers_or_refused(name):
    Path("table.csv").write_bytes(TABLES[name])
    refusal = ""
    try:
        found = table("table.csv", ["y"])
    except MooMtlError as error:
        refusal = str(error)
    else:
        assert found.examples.inputs.isfinite().all()
        assert all(values.isfinite().all() for values in found.examples.targets.values())
    assert "\n" not in refusal


NAMES = ["white space", "ünïcödé", "-x", ".hidden", "..dots", "a'b\"c", "new\nline", "x" * 200, "%s {0} $HOME"]
SMALL = 'kind = "trace"\nproblem = "two-task-toy"\nrule = "mgda"\nlr = 0.1\nsteps = 3\n'


@pytest.mark.parametrize("name", NAMES)
def test_experiments_of_any_name_stay_in_their_folder(name):
    file = Path(f"{name}.toml")
    file.write_text(SMALL, encoding="utf-8")
    one = config.read(file, [])
    found = experiment.prepare(one, Path("runs"))
    (single,) = found.items
    assert single.run.folder.resolve().parent.parent == Path("runs").resolve()


CLIMBING = ["../outside", "..", "/tmp/outside", "a/../../outside"]


@pytest.mark.parametrize("name", CLIMBING)
def test_data_sets_and_problems_are_no_paths(name):
    for key in ("problem", "rule"):
        Path("e.toml").write_text(SMALL, encoding="utf-8")
        with pytest.raises(MooMtlError):
            experiment.prepare(config.read(Path("e.toml"), [f'{key}="{name}"']), Path("runs"))


ODD = ["nan", "-1", "1e999", "[]", '""', "{}", "true", "0", "'\\u0000'", "[[[[1]]]]", "9" * 400, "\x00", "\u2028"]


def spoil_text(text, chance):
    """A configuration that somebody has had an accident with."""
    kind = chance.randrange(5)
    at, other = sorted(chance.randrange(len(text) + 1) for _ in range(2))
    odd = chance.choice(ODD)
    if kind == 0:
        return text[:at] + text[other:]
    if kind == 1:
        return text[:at] + odd + text[at:]
    lines = text.splitlines()
    place = chance.randrange(len(lines))
    key = lines[place].partition("=")[0]
    if kind == 2:
        lines[place] = f"{key}= {odd}"
    elif kind == 3:
        lines.insert(place, lines[chance.randrange(len(lines))])
    else:
        lines[place] = f"{key.strip()}x = {odd}"
    return "\n".join(lines) + "\n"


LONG = """
# A trace, with a comment that may be spoiled without any harm: nothing in this line is read, whatever it says.
kind = "trace"
title = "A title that may be anything at all, long enough to be hit"
problem = { name = "two-task-toy", scale = 0.1 }
rule = ["mgda", { name = "db-mtl", lower_bound = "problem", beta = 0.5 }]
optimizer = "adam"
betas = [0.9, 0.99]
lr = { log = [1e-3, 1e-1], n = 2 }
steps = 3
clip = 1.0
starts = [[0.0, 1.0], [1.0, 2.0]]
seed = { range = 2 }
until = 0.1
"""


def test_any_configuration_is_read_or_refused_in_a_sentence(monkeypatch):
    """No exception but the package's own, in a sentence; what is read can be planned, or is refused likewise."""
    read, refused = 0, set()
    for seed in range(400):
        Path("e.toml").write_text(spoil_text(LONG, random.Random(seed)), encoding="utf-8")
        try:
            one = config.read(Path("e.toml"), [])
            if len(one.singles) < 10:
                experiment.prepare(one, Path("runs"))
            read += 1
        except MooMtlError as error:
            refused.add(str(error))
    assert read > 20
    assert len(refused) > 50
    assert all(refused), "an error without words"


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="the system has no limit on the size of files")
@pytest.mark.parametrize("write", ["trace", "history", "front"])
def test_a_full_disk_leaves_what_was_there(write):
    """A file may not grow beyond 100 bytes: what torch and NumPy make of it differs, what is on the disk does not."""
    file = Path(f"{write}.npz")
    kind = saved(file.name)
    value, whole = kind.load(file), file.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(RunError, match="cannot write"):
            storage.save(file, value.save)
        with pytest.raises(RunError, match="cannot write the checkpoint"):
            Checkpoint(Path("c.pt"), IDENTITY, 0).save({"x": torch.ones(1000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert file.read_bytes() == whole
    assert not Path("c.pt").exists()


INTERRUPTED = """
import os, signal, sys
from importlib.abc import MetaPathFinder

class Pressed(MetaPathFinder):
    '''Ctrl-C in the middle of the import of NumPy, which PyTorch begins in C.'''
    done = False
    def find_spec(self, name, path, target=None):
        if name == "numpy.matrixlib" and not self.done:
            Pressed.done = True
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Pressed())
sys.argv = ["moo-mtl", sys.argv[1], "e.toml"]
from moo_mtl.cli import main
try:
    main()
finally:
    print("pressed" if Pressed.done else "never pressed")
"""


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_ctrl_c_while_numpy_is_imported_fails_no_run(command):
    """PyTorch swallows it and goes on with half of NumPy; every run of the sweep was then noted as failed."""
    Path("e.toml").write_text(SMALL, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, command], capture_output=True, text=True, timeout=300)
    assert "pressed" in done.stdout.splitlines(), done.stderr
    assert done.returncode == 130, done.stderr
    assert done.stderr.startswith("Stopped.")
    assert list(Path("runs").rglob("status.json")) == []


HALF = "\ud800"  # of a character: JSON can spell it, and no file or database can hold it
HOSTILE = [
    ("status.json", "versions", "x"),
    ("status.json", "versions", {"torch": {}}),
    ("status.json", "seconds", "x"),
    ("status.json", "batch", {"id": {}, "size": []}),
    ("status.json", "sources", 3),
    ("status.json", "error", HALF),
    ("metrics.json", "upper bound", 10**400),
    ("metrics.json", HALF, 1.0),
    ("config.json", "seed", 2**70),
    ("config.json", "problem", {"name": {"name": 1}}),
    ("config.json", "rule", [[[]]]),
]


@pytest.mark.parametrize(("file", "key", "value"), [*HOSTILE, ("status.json", None, None), ("metrics.json", None, None)])
def test_a_run_that_says_strange_things_is_read_or_refused_in_a_sentence(file, key, value, monkeypatch, capsys):
    Path("e.toml").write_text(
        'kind = "trace"\nproblem = "two-task-toy"\nrule = "equal"\nlr = 0.1\nsteps = 2\n', encoding="utf-8"
    )

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["moo-mtl", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code, capsys.readouterr().err

    assert command("run", "e.toml")[0] == 0
    spoilt = next(Path("runs/e").glob(f"*/{file}"))
    table = json.loads(spoilt.read_text(encoding="utf-8"))
    spoilt.write_text("[" * 100_000 if key is None else json.dumps({**table, key: value}), encoding="utf-8")
    for words in (("results", "--rebuild"), ("report", "runs/e"), ("show", spoilt.parent), ("compare", "runs")):
        code, said = command(*words)
        assert code in (0, 2)
        assert (code == 0) or said.startswith("moo-mtl: ")
