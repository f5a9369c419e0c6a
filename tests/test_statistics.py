"""Comparisons against hand-made runs whose answer is known, and against the tests' own definitions."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest
from scipy import stats

from moo_mtl import cli, runs, statistics
from moo_mtl.config import TraceRun, TrainRun
from moo_mtl.errors import InputError, RunError
from moo_mtl.statistics import ranks, tables
from moo_mtl.statistics.gather import Measured
from moo_mtl.statistics.spread import spread
from moo_mtl.statistics.tuning import tuned

pytest.importorskip("scikit_posthocs", reason="the extra [stats] is not installed")


def measured(rule="equal", lr=0.1, seed=0, validation=0.0, **scores):
    """A run with the metrics a/accuracy (higher is better) and b/error (lower)."""
    found = {"a/accuracy": scores.get("accuracy", 0.5), "b/error": scores.get("error", 2.0)}
    higher = {"a/accuracy": True, "b/error": False}
    return Measured("digits", rule, False, {"lr": str(lr)}, seed, found, higher, validation, "validation score", 1.0)


def alone(task, **scores):
    whole = measured(task, **scores)
    key = next(key for key in whole.scores if key.startswith(task))
    return dataclasses.replace(whole, alone=True, scores={key: whole.scores[key]}, higher={key: whole.higher[key]})


def test_settings_are_chosen_by_validation_and_never_by_the_test_part():
    good = [measured(lr=0.1, seed=seed, validation=1.0, accuracy=0.1) for seed in range(3)]
    tempting = [measured(lr=0.2, seed=seed, validation=2.0, accuracy=0.9) for seed in range(3)]
    lucky = [measured(lr=0.3, seed=seed, validation=-9.0, accuracy=0.9) for seed in range(2)]  # its third seed has failed
    found = tuned([*tempting, *lucky, *good])
    assert (found.runs, found.tried, found.incomplete) == (tuple(good), 3, 1)


def test_deltas_are_relative_to_single_tasks_with_the_signs_of_the_literature():
    runs_ = [measured(), alone("a", accuracy=0.4), alone("b", error=4.0), measured("mgda", accuracy=0.2, error=1.0)]
    (place,) = statistics.compare(runs_).places
    by_rule = {one.rule: one for one in place.contenders}
    assert place.against == "single-task runs"
    assert by_rule["equal"].delta_m.mean == pytest.approx(100 * (-(0.5 - 0.4) / 0.4 + (2 - 4) / 4) / 2)
    assert by_rule["mgda"].delta_p.mean == pytest.approx(100 * ((0.2 - 0.4) / 0.4 - (1 - 4) / 4) / 2)
    assert (by_rule["equal"].rank, by_rule["mgda"].rank) == (1.5, 1.5)


def test_without_single_tasks_deltas_are_relative_to_equal_weights_which_must_be_there():
    runs_ = [measured("mgda", accuracy=0.25), measured()]
    (place,) = statistics.compare(runs_).places
    assert place.against == "equal weights"
    assert [one.delta_m.mean for one in place.contenders] == pytest.approx([0.0, 25.0])
    with pytest.raises(InputError, match="add the rule 'equal'"):
        statistics.compare(runs_[:1])


def test_a_baseline_at_or_below_zero_has_no_relative_change_and_is_named():
    (place,) = statistics.compare([measured(accuracy=0.0), measured("mgda", accuracy=0.25)]).places
    assert place.left_out == ("a/accuracy",)
    with pytest.raises(InputError, match="nothing is relative"):
        statistics.compare([measured(accuracy=0.0, error=-1.0)])


def test_spread_is_the_percentile_bootstrap_of_the_mean_and_repeats():
    values = np.random.default_rng(3).normal(5, 2, size=200).tolist()
    found = spread(values)
    assert found == spread(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1))
    half = 1.96 * found.sd / np.sqrt(200)  # the normal interval, which the bootstrap approaches
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), rel=0.02)
    assert spread([1.0]) == (1.0, None, None, None)


def test_ranks_and_tests_are_those_of_their_definitions():
    generator = np.random.default_rng(0)
    scores = {name: (generator.normal(size=12) + shift).tolist() for name, shift in (("a", 0), ("b", 1), ("c", 5))}
    found = ranks.tests(scores)
    table = np.array(list(scores.values()))
    np.testing.assert_allclose(list(found.ranks.values()), stats.rankdata(table, axis=0).mean(axis=1))
    assert found.friedman == pytest.approx(stats.friedmanchisquare(*table).pvalue)
    raw = {pair: stats.wilcoxon(scores[pair[0]], scores[pair[1]]).pvalue for pair in itertools.combinations("abc", 2)}
    largest = 0.0  # Holm: the smallest p times 3, then 2, then 1, and never less than one before
    for place, (one, other) in enumerate(sorted(raw, key=raw.get)):
        largest = max(largest, min(1.0, raw[one, other] * (3 - place)))
        assert found.pairs[one][other] == found.pairs[other][one] == pytest.approx(largest)


def test_rules_that_are_all_alike_show_no_difference():
    found = ranks.tests({name: [1.0, 2.0, 3.0] for name in "abc"})
    assert (found.friedman, found.ranks["a"], found.pairs["a"]["b"]) == (1.0, 2.0, 1.0)
    assert ranks.tests({"a": [1.0, 2.0]}) is None
    assert ranks.tests({"a": [1.0], "b": [2.0]}) is None


def test_only_seeds_that_all_rules_have_are_paired():
    runs_ = [measured(rule, seed=seed, error=1 + seed) for rule in ("equal", "mgda") for seed in range(4)]
    found = statistics.compare([run for run in runs_ if (run.rule, run.seed) != ("mgda", 0)])
    assert found.tests.blocks == 3


def write(folder, config, numbers, **status):
    run = runs.locate(folder, "sweep", config.resolved())
    with run.writing():
        run.finish(numbers, {"seconds": 2.0, **status})


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Run folders of two rules, two learning rates and three seeds; 0.01 is better on the validation part alone."""
    folder = tmp_path_factory.mktemp("runs")
    for rule, lr, seed in itertools.product(["equal", "mgda", "bmtl"], [0.1, 0.01], range(3)):
        keys = {"kind": "train", "data": "d", "model": "m", "rule": rule, "lr": lr, "seed": seed, "epochs": 1}
        score = {"left/accuracy": 0.5 + lr + 0.01 * seed + len(rule) / 100}
        training = {"ms per step": 3.0, "validation score": lr}
        numbers = {"test": score, "better": {"left/accuracy": "higher"}, "validation": score, "training": training}
        write(folder, TrainRun.model_validate(keys), numbers)
    return folder


