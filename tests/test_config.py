"""Experiment files: what they expand to, and one clear sentence for everything that can be wrong in one."""

import tomllib
from pathlib import Path

import pytest

from moo_mtl import config
from moo_mtl.errors import InputError

TRACE = """
kind = "trace"
problem = "two-task-toy"
rule = "mgda"
steps = 10
lr = 0.1
"""


@pytest.fixture
def experiment(tmp_path):
    """Reads a file of the given text, with overrides."""

    def read(text: str, *overrides: str) -> config.Experiment:
        file = tmp_path / "toy.toml"
        file.write_text(text, encoding="utf-8")
        return config.read(file, overrides)

    return read


def test_lists_of_rules_and_seeds_are_a_grid(experiment):
    grid = experiment(TRACE, 'rule=["mgda", {name="db-mtl", beta=0.5}]', "seed=[0, 1, 2]").singles
    assert [(single.rule.name, single.seed) for single in grid] == [(r, s) for r in ("mgda", "db-mtl") for s in (0, 1, 2)]
    assert grid[-1].rule.parameters == {"beta": 0.5}


def test_every_key_may_have_several_values_and_seeds_vary_fastest(experiment):
    read = experiment(TRACE, "lr={log=[1e-4, 1e-1], n=4}", "seed={range=2}", 'problem=["two-task-toy", "ewq"]', "clip=[1, 2.5]")
    assert len(read.singles) == 4 * 2 * 2 * 2
    assert [single.seed for single in read.singles[:3]] == [0, 1, 0]
    assert {single.lr for single in read.singles} == {1e-4, 1e-3, 1e-2, 1e-1}
    assert read.label(read.singles[-1]) == "mgda, lr=0.1, problem=ewq, clip=2.5"


def test_parameters_and_lists_have_several_values_by_name(experiment):
    grid = experiment(TRACE, "rule={name='db-mtl', beta={each=[0.1, 0.9]}}", "betas={each=[[0.9, 0.999], [0.5, 0.9]]}").singles
    assert [(one.rule.parameters["beta"], one.betas[0]) for one in grid] == [(0.1, 0.9), (0.1, 0.5), (0.9, 0.9), (0.9, 0.5)]
    assert experiment(TRACE, "starts=[[1, 2], [3, 4]]").singles[0].starts == [[1, 2], [3, 4]]


def test_keys_whose_value_is_a_list_are_known():
    for kind in config.KINDS.values():
        found = {name for name, field in kind.model_fields.items() if "list[" in str(field.annotation)}
        assert found == config.LISTS & kind.model_fields.keys()


def test_the_resolved_configuration_is_a_configuration_again(experiment):
    single = experiment(TRACE, "problem.scale=0.1", "rule={name='ema', lower_bound='problem'}").singles[0]
    assert type(single).model_validate(single.resolved()) == single
    assert single.resolved()["problem"] == {"name": "two-task-toy", "scale": 0.1}


def test_files_name_their_experiment_and_figures_are_found_beside_them(experiment, tmp_path):
    read = experiment(f'{TRACE}figures = ["../paper_figs/front.py"]')
    assert read.name == "toy"
    assert read.figures == (tmp_path / "../paper_figs/front.py",)


def test_labels_show_parameters_only_where_two_rules_share_a_name(experiment):
    read = experiment(TRACE, 'rule=["mgda", {name="ema", decay=0.5}, {name="ema", decay=0.9}]')
    assert [read.label(single) for single in read.singles] == ["mgda", "ema(decay=0.5)", "ema(decay=0.9)"]


def test_single_tasks_are_trained_with_every_seed(experiment):
    text = 'kind="train"\ndata="d"\nmodel="m"\nrule="mgda"\nepochs=1\nbatch_size=2\nlr=0.1\nseed=[0, 1]\nsingle_tasks=["left"]'
    read = experiment(text)
    assert [read.label(single) for single in read.singles] == ["mgda", "mgda", "left alone", "left alone"]
    read = experiment(text.replace('single_tasks=["left"]', 'tasks={each=[["left"], ["left", "right"]]}'))
    assert [read.label(single) for single in read.singles][::2] == ["left alone", "mgda on 2 tasks"]


def test_a_task_trained_alone_has_no_preference_among_tasks(experiment):
    text = 'kind="train"\ndata="d"\nmodel="m"\nrule="stch"\nepochs=1\nlr=0.1\npreference=[1, 1]\nsingle_tasks=["left"]'
    together, alone = experiment(text).singles
    assert (together.preference, alone.preference) == ([1.0, 1.0], None)
    assert [experiment(text).label(single) for single in (together, alone)] == ["stch", "left alone"]


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("steps=7", "steps", 7),
        ("lr=1", "lr", 1.0),
        ("device=cpu", "device", "cpu"),
        ("rule=my_module:my_rule", "rule", {"name": "my_module:my_rule"}),
        ("rule.normalization=l2", "rule", {"name": "mgda", "normalization": "l2"}),
        ("problem.scale=0.1", "problem", {"name": "two-task-toy", "scale": 0.1}),
        ("clip=1.0", "clip", 1.0),
    ],
)
def test_overrides_are_toml_with_dotted_keys(experiment, override, key, value):
    assert experiment(TRACE, override).singles[0].resolved()[key] == value


