"""The command ``figures``: experiments and scripts fit, quick versions are other runs, a user's rule takes another's place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from matplotlib import pyplot as plt

from moo_mtl import Observation, collection, config, data, drawing, models, rules, runs
from moo_mtl.errors import InputError, RunError
from moo_mtl.plotting import style
from moo_mtl.rules.variants import after_log, dual_balancing
from tests.samplers import generic

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "experiments" / "paper").glob("*.toml"))
COMPUTED = [file for file in FILES if collection.kind(file) != collection.KIND]

TOY = """
kind = "trace"
title = "Toy"
figures = ["script.py"]
problem = "two-task-toy"
rule = ["mgda", "equal"]
steps = 4
lr = 0.01

[quick]
steps = 2
"""
SCRIPT = """
import matplotlib.pyplot as plt

def draw(records):
    figure, ax = plt.subplots()
    ax.plot([len(record.load().steps) for record in records])
    return figure

def table(records):
    return " & ".join(f"{record.config.rule.name} {record.config.steps}" for record in records)
"""


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("file", COMPUTED, ids=lambda file: file.stem)
def test_the_experiments_of_the_figures_are_valid(file, quick):
    experiment = config.read(file, quick=quick)
    assert experiment.title
    assert experiment.figures
    for script in experiment.figures:
        assert script.is_file(), script
    for single in experiment.singles:
        if single.rule.name.startswith("moo_mtl."):
            rules.get(single.rule.name, **single.rule.parameters)


def test_quick_values_replace_others_and_overrides_come_last(tmp_path):
    file = tmp_path / "toy.toml"
    file.write_text(TOY)
    steps = [config.read(file, overrides, quick=quick).singles[0].steps for overrides, quick in _WAYS]
    assert steps == [4, 2, 3]
    file.write_text(TOY + "stpes = 1\n")
    assert config.read(file).singles[0].steps == 4
    with pytest.raises(InputError, match="stpes"):
        config.read(file, quick=True)


_WAYS = [((), False), ((), True), (("steps=3",), True)]


def test_a_users_rule_takes_the_place_of_another(tmp_path):
    file = tmp_path / "toy.toml"
    file.write_text(TOY)
    experiment = config.with_rule(config.read(file), "mgda", "upgrad")
    assert [single.rule.name for single in experiment.singles] == ["upgrad", "equal"]
    assert len(config.with_rule(experiment, "upgrad", "equal").singles) == 1


def figures(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "moo_mtl", "figures", *arguments, "--experiments", str(folder)]
    places = ["--runs", str(folder / "runs"), "--out", str(folder / "out")]
    return subprocess.run([*command, *places], capture_output=True, text=True, timeout=120, check=False)


def test_figures_are_computed_once_and_drawn_into_one_folder(tmp_path):
    (tmp_path / "toy.toml").write_text(TOY)
    (tmp_path / "script.py").write_text(SCRIPT)
    first = figures(tmp_path, "--quick")
    assert first.returncode == 0, first.stderr
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [f"toy-quick.{end}" for end in ("pdf", "png", "tex")]
    assert (tmp_path / "out" / "toy-quick.tex").read_text() == "mgda 2 & equal 2"
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").rglob("result.npz")}
    assert len(before) == 2
    again = figures(tmp_path, "toy", "--quick", "--replace", "mgda=upgrad")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "out" / "toy-quick.tex").read_text() == "upgrad 2 & equal 2"
    after = {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").rglob("result.npz")}
    assert len(after) == 3
    for file in list((tmp_path / "runs").rglob("status.json")):  # as a change of the sources would
        file.parent.rename(file.parent.with_name("moved" + file.parent.name))
    drawn = figures(tmp_path, "--quick", "--as-is")
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "out" / "toy-quick.tex").read_text() == "mgda 2 & equal 2"
    assert len(list((tmp_path / "runs").rglob("result.npz"))) == 3
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tyo"], "unknown figure 'tyo'; did you mean 'toy'?"),
        (["--replace", "mgda"], "--replace 'mgda' is not of the form RULE=YOURS"),
        (["--replace", "nash=upgrad"], "unknown rule of these figures 'nash'"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, arguments, sentence):
    (tmp_path / "toy.toml").write_text(TOY)
    (tmp_path / "script.py").write_text(SCRIPT)
    answer = figures(tmp_path, *arguments)
    assert answer.returncode == 2
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1\n", "has no function draw"),
        ("def table(records):\n    return 1\n", "table in .* returned int, expected LaTeX text"),
        ("def table(records):\n    return records[0]\n", "raised IndexError in line 2"),
        ("def draw(records):\n    return 1\n", "draw in .* returned int, expected a matplotlib Figure"),
    ],
)
def test_a_script_that_fails_is_one_sentence(tmp_path, text, sentence):
    script = tmp_path / "script.py"
    script.write_text(text)
    with pytest.raises(InputError, match=sentence):
        drawing.draw(script, [], tmp_path / "out" / "figure")


def test_a_figure_is_written_under_the_settings_of_its_venue(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f'VENUE = "icml"\n{SCRIPT}')
    pdf, png, _ = drawing.draw(script, [], tmp_path / "figure")
    assert b"/Type3" not in pdf.read_bytes()  # venues refuse such fonts
    assert b"STIXGeneral" in pdf.read_bytes()
    width, height = style.size("icml")
    assert plt.imread(png).shape[:2] == (round(height * 200), round(width * 200))
    script.write_text(f'VENUE = "neurisp"\n{SCRIPT}')
    with pytest.raises(InputError, match="did you mean 'neurips'"):
        drawing.draw(script, [], tmp_path / "figure")


def test_a_collection_shows_the_latest_finished_runs(tmp_path):
    file = tmp_path / "all.toml"
    file.write_text('kind = "collect"\nexperiments = ["toy", "other"]\nfigures = ["script.py"]\n')
    shown = collection.read(file)
    with pytest.raises(RunError, match="no experiment of toy, other has finished runs"):
        collection.records(shown, tmp_path)
    (tmp_path / "toy.toml").write_text(TOY)
    single = config.read(tmp_path / "toy.toml").singles[0]
    for place, loss in (("old", 1.0), ("new", 2.0)):
        run = runs.Run(tmp_path / "toy" / place, single.resolved())
        with run.writing():
            run.begin()
            run.finish({"loss": loss}, {"seconds": 1.0})
    assert collection.absent(shown, tmp_path) == ["other"]
    (record,) = collection.records(shown, tmp_path)
    assert record.metrics == {"loss": 2.0}
    assert record.config == single
    assert not record.alone


def test_runs_that_are_older_than_a_key_count_with_its_default(tmp_path):
    (tmp_path / "toy.toml").write_text(TOY)
    toy = config.read(tmp_path / "toy.toml")
    resolved = toy.singles[0].resolved()
    run = runs.Run(tmp_path / "toy" / "old", {key: value for key, value in resolved.items() if key != "certify_every"})
    with run.writing():
        run.begin()
        run.finish({}, {"seconds": 1.0})
    (record,) = collection.as_is(toy, tmp_path)
    assert record.config.resolved() == resolved != run.config
    strange = runs.Run(tmp_path / "toy" / "strange", {**resolved, "stpes": 1})
    with strange.writing():
        strange.begin()
        strange.finish({}, {"seconds": 1.0})
    with pytest.raises(RunError, match="strange has a configuration that this version does not know"):
        collection.as_is(toy, tmp_path)


def test_a_collection_is_drawn_from_what_there_is_and_says_what_is_missing(tmp_path):
    (tmp_path / "toy.toml").write_text(TOY)
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "some.toml").write_text('kind = "collect"\nexperiments = ["toy", "other"]\nfigures = ["script.py"]\n')
    (tmp_path / "none.toml").write_text('kind = "collect"\nexperiments = ["other"]\nfigures = ["script.py"]\n')
    drawn = figures(tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "out" / "some.tex").exists()
    assert "some: drawn without other; moo-mtl sweep computes" in drawn.stderr
    assert "none: not drawn, since nothing is there of other" in drawn.stderr
    refused = figures(tmp_path, "none")
    assert refused.returncode == 2
    assert "none: no experiment of other has finished runs" in refused.stderr


@pytest.mark.parametrize("line", ["experiments = []", 'experiments = "toy"', "experiments = [1]", "steps = 3"])
def test_a_collection_is_checked(tmp_path, line):
    file = tmp_path / "all.toml"
    file.write_text(f'kind = "collect"\nfigures = ["script.py"]\n{line}\n')
    with pytest.raises(InputError, match=r"all\.toml"):
        collection.read(file)


def test_variants_agree_with_the_rules_they_vary():
    rows = generic((5,), tasks=4, dim=6)
    seen = Observation(torch.linspace(0.5, 4, 20).double().view(5, 4), gramian=rows @ rows.mT, rows=rows)
    pairs = [
        (after_log("equal"), rules.db_mtl(stages="loss")),
        (dual_balancing("max"), rules.db_mtl()),
        (dual_balancing("max", beta=0), rules.db_mtl(beta=0)),
    ]
    for variant, rule in pairs:
        found, expected = (one.weigh(seen, one.init(seen))[0] for one in (variant, rule))
        torch.testing.assert_close(found.weights, expected.weights)
    with pytest.raises(InputError, match="without a loss slot"):
        after_log("db-mtl")


def test_rescaled_targets_keep_their_metrics():
    plain, rescaled = data.get("logic-gates"), data.get("moo_mtl.data.rescaling:rescaled", of="logic-gates", ratio=100.0)
    factors = [
        new.scale * factor / old.scale for old, new, factor in zip(plain.tasks, rescaled.tasks, (1.0, 100.0), strict=True)
    ]
    assert factors == pytest.approx([1.0, 1.0])
    assert torch.equal(rescaled.examples.targets["xor"], plain.examples.targets["xor"])
    torch.testing.assert_close(rescaled.examples.targets["and"], 100 * plain.examples.targets["and"])
    with pytest.raises(InputError, match="expected a regression"):
        data.get("moo_mtl.data.rescaling:rescaled", of="multi-digits")
    with pytest.raises(InputError, match="ratio must be positive"):
        data.get("moo_mtl.data.rescaling:rescaled", of="logic-gates", ratio=0.0)


@pytest.mark.skipif("MOO_MTL_DATA" not in os.environ, reason="needs MNIST in the folder that MOO_MTL_DATA names")
def test_images_are_objectives_on_one_output():
    dataset = data.get("moo_mtl.data.instances:instances", objectives=4, train=16, validation=4, test=8)
    assert {task.output for task in dataset.tasks} == {"sample-1"}
    groups = dataset.by_task("train")
    assert [len(examples) for examples in groups.values()] == [4] * 4
    seen = torch.cat([examples.inputs for examples in groups.values()])
    assert len(seen.flatten(1).unique(dim=0)) == 16
    assert float(seen.mean()) == pytest.approx(0, abs=1e-5)
    network = models.get("moo_mtl.models.single_output:instance_cnn", dataset)
    assert network(seen)["sample-1"].shape == (16, 10)
    assert len(models.shared_parameters(network)) == len(list(network.parameters()))
    with pytest.raises(InputError, match="multiples of the 4"):
        data.get("moo_mtl.data.instances:instances", objectives=4, train=15)
    with pytest.raises(InputError, match="one output"):
        models.get("moo_mtl.models.single_output:instance_cnn", data.get("multi-digits"))
