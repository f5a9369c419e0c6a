"""Examples of validation and test that training has too: counted for every data set, warned of in the user's own."""

import sys

import pytest
import torch
from typer.testing import CliRunner

from moo_mtl import data
from moo_mtl.cli import app, main
from moo_mtl.data import Dataset, Examples, Graphs, Target, repeats


def dataset(inputs, train, validation, test):
    splits = {"train": train, "validation": validation, "test": test}
    N = len(inputs)
    splits = {part: torch.tensor(index, dtype=torch.int64) for part, index in splits.items()}
    return Dataset("mine", Examples(inputs, {"a": torch.zeros(N)}), splits, (Target("a", "binary"),))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize("shape", [(), (3,), (3, 4, 5)])
def test_equal_inputs_are_counted(shape, dtype):
    """Of 10,000 rows every third of the test part and one of the validation part stand in the training part."""
    N = 10_000
    inputs = torch.arange(N).reshape(N, *[1] * len(shape)).expand(N, *shape) % (256 if dtype is torch.uint8 else N)
    if dtype in (torch.bfloat16, torch.uint8):  # few numbers: told apart by a second column
        inputs = torch.stack([torch.arange(N) // 128, torch.arange(N) % 128], dim=1)
    inputs = inputs.to(dtype).clone()
    inputs[9000:9300] = inputs[:300]
    inputs[8500] = inputs[17]
    found = repeats(dataset(inputs, list(range(8000)), list(range(8000, 9000)), list(range(9000, 9900))))
    assert found == {"validation": 1, "test": 300}


def test_the_same_index_in_two_parts_is_counted():
    assert repeats(dataset(torch.eye(6), [0, 1, 2], [2], [3, 1, 0])) == {"validation": 1, "test": 2}


def test_parts_without_examples_and_inputs_without_columns():
    assert repeats(dataset(torch.eye(6), [0, 1, 2], [], [3])) == {"validation": 0, "test": 0}
    assert repeats(dataset(torch.zeros(6, 0), [0, 1, 2], [3], [4])) == {"validation": 0, "test": 0}


def test_inputs_that_are_learned_and_lie_anyhow():
    inputs = torch.nn.Parameter(torch.eye(6).T.flip(0))
    assert repeats(dataset(inputs, [0, 1, 2], [2], [3])) == {"validation": 1, "test": 0}


def test_graphs_are_not_compared():
    graph = torch.arange(3)
    graphs = Graphs(torch.zeros(3, 2), torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0, 1), graph, 3)
    assert repeats(dataset(graphs, [0], [1], [2])) == {}


def test_a_table_whose_rows_repeat_is_warned_of(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("x,y,label\n" + "".join(f"{k % 10},{k % 5},{k % 2}\n" for k in range(200)))
    with pytest.warns(
        UserWarning, match="table: 20 of 20 validation examples and 40 of 40 test examples have exactly the inputs"
    ):
        data.get("csv", path=str(table), targets=["label"])
    with pytest.warns(UserWarning, match="table: 20 of 20"):
        shown = CliRunner().invoke(app, ["data", "show", "csv", "--set", f"path='{table}'", "--set", "targets=['label']"])
    assert "40 (100.0%)" in shown.output


@pytest.mark.filterwarnings("always")
def test_a_command_says_it_once_and_without_the_line_of_code(tmp_path, monkeypatch, capfd):
    (tmp_path / "table.csv").write_text("x,y,label\n" + "".join(f"{k % 10},{k % 5},{k % 2}\n" for k in range(200)))
    (tmp_path / "twice.toml").write_text(
        'kind = "train"\ndata = { name = "csv", path = "table.csv", targets = ["label"] }\nmodel = "mlp"\n'
        'rule = "equal"\nseed = [0, 1]\nlr = 0.01\nbatch_size = 32\nepochs = 1\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["moo-mtl", "run", "twice.toml"])
    threads = torch.get_num_threads()
    with pytest.raises(SystemExit) as stopped:
        main()
    torch.set_num_threads(threads)
    assert stopped.value.code == 0
    told = [line for line in capfd.readouterr().err.splitlines() if "exactly the inputs" in line]
    assert len(told) == 1
    assert told[0].startswith("moo-mtl: note: table: 20 of 20 validation examples")


def own():
    return dataset(torch.eye(6), [0, 1, 2], [2], [3])


def test_a_function_of_the_users_own_is_warned_of():
    with pytest.warns(
        UserWarning, match="mine: 1 of 1 validation examples have exactly the inputs of a training example; unless"
    ):
        data.get("tests.test_data_repeats:own")
