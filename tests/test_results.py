"""The results database: what it holds, that asking changes nothing, and that it is made anew whatever happens to it."""

import csv
import io
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from moo_mtl import cli, results, runs
from moo_mtl.config import TraceRun
from moo_mtl.errors import InputError, RunError
from moo_mtl.results import FILE, Database, ask, frame


def made(root, rule, seed, *, loss=None, **keys):
    """A run's folder, finished with a loss or, without one, failed."""
    table = {"kind": "trace", "problem": "two-task-toy", "rule": rule, "lr": 0.1, "steps": 5, "seed": seed, **keys}
    run = runs.locate(root, "toy", TraceRun.model_validate(table).resolved())
    with run.writing():
        if loss is None:
            run.fail("the loss of task 0 is not finite", {"seconds": 0.5, "peak_mb": 10.0})
        else:
            took = {"seconds": 1.5, "peak_mb": 20.0, "batch": {"id": "b", "size": 7, "place": seed}}
            run.finish({"loss 1": loss, "of each start": {"end": [[1.0]]}, "group": {"deep": 2}, "none": None}, took)
    return run


@pytest.fixture
def root(tmp_path):
    made(tmp_path, {"name": "db-mtl", "beta": 0.5}, 0, loss=0.25)
    made(tmp_path, "mgda", 0, loss=0.5, lr=0.01)
    made(tmp_path, "mgda", 1, loss=0.75)
    made(tmp_path, "mgda", 2)
    return tmp_path


def test_every_run_has_its_configuration_status_metrics_versions_duration_and_memory(root):
    table = frame(root).set_index("seed").sort_values("lr")
    assert len(table) == 4
    one = frame(root, "rule = 'db-mtl'").iloc[0]
    assert (one.problem, one.lr, one.state, one.seconds, one.peak_mb, one.batch_runs) == (
        "two-task-toy",
        0.1,
        "finished",
        1.5,
        20.0,
        7,
    )
    assert (one["loss 1"], one["group deep"]) == (0.25, 2.0)
    assert (one.moo_mtl, one.torch) == (runs.versions()["moo_mtl"], runs.versions()["torch"])
    assert json.loads(one.config)["rule"] == {"name": "db-mtl", "beta": 0.5}
    failed = frame(root, "state = 'failed'").iloc[0]
    assert failed.error == "the loss of task 0 is not finite"


@pytest.mark.parametrize(
    ("where", "seeds"),
    [
        ("", [0, 0, 1, 2]),
        ("rule = 'mgda' AND lr < 0.05", [0]),
        ('"loss 1" > 0.3', [0, 1]),
        ("config ->> '$.rule.beta' = 0.5", [0]),
        ("seed IN (1, 2) -- a comment", [1, 2]),
    ],
)
def test_conditions_are_on_keys_parameters_and_metrics(root, where, seeds):
    answer = ask(root, where, ["loss 1"], every_column=True)
    assert sorted(row[answer.columns.index("seed")] for row in answer.rows) == seeds


EVIL = [
    "1 = 1); DELETE FROM runs; --",
    "1 = 1; DROP TABLE runs",
    "load_extension('x')",
    "(SELECT writefile('x', 'y'))",
    "1 = 1) UNION SELECT * FROM pragma_database_list; --",
    "id IN (DELETE FROM runs RETURNING id)",
    "no such thing",
    "rule = 'mgda",
]


@pytest.mark.parametrize("where", EVIL)
def test_asking_changes_nothing_and_nonsense_is_one_sentence(root, where):
    before = ask(root)
    with pytest.raises(InputError, match="--where") as caught:
        ask(root, where)
    assert "\n" not in str(caught.value)
    assert ask(root) == before


def test_unknown_columns_and_metrics_have_a_nearest_match(root):
    with pytest.raises(InputError, match="no column ruel; did you mean rule"):
        ask(root, "ruel = 'mgda'")
    with pytest.raises(InputError, match="unknown metric 'loss 9'; did you mean 'loss 1'"):
        ask(root, metrics=["loss 9"])
    with pytest.raises(RunError, match="there is no folder"):
        ask(root / "absent")


def damage(file):
    content = file.read_bytes()
    for beside in ("-wal", "-shm"):
        file.with_name(file.name + beside).unlink(missing_ok=True)
    return content


DAMAGES = {
    "absent": lambda file: file.unlink(),
    "truncated": lambda file: file.write_bytes(damage(file)[:5000]),
    "empty": lambda file: file.write_bytes(damage(file)[:0]),
    "not a database": lambda file: file.write_bytes(b"nonsense" * 1000),
    "another version": lambda file: sqlite3.connect(file).execute("PRAGMA user_version = 7").connection.close(),
}


@pytest.mark.parametrize("spoil", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_database_is_made_anew_from_the_folders(root, spoil):
    before = frame(root)
    spoil(root / FILE)
    assert frame(root).sort_values("hash").reset_index(drop=True).equals(before.sort_values("hash").reset_index(drop=True))


def test_what_a_killed_driver_did_not_enter_is_found_when_asked(root):
    database, told = Database(root), []
    database.rebuild()
    run = runs.locate(root, "toy", TraceRun(kind="trace", problem="zdt1", rule="mgda", lr=0.1, steps=5).resolved())
    database.enrol([run])
    assert ask(root, "state = 'waiting'").rows
    with run.writing():
        run.finish({"loss 1": 9.0}, {"seconds": 1.0})
    assert ask(root, '"loss 1" = 9.0', ["loss 1"]).rows
    (root / FILE).write_bytes(b"x" * 4096)
    Database(root, told.append).record([(run, "")])
    assert len(told) == 1
    assert "made anew from 5 run folders" in told[0]


def test_many_writers_lose_nothing(root):
    entered = [made(root, "equal", seed, loss=1.0) for seed in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda run: Database(root).record([(run, "")]), entered))
    assert len(ask(root, "rule = 'equal' AND state = 'finished'").rows) == 40


@pytest.fixture
def moo_mtl(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["moo-mtl", "results", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code, *capsys.readouterr()

    return run


def test_the_command_answers_as_table_csv_parquet_and_tex(moo_mtl, root, tmp_path):
    options = (root, "--where", "rule = 'mgda'", "--metric", "loss 1")
    code, out, _ = moo_mtl(*options)
    assert code == 0
    assert "3 runs" in out
    assert "0.75" in out
    _, out, _ = moo_mtl(*options, "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(out)))
    assert [line["loss 1"] for line in lines if line["state"] == "finished"] in (["0.5", "0.75"], ["0.75", "0.5"])
    _, out, _ = moo_mtl(*options, "--format", "tex")
    assert out.startswith(r"\begin{tabular}")
    assert r"peak\_mb" in out or "loss 1" in out
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow", reason="the extra [parquet] is not installed")
    code, _, _ = moo_mtl(*options, "--format", "parquet", "--out", tmp_path / "new" / "runs.parquet")
    assert code == 0
    assert pandas.read_parquet(tmp_path / "new" / "runs.parquet")["loss 1"].count() == 2
    assert moo_mtl(root, "--format", "parquet")[0] == 2


def test_the_command_rebuilds(moo_mtl, root):
    moo_mtl(root)
    for folder in (root / "toy").glob("*"):
        if json.loads((folder / "config.json").read_text())["seed"] == 2:
            (folder / "status.json").unlink()
    code, out, err = moo_mtl(root, "--rebuild")
    assert (code, err) == (0, "3 runs\n")
    assert "3 runs" in out


def test_names_of_metrics_are_listed_without_reading_them_all(root):
    assert results.query.names(root) == ["group deep", "loss 1"]
