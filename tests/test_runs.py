"""Run folders: what identifies a run, what survives, and what is refused."""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moo_mtl import runs, storage
from moo_mtl.errors import RunError

CONFIG = {"kind": "trace", "seed": 0, "rule": {"name": "mgda"}}


@pytest.fixture
def run(tmp_path):
    return runs.locate(tmp_path, "toy", CONFIG)


def finished(run: runs.Run) -> runs.Run:
    with run.writing():
        run.begin()
        run.checkpoint.write_bytes(b"state")
        storage.write(run.result, lambda part: part.write_bytes(b"arrays"))
        run.finish({"loss": 1.5}, {"seconds": 2.0})
    return run


def test_a_run_goes_from_absent_over_unfinished_to_finished(run):
    assert run.state == "absent"
    with run.writing():
        run.begin()
        assert run.state == "unfinished"
    finished(run)
    assert run.state == "finished"
    assert run.metrics == {"loss": 1.5}
    assert run.status["seconds"] == 2.0
    assert set(run.status["versions"]) >= {"moo_mtl", "torch", "python"}
    assert not run.checkpoint.exists()
    assert runs.read(run.folder) == run


def test_the_folder_depends_on_the_configuration_alone_and_not_on_its_order(tmp_path):
    folder = runs.locate(tmp_path, "toy", CONFIG).folder
    assert runs.locate(tmp_path, "toy", dict(reversed(CONFIG.items()))).folder == folder
    assert runs.locate(tmp_path, "toy", {**CONFIG, "seed": 1}).folder != folder
    assert folder.parent == tmp_path / "toy"


def test_the_digest_covers_names_and_contents_of_every_source(tmp_path):
    (tmp_path / "inner").mkdir()
    source = tmp_path / "inner" / "rule.py"
    digests = set()
    for text in ("a = 1", "a = 2"):
        source.write_text(text)
        digests.add(runs.tree_digest(tmp_path))
    source.rename(tmp_path / "rule.py")
    assert len({*digests, runs.tree_digest(tmp_path)}) == 3


def test_the_digest_covers_a_users_own_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "rules_of_mine.py"
    module.write_text("a = 1")
    config = {"rule": [{"name": "rules_of_mine:rule", "when": "12:30"}]}
    before = runs.sources_digest(config)
    assert before != runs.sources_digest({})
    module.write_text("a = 2")
    assert runs.sources_digest(config) != before


NEIGHBOURS = {
    "mine_x/__init__.py": "",
    "mine_x/rule.py": "import torch\nfrom . import inner\nfrom mine_y import b\nimport mine_v.deep\ndef f(): import mine_z\n",
    "mine_x/inner.py": "from .innermost import c\n",
    "mine_x/innermost.py": "c = 1\n",
    "mine_y.py": "import mine_x.rule\nb = 1\n",
    "mine_z.py": "",
    "mine_v/__init__.py": "",
    "mine_v/deep.py": "",
}


@pytest.mark.parametrize("where", ["current directory", "path"])
def test_the_digest_covers_the_neighbours_that_a_users_module_imports(where, tmp_path, monkeypatch):
    if where == "path":
        monkeypatch.syspath_prepend(str(tmp_path))
    else:
        monkeypatch.chdir(tmp_path)
    for name, text in {**NEIGHBOURS, "mine_w.py": "not imported, and not even Python"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    config = {"rule": {"name": "mine_x.rule:f"}}
    digests = {runs.sources_digest(config)}
    for name, text in NEIGHBOURS.items():
        (tmp_path / name).write_text(f"{text}# changed\n")
        digests.add(runs.sources_digest(config))
    assert len(digests) == 1 + len(NEIGHBOURS)
    (tmp_path / "mine_w.py").write_text("changed")
    assert runs.sources_digest(config) in digests


@pytest.mark.parametrize("name", ["result.npz", "metrics.json", "config.json"])
@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(file.read_bytes()[:-3])])
def test_a_damaged_run_says_what_to_delete(run, name, damage):
    finished(run)
    damage(run.folder / name)
    with pytest.raises(RunError, match=f"{name}.*delete the folder {run.folder}"):
        _ = run.state


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"state": "finished"}', '{"state": "fini'])
def test_a_damaged_status_says_what_to_delete(run, text):
    finished(run)
    (run.folder / "status.json").write_text(text)
    with pytest.raises(RunError, match=r"status\.json.*delete the folder"):
        _ = run.state


def test_a_folder_with_another_configuration_is_refused(run):
    finished(run)
    (run.folder / "config.json").write_text(json.dumps({**CONFIG, "seed": 9}))
    with pytest.raises(RunError, match="not the configuration"):
        _ = run.state


def test_files_appear_whole_or_not_at_all(tmp_path):
    file = tmp_path / "metrics.json"
    storage.write_json(file, {"a": 1})

    def killed(part: Path) -> None:
        part.write_text('{"a": 2, "b"')
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.write(file, killed)
    assert json.loads(file.read_text()) == {"a": 1}


def test_writers_of_one_file_take_turns(tmp_path):
    """Such as two commands that draw one figure: the second begins when the first is done, and its content stays."""
    file, writing, finish, order = tmp_path / "figure.tex", threading.Event(), threading.Event(), []

    def first(part: Path) -> None:
        part.write_text("first, ")
        writing.set()
        assert finish.wait(60)
        with part.open("a") as more:
            more.write("and whole")

    def second(part: Path) -> None:
        order.append(file.read_text())
        part.write_text("second")

    with ThreadPoolExecutor() as pool:
        one = pool.submit(storage.write, file, first)
        assert writing.wait(60)
        two = [pool.submit(storage.write, file, second) for _ in range(3)]
        time.sleep(0.2)
        assert order == []
        finish.set()
        for writer in (one, *two):
            writer.result(60)
    assert order == ["first, and whole", "second", "second"]
    assert [file.name for file in tmp_path.iterdir()] == ["figure.tex"]


HOLDER = """
import sys, time
from pathlib import Path
from moo_mtl import runs
with runs.Run(Path(sys.argv[1]), {}).writing():
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_processes_never_compute_the_same_run(run):
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(run.folder)], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            with pytest.raises(RunError, match="another process is computing"), run.writing():
                pass
        finally:
            other.kill()
    with run.writing():  # the lock died with its holder
        pass


def test_output_below_a_file_is_refused_even_for_root(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot create the folder .*choose another with --out"):
        storage.prepare(tmp_path / "file" / "runs")
    storage.prepare(tmp_path / "fresh" / "runs")
    assert list((tmp_path / "fresh" / "runs").iterdir()) == []


def test_a_folder_that_is_no_run_says_so(tmp_path):
    with pytest.raises(RunError, match="is not the folder of a run"):
        runs.read(tmp_path)
