"""Data sets: disjoint splits, determinism, statistics of the training part alone, and files that are what they promise."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from moo_mtl import data
from moo_mtl.data import Dataset, Examples, Graphs, Target, arff
from moo_mtl.data.checksums import ORIGIN, SHA256
from moo_mtl.data.files import read
from moo_mtl.data.mulan import LABELS, TARGETS
from moo_mtl.data.overlay import overlay
from moo_mtl.data.splitting import split, split_groups, standardised
from moo_mtl.errors import DataError, InputError

ROOT = os.environ.get("MOO_MTL_DATA")
files = pytest.mark.skipif(not ROOT or not Path(ROOT).is_dir(), reason="MOO_MTL_DATA names no data folder")
# Sets of more than a few seconds, or in folders that few have; each has tests of its own.
LARGE = (
    "multi-domain",
    "multi-mnist",
    "multi-fashion",
    "fashion-and-mnist",
    "census-income",
    "camvid",
    "nyuv2",
    "cityscapes",
    "office-31",
    "office-home",
    "celeba",
)
IN_FILES = [name for name in data.NAMES if name not in ("multi-digits", "logic-gates", "csv")]


@pytest.fixture(scope="module")
def digits():
    return data.get("multi-digits", train=600, validation=100, test=200)


def sources_of(dataset, part):
    return set(dataset.sources[dataset.splits[part]].flatten().tolist())


def assert_split_is_sound(dataset):
    parts = [dataset.splits[part] for part in ("train", "validation", "test")]
    joined = torch.cat(parts)
    assert len(joined.unique()) == len(joined), "an example stands in two parts"
    if dataset.sources is not None:
        found = [sources_of(dataset, part) for part in ("train", "validation", "test")]
        for one in range(3):
            for other in range(one):
                assert not found[one] & found[other], "a source occurs in two parts"


def test_multi_digits_shows_no_scan_in_two_parts(digits):
    assert_split_is_sound(digits)
    assert {len(digits[part]) for part in ("train", "validation", "test")} == {600, 100, 200}


def test_multi_digits_shows_the_scans_it_names(digits):
    from sklearn.datasets import load_digits

    scans = load_digits()
    for example in (0, 650, 899):
        left, right = digits.sources[example].tolist()
        canvas = np.zeros((10, 10))
        canvas[:8, :8] = scans.images[left] / 16
        canvas[2:, 2:] = np.maximum(canvas[2:, 2:], scans.images[right] / 16)
        np.testing.assert_array_equal(digits.examples.inputs[example, 0].numpy(), canvas.astype(np.float32))
        assert digits.examples.targets["top-left"][example] == scans.target[left]
        assert digits.examples.targets["bottom-right"][example] == scans.target[right]


def test_multi_digits_never_lays_a_scan_over_itself(digits):
    assert (digits.sources[:, 0] != digits.sources[:, 1]).all()


def test_multi_digits_depends_on_its_seed_alone():
    torch.manual_seed(1)
    one = data.get("multi-digits", train=50, validation=10, test=10)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    other = data.get("multi-digits", train=50, validation=10, test=10)
    assert torch.equal(one.examples.inputs, other.examples.inputs)
    different = data.get("multi-digits", train=50, validation=10, test=10, seed=1)
    assert not torch.equal(one.sources, different.sources)
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state()), "the global generator was drawn from"


def test_overlay_keeps_the_brighter_pixel():
    first, second = torch.full((1, 2, 2), 0.25), torch.tensor([[[0.5, 0.0], [0.0, 0.5]]])
    expected = torch.tensor([[0.25, 0.25, 0.0], [0.25, 0.5, 0.0], [0.0, 0.0, 0.5]])
    assert torch.equal(overlay(first, second, 1)[0, 0], expected)


def test_logic_gates_are_xor_and_and():
    gates = data.get("logic-gates")
    table = {
        tuple(bits): (xor, both)
        for bits, xor, both in zip(
            gates.train.inputs.tolist(),
            gates.train.targets["xor"].tolist(),
            gates.train.targets["and"].tolist(),
            strict=True,
        )
    }
    assert table == {(0, 0): (0, 0), (0, 1): (10, 0), (1, 0): (10, 0), (1, 1): (0, 1)}


def test_split_covers_every_example_once():
    parts = split(103, seed=0, validation=0.1, test=0.2)
    assert sorted(torch.cat(list(parts.values())).tolist()) == list(range(103))
    assert [len(parts[part]) for part in ("train", "validation", "test")] == [72, 10, 21]


def test_split_by_group_keeps_groups_together():
    groups = torch.tensor([3, 3, 7, 7, 7, 1, 9, 9, 2, 5, 5, 6])
    parts = split_groups(groups, seed=1, validation=0.25, test=0.25)
    members = [set(groups[index].tolist()) for index in parts.values()]
    assert sum(len(part) for part in members) == len(groups.unique())


@pytest.mark.parametrize(("validation", "test"), [(0.0, 0.2), (0.5, 0.5), (0.1, -0.1)])
def test_a_split_that_leaves_a_part_empty_is_refused(validation, test):
    with pytest.raises(InputError, match="each part needs at least one"):
        split(20, 0, validation, test)


def test_standardised_learns_from_the_training_part_alone():
    values = torch.tensor([[1.0, 5.0], [3.0, 5.0], [torch.nan, 5.0], [100.0, 7.0]])
    columns, scale = standardised(values, torch.tensor([0, 1, 2]))
    assert torch.equal(columns, torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [98.0, 2.0]]))
    assert scale.tolist() == [1.0, 1.0]


def test_examples_index_and_move_together():
    examples = Examples(torch.arange(4.0), {"a": torch.arange(4)}, {"a": torch.tensor([True, False, True, False])})
    some = examples[torch.tensor([2, 1])].to(dtype=torch.float64)
    assert some.inputs.dtype == torch.float64
    assert some.targets["a"].dtype == torch.int64
    assert some.inputs.tolist() == some.targets["a"].tolist() == [2, 1]
    assert some.present is not None
    assert some.present["a"].tolist() == [True, False]


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'sarcos'"):
        data.get("sarkos")
    with pytest.raises(InputError, match="unknown parameter of data set 'multi-digits'"):
        data.get("multi-digits", trian=10)
    with pytest.raises(InputError, match="did you mean 'validation'"):
        data.get("logic-gates")["valdation"]
    with pytest.raises(InputError, match="must be positive, found 0"):
        data.get("multi-digits", train=0)


def test_a_users_own_data_set(tmp_path, monkeypatch):
    (tmp_path / "mine_for_test.py").write_text(
        "import torch\nfrom moo_mtl.data import Dataset, Examples, Graphs, Target, arff\n"
        "def tiny(n=3):\n"
        "    examples = Examples(torch.zeros(n, 2), {'t': torch.zeros(n)})\n"
        "    return Dataset('tiny', examples, {p: torch.arange(n) for p in ('train', 'validation', 'test')},"
        " (Target('t', 'regression'),))\n"
        "def wrong():\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.warns(UserWarning, match="tiny: 5 of 5 validation examples"):
        assert len(data.get("mine_for_test:tiny", n=5).train) == 5
    with pytest.raises(InputError, match="gave a int"):
        data.get("mine_for_test:wrong")


@pytest.mark.parametrize(
    ("tasks", "splits", "message"),
    [
        ((), ("train", "validation", "test"), "at least one task"),
        (("b",), ("train", "validation", "test"), "must name the targets"),
        (("a", "a"), ("train", "validation", "test"), "must name the targets"),
        (("a",), ("train", "test"), "splits must be"),
    ],
)
def test_a_data_set_that_contradicts_itself_is_refused(tasks, splits, message):
    examples = Examples(torch.zeros(3), {"a": torch.zeros(3)})
    with pytest.raises(InputError, match=message):
        Dataset("odd", examples, {part: torch.arange(3) for part in splits}, tuple(Target(name, "binary") for name in tasks))


@pytest.mark.parametrize(
    ("length", "present", "last", "message"),
    [
        (2, None, 2, "targets of 'a' has 2 entries, expected 3"),
        (3, {"a": torch.ones(4, dtype=torch.bool)}, 2, "present of 'a' has 4 entries, expected 3"),
        (3, None, 3, "'test' names examples 3 to 3, expected indices from 0 to 2"),
        (3, None, -1, "'test' names examples -1 to -1"),
    ],
)
def test_targets_and_splits_fit_the_number_of_examples(length, present, last, message):
    examples = Examples(torch.zeros(3, 2), {"a": torch.zeros(length)}, present)
    parts = {"train": torch.tensor([0]), "validation": torch.tensor([1]), "test": torch.tensor([last])}
    with pytest.raises(InputError, match=message):
        Dataset("odd", examples, parts, (Target("a", "binary"),))


@pytest.mark.parametrize("name", IN_FILES)
def test_an_absent_data_folder_says_what_to_do(name, monkeypatch, tmp_path):
    monkeypatch.delenv("MOO_MTL_DATA", raising=False)
    with pytest.raises(DataError, match="--data-root FOLDER"):
        data.get(name)
    with pytest.raises(DataError, match="does not exist"):
        data.get(name, root=tmp_path / "nowhere")
    with pytest.raises(DataError, match="is absent"):
        data.get(name, root=tmp_path)


def test_a_file_of_another_content_is_refused(tmp_path):
    (tmp_path / "school").mkdir()
    (tmp_path / "school" / "school.mat").write_bytes(b"not it")
    with pytest.raises(DataError, match="SHA-256 of its content is"):
        data.get("school", root=tmp_path)
    (tmp_path / "adult").mkdir()
    (tmp_path / "adult" / "adult.data.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match="cannot be read"):
        data.get("adult", root=tmp_path)


def test_a_file_is_found_packed_or_not(tmp_path, monkeypatch):
    import hashlib

    monkeypatch.setitem(SHA256, "school/x", hashlib.sha256(b"content").hexdigest())
    (tmp_path / "school").mkdir()
    (tmp_path / "school" / "x.gz").write_bytes(gzip.compress(b"content"))
    assert read("school/x", tmp_path) == b"content"
    (tmp_path / "school" / "x").write_bytes(b"content")
    assert read("school/x", str(tmp_path)) == b"content"


def test_every_file_has_an_origin():
    assert {name.split("/")[0] for name in SHA256} <= set(ORIGIN)


def test_arff_with_quotes_nominal_columns_and_gaps():
    text = (
        "% note\n@relation 'a b'\n@attribute 'first one' numeric\n@attribute kind {x,y}\n"
        "@ATTRIBUTE t1 real\n@attribute 'Stellar\\'s Jay' {0, 1}\n\n@data\n1, x, 3, ?\n?, y, 5, 1\n"
    )
    table = arff.parse(text)
    assert table.names == ["first one", "kind", "t1", "Stellar's Jay"]
    np.testing.assert_array_equal(table.inputs(0).flatten(), [1, np.nan])
    np.testing.assert_array_equal(table.inputs(1), [[1, 0], [0, 1]])
    np.testing.assert_array_equal(table.numbers(2), [3, 5])
    np.testing.assert_array_equal(table.numbers(3), [np.nan, 1])
    with pytest.raises(DataError, match="row 2 of an ARFF file has 3 cells, expected 4"):
        arff.parse(text.replace(", 1\n", "\n"))
    with pytest.raises(DataError, match="without a line @data"):
        arff.parse("@relation a")


@files
class TestFiles:
    """The real files, where the user has them."""

    @pytest.mark.parametrize("name", [name for name in IN_FILES if name not in LARGE])
    def test_set_is_sound(self, name):
        dataset = data.get(name)
        assert_split_is_sound(dataset)
        inputs = dataset.examples.inputs
        assert (inputs.nodes if isinstance(inputs, Graphs) else inputs).isfinite().all()
        for task in dataset.tasks:
            target = dataset.examples.targets[task.name]
            assert target.isfinite().all() or task.dense
            if task.kind == "binary" and not task.dense:
                assert set(target.unique().tolist()) == {0.0, 1.0}

    @pytest.mark.parametrize("name", ["sarcos", "parkinsons", "mulan", "qm9", "school"])
    def test_targets_have_mean_zero_and_deviation_one_on_the_training_part(self, name):
        """All tasks of School together, since they measure one quantity; and on all parts together nothing is exactly so."""
        dataset = data.get(name)
        for part, exact in (("train", True), ("test", False)):
            examples = dataset[part]
            columns = [
                target if examples.present is None else target[examples.present[task]]
                for task, target in examples.targets.items()
            ]
            for column in [torch.cat(columns)] if name == "school" else columns:
                off = max(column.double().mean().abs(), (column.double().std(unbiased=False) - 1).abs())
                assert (off < 1e-5) == exact, (part, off)

    def test_parkinsons_keeps_subjects_together(self):
        dataset = data.get("parkinsons")
        assert sum(len(sources_of(dataset, part)) for part in dataset.splits) == 42

    def test_ridge_errors_are_those_of_a_reader_written_elsewhere(self):
        """Ridge regression on SARCOS: relative error 0.325 on a random third, measured apart from this package."""
        from sklearn.linear_model import Ridge

        dataset = data.get("sarcos", validation=0.01, test=0.33)
        stack = {
            part: np.stack([target.numpy() for target in dataset[part].targets.values()], axis=1) for part in ("train", "test")
        }
        guess = Ridge(1).fit(dataset.train.inputs.numpy(), stack["train"]).predict(dataset.test.inputs.numpy())
        errors = np.square(guess - stack["test"]).sum(0) / np.square(stack["test"] - stack["test"].mean(0)).sum(0)
        assert np.sqrt(errors).mean() == pytest.approx(0.325, abs=0.02)

    def test_tox21_labels_are_missing_where_they_are(self):
        dataset = data.get("tox21")
        assert dataset.examples.present is not None
        assert dataset.examples.present["NR-AR"].sum() == 7258
        assert dataset.examples.present["SR-p53"].sum() == 6767

    def test_compas_filter_is_propublicas(self):
        assert len(data.get("compas").examples) == 6172

    @pytest.mark.parametrize("subset", TARGETS)
    def test_every_table_of_mulan_has_its_targets(self, subset):
        """Rows and targets as their authors list them, for a sample of the suite."""
        dataset = data.get("mulan", subset=subset)
        assert_split_is_sound(dataset)
        assert len(dataset.tasks) == TARGETS[subset]
        rows = {"andro": 49, "enb": 768, "oes97": 334, "osales": 639, "rf1": 9125, "scpf": 1137, "sf2": 1066, "wq": 1060}
        assert len(dataset.examples) == rows.get(subset, len(dataset.examples))
        assert dataset.examples.present is None, "the suite's gaps are in its inputs alone"

    @pytest.mark.parametrize(
        ("subset", "rows"), [("yeast", 2417), ("scene", 2407), ("emotions", 593), ("flags", 194), ("birds", 645)]
    )
    def test_every_multi_label_table_has_its_labels(self, subset, rows):
        dataset = data.get("mulan-labels", subset=subset)
        assert_split_is_sound(dataset)
        assert (len(dataset.examples), len(dataset.tasks)) == (rows, LABELS[subset])
        assert all(set(target.unique().tolist()) == {0, 1} for target in dataset.examples.targets.values())
        if subset == "yeast":
            assert len(dataset.test) == 917