@pytest.fixture
def moo_mtl(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["moo-mtl", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code, *capsys.readouterr()

    return run


def test_the_command_writes_markdown_latex_and_the_diagram(moo_mtl, results, tmp_path):
    code, out, err = moo_mtl("compare", results, "--out", tmp_path / "new")
    assert (code, err) == (0, "")
    assert "| equal | 0.01 | 3 | **0.57 ± 0.01 [0.56, 0.58]** |" in out
    assert "lowest mean validation score" in out
    assert (tmp_path / "new/comparison.md").read_text() in out
    tex = (tmp_path / "new/comparison.tex").read_text()
    assert re.search(r"equal & 0\.01 & 3 & \\textbf\{0\.57 \$\\pm\$ 0\.01\}", tex)
    assert tex.count(r"\toprule") == tex.count(r"\bottomrule") == 1
    assert (tmp_path / "new/critical-differences.pdf").read_bytes().startswith(b"%PDF")


def test_another_number_may_choose_the_settings(moo_mtl, results, tmp_path):
    code, out, _ = moo_mtl("compare", results, "--tune", "left/accuracy", "--out", tmp_path)
    assert code == 0
    assert "lowest mean left/accuracy" in out


def test_traces_are_tuned_by_their_certificate(tmp_path):
    for rule, lr in itertools.product(["equal", "mgda"], [0.1, 0.2]):
        keys = {"kind": "trace", "problem": "zdt1", "rule": rule, "lr": lr, "steps": 4}
        numbers = {"loss 1": 1.0, "upper bound": lr, "hypervolume": 2.0}
        write(tmp_path, TraceRun.model_validate(keys), numbers)
    (place,) = statistics.compare(statistics.gather(tmp_path)).places
    assert [dict(one.settings) for one in place.contenders] == [{"lr": "0.1"}] * 2
    assert dict(place.higher) == {"upper bound": False, "hypervolume": True}
    assert place.contenders[0].ms.mean == 500.0
    assert "| zdt1" not in tables.markdown(statistics.compare(statistics.gather(tmp_path)))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--metric", "left/acuracy"], "did you mean 'left/accuracy'?"),
        (["--tune", "rank"], "a run has no 'rank' to choose settings by"),
    ],
)
def test_what_is_not_there_is_one_sentence(moo_mtl, results, arguments, sentence):
    code, out, err = moo_mtl("compare", results, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err


def test_a_folder_without_runs_says_so(moo_mtl, tmp_path):
    with pytest.raises(RunError, match="no finished run lies below"):
        statistics.gather(tmp_path)
    assert moo_mtl("compare", tmp_path / "absent")[0] == 2
    (tmp_path / "status.json").write_text(json.dumps({}))
    assert moo_mtl("compare", tmp_path)[0] == 2
