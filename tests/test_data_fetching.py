"""``moo-mtl data``: files come from their source, here a server on this computer, and only with the right content."""

import functools
import gzip
import hashlib
import http.server
import subprocess
import sys
import threading
import zipfile

import pytest
from typer.testing import CliRunner

from moo_mtl import cli, data
from moo_mtl.data import sources
from moo_mtl.data.checksums import ORIGIN, SHA256
from moo_mtl.data.fetching import fetch
from moo_mtl.data.files import read
from moo_mtl.data.sources import FOLDERS, SOURCES, Source
from moo_mtl.errors import DataError, InputError


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves a folder; the files of landmine, school and adult are tiny ones there, plain, gzipped and zipped."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "LandmineData.mat").write_bytes(b"fields")
    (folder / "school.mat.gz").write_bytes(gzip.compress(b"pupils"))
    with zipfile.ZipFile(folder / "adult.zip", "w") as archive:
        archive.writestr("adult.data", b"people")
        archive.writestr("adult.test", b"more people")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{running.server_port}"
        for file, (url, member, content) in {
            "landmine/LandmineData.mat": ("LandmineData.mat", None, b"fields"),
            "school/school.mat": ("school.mat.gz", None, b"pupils"),
            "adult/adult.data": ("adult.zip", "adult.data", b"people"),
            "adult/adult.test": ("adult.zip", "adult.test", b"more people"),
        }.items():
            monkeypatch.setitem(SOURCES, file, Source(f"{address}/{url}", member))
            monkeypatch.setitem(SHA256, file, hashlib.sha256(content).hexdigest())
        yield folder
        running.shutdown()


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("landmine", {"landmine/LandmineData.mat": b"fields"}),
        ("school", {"school/school.mat": b"pupils"}),
        ("adult", {"adult/adult.data": b"people", "adult/adult.test": b"more people"}),
    ],
)
def test_files_come_to_where_they_are_read(server, tmp_path, name, contents):
    root, heard = tmp_path / "new" / "data", []
    assert fetch(name, root, advance=lambda *said: heard.append(said)) == [root / file for file in contents]
    assert {file: read(file, root) for file in contents} == contents
    assert {said[0] for said in heard} == set(contents)
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()) == sorted(contents)


def test_what_is_there_is_left_alone(server, tmp_path):
    (tmp_path / "school").mkdir()
    there = tmp_path / "school" / "school.mat.gz"
    there.write_bytes(b"the user's own")
    assert fetch("school", tmp_path) == [there]
    assert there.read_bytes() == b"the user's own"


@pytest.mark.parametrize(
    ("name", "served"), [("landmine", "LandmineData.mat"), ("school", "school.mat.gz"), ("adult", "adult.zip")]
)
def test_another_content_is_refused_and_nothing_is_kept(server, tmp_path, name, served):
    root = tmp_path / "data"
    if served.endswith(".zip"):
        with zipfile.ZipFile(server / served, "w") as archive:
            archive.writestr("adult.data", b"other people")
    else:
        (server / served).write_bytes(gzip.compress(b"other") if served.endswith(".gz") else b"other")
    with pytest.raises(DataError, match=r"does not match|SHA-256 of its content is"):
        fetch(name, root)
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_a_source_that_does_not_answer_is_said(server, tmp_path):
    (server / "LandmineData.mat").unlink()
    with pytest.raises(DataError, match=r"could not be fetched from http://127\.0\.0\.1.*404.*It is LandmineData\.mat"):
        fetch("landmine", tmp_path)
    (server / "adult.zip").write_bytes(b"no archive")
    with pytest.raises(DataError, match="not a zip file"):
        fetch("adult", tmp_path)


def test_what_cannot_be_fetched_says_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"qm9_15k_graphs\.npz cannot be fetched, put it into .* derived with RDKit"):
        fetch("qm9", tmp_path)
    with pytest.raises(DataError, match=r"nyuv2 cannot be fetched, .* put it into"):
        fetch("nyuv2", tmp_path)
    with pytest.raises(InputError, match="did you mean 'school'"):
        fetch("schol", tmp_path)
    monkeypatch.delenv("MOO_MTL_DATA", raising=False)
    with pytest.raises(DataError, match="--data-root FOLDER"):
        fetch("school")
    with pytest.raises(DataError, match="`moo-mtl data fetch school` downloads it"):
        data.get("school", root=tmp_path)


def test_every_data_set_has_its_files_and_every_file_its_set():
    assert set(FOLDERS) | {"multi-digits", "logic-gates", "csv"} == set(data.NAMES)
    assert {folder for folders in FOLDERS.values() for folder in folders} == set(ORIGIN)
    assert set(SOURCES) <= set(SHA256)
    assert all(sources.files_of(name) or name in ORIGIN for name in FOLDERS)


def command(*words):
    return CliRunner().invoke(cli.app, ["data", *words], catch_exceptions=True)


def test_the_command_lists_shows_and_fetches(server, tmp_path):
    root = ["--data-root", str(tmp_path / "data")]
    (tmp_path / "data").mkdir()
    listed = command("list", *root)
    assert all(name in listed.stdout for name in data.NAMES)
    assert "absent" in command("show", "school", *root).stdout
    fetched = command("fetch", "school", *root)
    assert fetched.stdout.strip().endswith("school/school.mat")
    assert "here" in command("show", "school", *root).stdout
    shown = command("show", "multi-digits", "--set", "train=20", "--set", "validation=5", "--set", "test=5").stdout
    for said in ("top-left", "classes", "30 x 1 x 10 x 10", "Alpaydin"):
        assert said in shown
    assert isinstance(command("show", "multi-digit").exception, InputError)


def test_its_help_is_light():
    program = "import sys; from moo_mtl.cli import main; sys.argv = ['moo-mtl', 'data', '--help']\ntry: main()\nfinally: "
    program += "print('HEAVY', {'torch', 'numpy', 'pooch'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert answer.stdout.endswith("HEAVY set()\n"), answer