def test_overrides_reach_into_lists(experiment):
    grid = experiment(TRACE, 'rule=["mgda", "ema"]', "rule.1.decay=0.5").singles
    assert [str(single.rule) for single in grid] == ["mgda", "ema(decay=0.5)"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stepz=1", r"unknown key 'stepz'; did you mean 'steps'\?"),
        ("steps='many'", r"steps: expected an integer, found 'many'"),
        ("steps=0", r"steps: expected a number greater than 0, found 0"),
        ("steps=1.5", r"steps: expected an integer.*1\.5"),
        ("lr=-0.1", r"lr must be positive, found -0\.1"),
        ("lr=true", r"lr: .*found True"),
        ("gradient_noise=nan", r"gradient_noise: .*finite"),
        ("optimizer=adm", r"optimizer: .*'sgd' or 'adam', found 'adm'"),
        ("betas=[0.9]", r"betas: .*at least 2"),
        ("kind=trance", r"unknown kind 'trance'; did you mean 'trace'\?"),
        ("rule=[]", r"rule is an empty list; name at least one"),
        ("seed=[]", r"seed is an empty list"),
        ("seed={range=0}", r"seed: range must be a whole number above 0, or \[first, end\] with first < end, found 0"),
        ("seed={range=true}", r"seed: range must be a whole number"),
        ("seed={range=3, n=2}", r"seed: .* is no list of values; expected \{each"),
        ("lr={log=[0, 1], n=3}", r"lr: log must be \[low, high\] with 0 < low < high, found \[0, 1\]"),
        ("lr={log=[1e-3, 1], n=1}", r"lr: n must be a whole number of at least 2, found 1"),
        ("lr={linear=[1, 1], n=3}", r"lr: linear must be \[low, high\] with low < high"),
        ("lr={log=[1, 2]}", r"lr: .* is no list of values"),
        ("lr={logg=[1, 2], n=2}", r"lr: expected .*found \{'logg'"),
        ("lr={logg=[1, 2], n=2}", r"lr: expected a number, or \"my_module:schedule\".*; several values are a list, or one of"),
        ("steps='10'", r"steps: expected an integer, found '10'; leave out the quotes"),
        ("steps=inf", r"steps: expected an? .*, found inf"),
        ("steps=1e3", r"steps: expected an integer, found 1000\.0; write 1000"),
        ("optimizer={name='adam'}", r"optimizer: expected 'sgd' or 'adam', found .*; write 'adam'"),
        ("figures='draw.py'", r"figures: expected a list, found 'draw\.py'; write \['draw\.py'\]"),
        ("title=3", r"title: expected text in quotes, found 3"),
        ("kind=3", r"kind must be one of .*, found 3"),
        ("clip={each=[]}", r"clip: each must be a list of at least one value"),
        ("lr=[0.1, -0.1]", r"lr must be positive, found -0\.1"),
        ("lr=[0.1, 0.1]", r"rule 'mgda' with seed 0 is listed twice"),
        ("seed=-1", r"seed: .*greater than or equal to 0, found -1"),
        ("rule={beta=1}", r"rule: a table needs a name, .*, found \{'beta': 1\}"),
        ("rule=3", r"rule: expected a name or a table .*, found 3"),
        ('rule=["mgda", "mgda"]', r"rule 'mgda' with seed 0 is listed twice"),
        ("single_tasks=['a']", r"single_tasks is a key of kind = \"train\" only"),
        ("steps", r"not of the form key=value"),
        ("a..b=1", r"not of the form key=value"),
        ("steps=[1", r"'\[1' is not a TOML value"),
        ("steps=1\nlr=2", r"is not a TOML value"),
        ("steps.x=1", r"steps is 10, which has no keys"),
        ("starts=[[1, 'a']]", r"starts\.0\.1: expected a number, found 'a'"),
        ("starts=0", r"starts: expected a list, or a number greater than 0, found 0"),
        ("lr=fast", r"lr must be a number, or \"my_module:schedule\""),
    ],
)
def test_bad_input_is_one_sentence_that_names_the_file(experiment, override, message):
    with pytest.raises(InputError, match=message) as caught:
        experiment(TRACE, override)
    assert "\n" not in str(caught.value).replace(override, "")


def test_list_items_are_addressed_by_number(experiment):
    with pytest.raises(InputError, match=r"rule is a list of 2; write rule\.0"):
        experiment(TRACE, 'rule=["mgda", "ema"]', "rule.decay=0.5")


def test_missing_keys_absent_files_and_broken_toml(experiment, tmp_path):
    for key in ("kind", "problem", "rule", "steps", "lr"):
        lines = [line for line in TRACE.splitlines() if not line.startswith(key)]
        with pytest.raises(InputError, match=key):
            experiment("\n".join(lines))
    with pytest.raises(InputError, match="cannot read the experiment file"):
        config.read(tmp_path / "absent.toml")
    with pytest.raises(InputError, match="not valid TOML"):
        experiment("kind = ")


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).parent.parent / "experiments").glob("*.toml")), ids=lambda file: file.stem
)
def test_the_published_experiments_are_valid(file):
    read = config.read(file)
    assert read.title
    assert tomllib.loads(file.read_text(encoding="utf-8"))["kind"] == read.singles[0].kind
    for script in read.figures:
        assert script.is_file(), script
