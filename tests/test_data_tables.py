"""A user's own CSV file as a multi-task problem."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from moo_mtl import config, data
from moo_mtl.errors import DataError, InputError
from moo_mtl.training import tasks_of

HEADER = "patient,age,smoker,score,ill,grade,visits,sex\n"


@pytest.fixture
def table(tmp_path):
    """60 rows of 20 patients: a score that is missing in every fifth row, an illness by words, a grade by three words."""
    generator = np.random.default_rng(0)
    rows = []
    for i in range(60):
        score = "" if i % 5 == 0 else f"{10 + 3 * generator.normal():.3f}"
        ill, grade = ("no", "yes")[i % 2], ("high", "low", "medium")[i % 3]
        age = "" if i == 7 else 20 + i
        rows.append(f"p{i % 20},{age},{('no', 'yes')[i % 3 > 0]},{score},{ill},{grade},{i % 4},{('f', 'm')[i % 7 > 3]}\n")
    file = tmp_path / "people.csv"
    file.write_text(HEADER + "".join(rows))
    return file


def test_columns_become_tasks_and_inputs(table):
    people = data.get("csv", path=table, targets=["score", "ill", "grade", "visits"], classes=["visits"], ignore=["patient"])
    assert people.name == "people"
    assert [(task.name, task.kind, task.n_outputs) for task in people.tasks] == [
        ("score", "regression", 1),
        ("ill", "binary", 1),
        ("grade", "classes", 3),
        ("visits", "classes", 4),
    ]
    assert people.examples.inputs.shape == (60, 5)  # age; smoker and sex, two words each
    assert people.examples.inputs.isfinite().all()
    assert people.examples.present["score"].sum() == 48
    assert people.examples.present["ill"].all()
    assert people.examples.targets["ill"].tolist() == [i % 2 for i in range(60)]
    assert people.examples.targets["grade"].tolist() == [i % 3 for i in range(60)]
    known = people.examples.targets["score"][people.splits["train"]][people.train.present["score"]]
    torch.testing.assert_close(known.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(known.std(unbiased=False), torch.tensor(1.0), atol=1e-5, rtol=0)
    assert len(tasks_of(people)) == 4


def test_statistics_are_of_the_training_part_alone(table):
    """Other ages in the test part change no input of the training part."""
    first = data.get("csv", path=table, targets=["ill"], ignore=["patient"])
    tested = set(first.splits["test"].tolist())
    lines = table.read_text().splitlines()
    for i in tested:
        cells = lines[i + 1].split(",")
        lines[i + 1] = ",".join([cells[0], "1000", *cells[2:]])
    table.write_text("\n".join(lines))
    second = data.get("csv", path=table, targets=["ill"], ignore=["patient"])
    assert torch.equal(first.train.inputs, second.train.inputs)
    assert not torch.equal(first.test.inputs, second.test.inputs)


def test_a_group_is_never_in_two_parts(table):
    people = data.get("csv", path=table, targets=["ill"], group="patient", validation=0.2, test=0.2)
    found = [set(people.sources[people.splits[part], 0].tolist()) for part in people.splits]
    assert sum(map(len, found)) == len(set.union(*found)) == 20
    assert people.examples.inputs.shape[1] == 3 + 2 + 3 + 2  # age, score and visits; smoker, grade and sex by words


def test_a_sensitive_column_adds_an_objective(table):
    people = data.get("csv", path=table, targets=["ill", "grade"], sensitive="sex", ignore=["patient", "score"])
    assert [(task.name, task.output) for task in people.tasks] == [
        ("ill", "ill"),
        ("grade", "grade"),
        ("ill-opportunity", "ill"),
    ]
    pairs = people.examples.targets["ill-opportunity"]
    assert pairs[:, 0].tolist() == [i % 2 for i in range(60)]
    assert pairs[:, 1].tolist() == [float(i % 7 > 3) for i in range(60)]
    assert people.examples.inputs.shape[1] == 2 + 2  # age and visits; smoker by words


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"targets": ["il"]}, "unknown column of .*'il'; did you mean 'ill'"),
        ({"targets": []}, "targets is empty"),
        ({"targets": ["ill"], "ignore": ["ill"]}, "'ill' is named twice"),
        ({"targets": ["ill"], "classes": ["grade"]}, "unknown target named in classes"),
        ({"targets": ["grade"], "sensitive": "sex"}, "sensitive needs a binary target"),
        ({"targets": ["ill", "score"], "sensitive": "sex"}, "a label in every row"),
        ({"targets": ["ill"], "sensitive": "grade"}, "must have two values and no gap"),
        ({"targets": ["ill"], "validation": 0.0}, "each part needs at least one"),
        ({"targets": HEADER.strip().split(",")}, "no column left for the inputs"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(table, parameters, message):
    with pytest.raises(InputError, match=message):
        data.get("csv", path=table, **parameters)


def test_files_that_are_no_table_are_refused(tmp_path, table):
    with pytest.raises(DataError, match="cannot be read as CSV: No such file"):
        data.get("csv", path=tmp_path / "absent.csv", targets=["a"])
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match="cannot be read as CSV"):
        data.get("csv", path=tmp_path / "empty.csv", targets=["a"])
    (tmp_path / "header.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="has no row"):
        data.get("csv", path=tmp_path / "header.csv", targets=["a"])
    (tmp_path / "one.csv").write_text("a,b\n1,2\n1,3\n1,4\n1,5\n1,5\n1,5\n")
    with pytest.raises(InputError, match="has the one value 1"):
        data.get("csv", path=tmp_path / "one.csv", targets=["a"], validation=0.2)
    with pytest.raises(DataError, match="not the one that was meant"):
        data.get("csv", path=table, targets=["ill"], sha256="0" * 64)


EXPERIMENT = """
kind = "train"
data = { name = "csv", path = "people.csv", targets = ["score", "ill"], group = "patient", validation = 0.2 }
model = { name = "mlp", widths = [8] }
rule = ["equal", "mgda"]
lr = 0.01
batch_size = 16
epochs = 2
single_tasks = ["score", "ill"]
"""


def test_ten_lines_make_an_experiment(table, tmp_path, monkeypatch):
    """From another folder: the path is relative to the experiment file."""
    (table.parent / "mine.toml").write_text(EXPERIMENT)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "moo_mtl", "run", str(table.parent / "mine.toml")]
    answer = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    assert "ill auc" in answer.stdout
    assert len(list((elsewhere / "runs" / "mine").glob("*/metrics.json"))) == 4


def test_another_table_is_another_run(table):
    file = table.parent / "mine.toml"
    file.write_text(EXPERIMENT)
    before = config.read(file).singles[0].resolved()
    table.write_text(table.read_text().replace("p3,", "p4,"))
    after = config.read(file).singles[0].resolved()
    assert before["data"].pop("sha256") != after["data"].pop("sha256")
    assert before == after
