"""A run that is killed and resumed ends bit-identical to one that never was."""

import multiprocessing
import random
import time

import pytest
import torch

from moo_mtl import Needs, rules
from moo_mtl.errors import RunError
from moo_mtl.training.update import Update
from tests import resumable
from tests.kinds import every_kind
from tests.resumable import ShuffledLoader, examples, outcome, rule_named, trainer

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.resumable", "torch._dynamo", "pytest"])  # so that a child starts at once

KILLED = ["equal", "mgda", "db-mtl", "task-tensioner", "famo"]  # "equal" with a loader that shuffles for itself
# A population is trained as stacked networks, or traced; the trainer has one network.
OF_THE_ZOO = [name for name in sorted(rules.ZOO) if Needs.POPULATION not in rules.get(name).needs]
OF_ANOTHER_KIND = [kind.name for kind in every_kind() if Needs.POPULATION not in kind.needs]


class Stop(KeyboardInterrupt):
    """Raised in the middle of a step."""


def uninterrupted(rule, train):
    torch.set_num_threads(1)  # as in the processes that are killed: a sum depends on how many share it
    one = trainer(rule)
    return outcome(one, one.fit(train, examples(2)))


def assert_identical(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name].nan_to_num(nan=-777.0), tensor.nan_to_num(nan=-777.0)), name


def stopped_and_resumed(rule, train, checkpoint, stops, monkeypatch):
    """Stop inside the given forward passes, each time in a fresh trainer, and then go to the end."""
    for stop in stops:
        calls = 0
        one = trainer(rule)
        forward = one.model.forward

        def failing(inputs, forward=forward, stop=stop):
            nonlocal calls
            calls += 1
            if calls == stop:
                raise Stop
            return forward(inputs)

        one.model.forward = failing
        with pytest.raises(Stop):
            one.fit(train, examples(2), checkpoint=checkpoint, checkpoint_interval=0.0)
    one = trainer(rule)
    return outcome(one, one.fit(train, examples(2), checkpoint=checkpoint, checkpoint_interval=0.0))


@pytest.mark.parametrize("name", [*OF_THE_ZOO, *OF_ANOTHER_KIND])
def test_every_rule_resumes_from_the_middle_of_an_epoch(name, tmp_path, monkeypatch):
    rule = rule_named(name)
    stops = random.Random(name).choices(range(2, 8), k=2)
    found = stopped_and_resumed(rule, examples(1), tmp_path / "checkpoint.pt", stops, monkeypatch)
    assert_identical(found, uninterrupted(rule, examples(1)))


def test_a_loader_that_draws_from_the_global_generator_resumes(tmp_path, monkeypatch):
    rule = rules.get("db-mtl")
    found = stopped_and_resumed(rule, ShuffledLoader(examples(1)), tmp_path / "checkpoint.pt", [3, 7, 6], monkeypatch)
    assert_identical(found, uninterrupted(rule, ShuffledLoader(examples(1))))


@pytest.mark.parametrize("name", KILLED)
def test_kill_nine_at_any_moment(name, tmp_path):
    checkpoint, result = tmp_path / "checkpoint.pt", tmp_path / "result.pt"
    moments, kills = random.Random(name), 0
    while not result.exists():
        child = FORKS.Process(target=resumable.run, args=(name, checkpoint, result, name == "equal"))
        child.start()
        if kills < 5:
            before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            while child.is_alive() and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
                time.sleep(0.001)  # until it writes: a process killed while it imports shows nothing
            time.sleep(moments.uniform(0, 0.03))
            child.kill()
        child.join()
        kills += child.exitcode == -9
        assert child.exitcode in (0, -9)
    assert kills >= 3, "the run was over before it could be killed often enough"
    train = ShuffledLoader(examples(1)) if name == "equal" else examples(1)
    assert_identical(torch.load(result, weights_only=True), uninterrupted(rule_named(name), train))


def test_a_finished_run_is_not_trained_again_and_can_be_prolonged(tmp_path, monkeypatch):
    checkpoint = tmp_path / "checkpoint.pt"
    one = trainer(rules.get("db-mtl"), epochs=2)
    once = outcome(one, one.fit(examples(1), examples(2), checkpoint=checkpoint))
    again = trainer(rules.get("db-mtl"), epochs=2)
    with monkeypatch.context() as no_step:
        no_step.setattr(Update, "take", None)
        assert_identical(outcome(again, again.fit(examples(1), examples(2), checkpoint=checkpoint)), once)
    longer = trainer(rules.get("db-mtl"))
    prolonged = outcome(longer, longer.fit(examples(1), examples(2), checkpoint=checkpoint))
    assert_identical(prolonged, uninterrupted(rules.get("db-mtl"), examples(1)))


@pytest.mark.parametrize("damage", [b"", b"nonsense", "half"])
def test_a_damaged_checkpoint_is_refused(damage, tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    trainer(rules.get("equal"), epochs=1).fit(examples(1), checkpoint=checkpoint)
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: len(content) // 2] if damage == "half" else damage)
    with pytest.raises(RunError, match="is damaged"):
        trainer(rules.get("equal")).fit(examples(1), checkpoint=checkpoint)


def test_a_checkpoint_cannot_run_code(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    torch.save({"version": 1, "identity": {}, "state": {"evil": Stop}}, checkpoint)
    with pytest.raises(RunError, match="is damaged"):
        trainer(rules.get("equal")).fit(examples(1), checkpoint=checkpoint)


def test_another_runs_checkpoint_is_refused(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    trainer(rules.get("equal"), epochs=1).fit(examples(1), checkpoint=checkpoint)
    with pytest.raises(RunError, match="its rule is 'equal', this run's is 'mgda'"):
        trainer(rules.get("mgda")).fit(examples(1), checkpoint=checkpoint)
    with pytest.raises(RunError, match="its seed is 0, this run's is 1"):
        trainer(rules.get("equal"), seed=1).fit(examples(1), checkpoint=checkpoint)
    with pytest.raises(RunError, match="its number of examples is 28, this run's is 20"):
        trainer(rules.get("equal")).fit(examples(1)[:20], checkpoint=checkpoint)


OTHER_SETTINGS = {
    "lr": ({"lr": 0.2}, "its lr is 0.1, this run's is 0.2"),
    "schedule": ({"lr": lambda step: 0.3 / step}, "its lr is 0.1, this run's is 0.3"),
    "weight decay": ({"weight_decay": 0.5}, "its weight_decay is 0.0, this run's is 0.5"),
    "momentum": ({"momentum": 0.9}, "its momentum is 0.0, this run's is 0.9"),
    "optimizer": ({"optimizer": "adam"}, "its optimizer is 'SGD', this run's is 'Adam'"),
    "options of one's own optimizer": (
        {"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.1, nesterov=True, momentum=0.5)},
        "its momentum is 0.0, this run's is 0.5",
    ),
    "heads": ({"heads": "raw"}, "its heads is 'paper', this run's is 'raw'"),
    "clip": ({"clip": 1.5}, "its clip is None, this run's is 1.5"),
    "preference": ({"preference": [0.5, 0.25, 0.25]}, r"its preference is None, this run's is \[0.5, 0.25, 0.25\]"),
    "selection": ({"select": "metric"}, "its select is 'by_loss', this run's is 'by_metric'"),
}


@pytest.mark.parametrize(("options", "message"), OTHER_SETTINGS.values(), ids=OTHER_SETTINGS.keys())
def test_other_settings_are_refused_by_name(options, message, tmp_path):
    same = {"epochs": 1, "lr": 0.1, "optimizer": "sgd"}
    checkpoint = tmp_path / "checkpoint.pt"
    trainer(rules.get("db-mtl"), **same).fit(examples(1), checkpoint=checkpoint)
    with pytest.raises(RunError, match=f"{message}; give another path"):
        trainer(rules.get("db-mtl"), **{**same, **options}).fit(examples(1), checkpoint=checkpoint)


@pytest.mark.parametrize(
    ("name", "one", "other", "message"),
    [
        ("db-mtl", {"beta": 0.1}, {"beta": 0.9}, r"its rule's memory.act.beta is 0.1, this run's is 0.9"),
        ("db-mtl", {"beta": lambda step: 0.1}, {"beta": lambda step: 0.9}, r"beta.value.constants.0 is 0.1, this run's is 0.9"),
        (
            "mgda",
            {"normalization": "l2"},
            {"normalization": "loss"},
            "its rule's scale.name is 'norm-1', this run's is 'per-loss'",
        ),
        ("cagrad", {"c": 0.4}, {"c": 0.5}, r"its rule's solve.act.* is 0.4, this run's is 0.5"),
        ("bmtl", {"temperature": 1.0}, {"temperature": 2.0}, r"its rule's .* is 1.0, this run's is 2.0"),
    ],
)
def test_other_hyper_parameters_of_the_rule_are_refused_by_name(name, one, other, message, tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    trainer(rules.get(name, **one), epochs=1).fit(examples(1), checkpoint=checkpoint)
    with pytest.raises(RunError, match=message):
        trainer(rules.get(name, **other), epochs=1).fit(examples(1), checkpoint=checkpoint)


def test_another_network_is_refused_by_the_name_of_its_parameter(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    trainer(rules.get("equal"), epochs=1).fit(examples(1), checkpoint=checkpoint)
    wider = trainer(rules.get("equal"), epochs=1)
    wider.model.heads["f"] = torch.nn.Linear(7, 2)
    with pytest.raises(RunError, match=r"its shape of parameter heads.f.weight is \[1, 7\], this run's is \[2, 7\]"):
        wider.fit(examples(1), checkpoint=checkpoint)


def test_a_checkpoint_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write the checkpoint"):
        trainer(rules.get("equal")).fit(examples(1), checkpoint=tmp_path / "file" / "checkpoint.pt")
