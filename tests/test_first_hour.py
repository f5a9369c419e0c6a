"""What a newcomer gets wrong in the first hour: each mistake is one sentence that says what to do."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from moo_mtl import (
    Balancer,
    MooMtlError,
    Needs,
    Rule,
    Task,
    Trace,
    Trainer,
    Weighing,
    certify,
    cli,
    fronts,
    problems,
    rules,
    solvers,
    trace,
)
from moo_mtl.data import Examples
from moo_mtl.rules import weights
from moo_mtl.rules.losses import log
from moo_mtl.rules.slot import Slot

TOY = problems.get("two-task-toy", scale=0.1)
ONE = {"steps": 1, "lr": 0.1}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.a, self.b = nn.Linear(3, 2), nn.Linear(2, 1), nn.Linear(2, 1)

    def forward(self, inputs):
        features = self.trunk(inputs).tanh()
        return {"a": self.a(features), "b": self.b(features)}


def losses(net, reduce=True):
    outputs = net(torch.ones(4, 3))
    return {task: output.square().mean() if reduce else output.square() for task, output in outputs.items()}


def backward(change=lambda losses: losses, shared=None, rule="mgda"):
    net = Net()
    return Balancer(rules.get(rule), net.trunk if shared is None else shared).backward(change(losses(net)))


def spent(rule):
    net = Net()
    found = losses(net)
    sum(found.values()).backward()
    Balancer(rules.get(rule), net.trunk).backward(found)


class Own(Rule):
    """Somebody's first rule."""

    def __init__(self, weigh=lambda obs: torch.ones_like(obs.losses), *, needs=Needs.LOSSES, init=lambda obs: ()):
        self.name, self.needs, self.init, self.answer = "own", needs, init, weigh

    def weigh(self, obs, state):
        return Weighing(self.answer(obs)), state


def own(*arguments, **keywords):
    net = Net()
    Balancer(Own(*arguments, **keywords), net.trunk).backward(losses(net))


def keyword(rule, **keywords):
    net = Net()
    Balancer(rules.get(rule), net.trunk).backward(losses(net), **keywords)


def numpy_problem(x):
    return torch.from_numpy(np.stack([x.numpy().sum(-1), x.numpy().sum(-1)], -1))


# What was done, and words of the sentence.
LIBRARY = {
    "a rule's name for a rule": (lambda: trace(TOY, "mgda", TOY.starts, **ONE), "pass rules.get('mgda')"),
    "a factory for a rule": (lambda: trace(TOY, rules.mgda, TOY.starts, **ONE), "expected a rule; pass rules.get"),
    "a name for no rule": (lambda: rules.get(None), "expected a name such as"),
    "a rule's name in capitals": (lambda: rules.get("MGDA"), "did you mean 'mgda'?"),
    "underscores in a rule's name": (lambda: rules.get("db_mtl"), "did you mean 'db-mtl'?"),
    "a parameter misspelt": (lambda: rules.get("cagrad", calpha=0.5), "unknown parameter of rule 'cagrad'"),
    "a parameter of another type": (lambda: rules.get("cagrad", c="big"), "c: expected a number, found 'big'"),
    "a problem's name for a problem": (lambda: trace("zdt1", rules.mgda(), TOY.starts, **ONE), "pass problems.get('zdt1')"),
    "a function for a problem": (lambda: trace(numpy_problem, rules.mgda(), TOY.starts, **ONE), "problems.from_function"),
    "a list of starts": (lambda: trace(TOY, rules.mgda(), [[0.0, 0.0]], **ONE), "starts is a list, expected a tensor"),
    "starts of another size": (lambda: trace(TOY, rules.mgda(), torch.zeros(3, 5), **ONE), "expected [..., 2]"),
    "a problem in NumPy": (
        lambda: trace(problems.from_function(numpy_problem, n_tasks=2, n_dim=2), rules.mgda(), torch.zeros(1, 2), **ONE),
        "write it with torch operations",
    ),
    "a logarithm of a negative loss": (lambda: trace(TOY, rules.db_mtl(), TOY.starts, **ONE), "give lower_bound="),
    "no preference": (lambda: trace(TOY, rules.get("stch"), TOY.starts, **ONE), "pass preferences="),
    "a list of preferences": (lambda: fronts.trace_front(TOY, rules.linear(), [[0.5, 0.5]]), "preferences is a list"),
    "an array for a Gramian": (lambda: certify(np.eye(2)), "is a ndarray, expected a tensor"),
    "a Jacobian for a Gramian": (lambda: solvers.min_norm(torch.ones(2, 3)), "pass J @ J.mT"),
    "lists for points": (lambda: fronts.hypervolume([[0.5, 0.5]], [1.0, 1.0]), "points is a list"),
    "a list of losses": (lambda: backward(lambda found: list(found.values())), "torch.stack(list)"),
    "the sum of the losses": (lambda: backward(lambda found: sum(found.values())), "do not add them up"),
    "losses as numbers": (lambda: backward(lambda found: {k: v.item() for k, v in found.items()}), "do not call .item()"),
    "losses without a graph": (lambda: backward(lambda found: {k: v.detach() for k, v in found.items()}), "do not detach"),
    "losses of each example": (
        lambda: Balancer(rules.mgda(), (net := Net()).trunk).backward(losses(net, reduce=False)),
        "reduce each task's loss to one number",
    ),
    "another model's parameters": (lambda: backward(shared=nn.Linear(3, 2)), "part of the very model"),
    "another model's parameters, losses alone": (lambda: backward(shared=nn.Linear(3, 2), rule="equal"), "the very model"),
    "backward called before": (lambda: spent("mgda"), "leave loss.backward() out"),
    "backward called before, losses alone": (lambda: spent("equal"), "leave loss.backward() out"),
    "a trunk without parameters": (lambda: Balancer(rules.mgda(), nn.ReLU()), "shared holds no parameter"),
    "an unknown loss": (lambda: Task("a", "mse"), "unknown loss of task 'a'"),
    "no learning rate": (lambda: Trainer(Net(), [Task("a", "squared-error")], rules.equal(), epochs=1), "give lr="),
    "a network of one output": (
        lambda: Trainer(nn.Linear(3, 1), [Task("a", "squared-error")], rules.equal(), epochs=1, lr=0.1).fit(
            Examples(torch.ones(4, 3), {"a": torch.ones(4)})
        ),
        "must return a mapping from task names",
    ),
    "no Gramian for a solver": (lambda: solvers.min_norm(None), "min_norm: gramian is a NoneType, expected a tensor"),
    "an array for a solver": (lambda: solvers.upgrad(np.eye(2)), "upgrad: gramian is a ndarray, expected a tensor"),
    "a list for a solver": (
        lambda: solvers.cagrad([[1.0, 0.0], [0.0, 1.0]], 0.5),
        "cagrad: gramian is a list, expected a tensor",
    ),
    "noise for a scale": (
        lambda: rules.compose(weights.uniform, scale=Slot("jitter", None, needs=Needs.NOISE)),
        "jitter asks for noise or the losses after the step, which only a solve slot is given",
    ),
    "a list of modules": (lambda: backward(shared=[nn.Linear(3, 2)]), "nn.ModuleList"),
    "named parameters": (lambda: backward(shared=nn.Linear(3, 2).named_parameters()), "shared holds a tuple"),
    "no parameters": (lambda: Balancer(rules.mgda(), None), "shared holds a NoneType"),
    "an optimiser for parameters": (lambda: Balancer(rules.mgda(), torch.optim.SGD(Net().parameters())), "holds a SGD"),
    "a preference of three": (
        lambda: keyword("stch", preference=torch.ones(3)),
        "preference has shape (3,), expected [..., 2]",
    ),
    "a list for a preference": (lambda: keyword("stch", preference=[0.5, 0.5]), "preference is a list"),
    "a list of those present": (lambda: keyword("mgda", present=[True, False]), "present is a list"),
    "three of two present": (lambda: keyword("mgda", present=torch.ones(3, dtype=torch.bool)), "expected bool [..., 2]"),
    "numbers for those present": (lambda: keyword("mgda", present=torch.ones(2)), "expected bool [..., 2]"),
    "a list of weights": (lambda: certify(torch.eye(2), weights=[0.5, 0.5]), "weights is a list"),
    "a word for a learning rate": (lambda: trace(TOY, rules.mgda(), TOY.starts, steps=1, lr="0.1"), "found '0.1'"),
    "a rule's name for a slot": (lambda: rules.compose("mgda"), "solve='mgda' is no slot"),
    "a rule for a slot": (lambda: rules.compose(rules.mgda()), "solve=mgda is no slot"),
    "a slot that is not called": (lambda: rules.compose(weights.uniform, loss=log), "as losses.log() is"),
    "another slot": (lambda: rules.compose(weights.uniform, output=log()), "output=log is no slot"),
    "needs in a list": (lambda: own(needs=[Needs.LOSSES]), "such as Needs.LOSSES | Needs.GRAMIAN"),
    "norms without a Gramian": (lambda: own(lambda obs: 1 / obs.norms), "a rule declares Needs.GRAMIAN"),
    "weights in a list": (lambda: own(lambda obs: [0.5, 0.5]), "weights is a list"),
    "weights of another shape": (lambda: own(lambda obs: torch.ones(3)), "expected (2,), one for each loss"),
    "a state that is no tuple": (lambda: own(init=lambda obs: [obs.losses]), "return (tensor,)"),
    "a state of numbers": (lambda: own(init=lambda obs: (0.0,)), "return (tensor,)"),
    "a state without a batch": (
        lambda: trace(TOY, Own(init=lambda obs: (torch.zeros(2),)), TOY.starts, **ONE),
        "expected (5,) in front",
    ),
    "a file that is not there": (lambda: Trace.load("absent.npz"), "there is no file absent.npz"),
}


@pytest.mark.parametrize(("wrong", "sentence"), LIBRARY.values(), ids=LIBRARY.keys())
def test_a_mistake_in_the_library_is_one_sentence(wrong, sentence):
    with pytest.raises(MooMtlError) as raised:
        wrong()
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600


FILE = 'kind = "trace"\nproblem = "two-task-toy"\nrule = "mgda"\nlr = 0.01\nsteps = 5\n'
COMMANDS = {
    "no file": (["run", "toy"], "cannot read the experiment file toy"),
    "a folder": (["run", "."], "Is a directory"),
    "a rule for a file": (["run", "mgda"], "`moo-mtl list experiments` shows some"),
    "a key without a value": (["run", "t.toml", "--set", "steps"], "such as --set steps=100"),
    "another list of problems": (["front", "zdt11"], "did you mean 'zdt1'?"),
    "no preferences": (["front", "zdt1", "--preferences", "0"], "preferences must be positive"),
    "no run": (["show", "runs"], "run folders are runs/<experiment>/<hash>"),
    "a report of nothing": (["report", "."], "moo-mtl run FILE makes some"),
    "no GPU": (["run", "t.toml", "--device", "gpu"], "device 'gpu' cannot be used here"),
    "an unquoted text": (["run", "unquoted.toml"], 'texts need quotes, as in rule = "mgda"'),
    "no kind": (["run", "no-kind.toml"], 'kind must be one of "trace", "train" and "front"'),
    "no learning rate": (["run", "no-lr.toml"], "lr is missing"),
    "a learning rate in quotes": (["run", "t.toml", "--set", 'lr="0.1"'], "lr must be a number"),
    "JSON": (["run", "t.json"], "is not valid TOML"),
    "an unknown key": (["run", "t.toml", "--set", "learning_rate=0.1"], "unknown key 'learning_rate'"),
}


def run(monkeypatch, capfd, *words):
    monkeypatch.setattr(sys, "argv", ["moo-mtl", *words])
    capfd.readouterr()
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code, *capfd.readouterr()


@pytest.mark.parametrize(("words", "sentence"), COMMANDS.values(), ids=COMMANDS.keys())
def test_a_mistake_on_the_command_line_is_one_sentence(words, sentence, monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    texts = {"t": FILE, "unquoted": FILE.replace('"mgda"', "mgda"), "no-kind": 'rule = "mgda"\n'}
    texts["no-lr"] = FILE.replace("lr = 0.01\n", "")
    for name, text in texts.items():
        Path(f"{name}.toml").write_text(text, encoding="utf-8")
    Path("t.json").write_text('{"kind": "trace"}', encoding="utf-8")
    code, out, err = run(monkeypatch, capfd, *words)
    assert (code, out) == (2, "")
    assert err.startswith("moo-mtl: ")
    assert err.count("\n") == 1
    assert sentence in err


MINE = """
from moo_mtl import Needs, Rule, Weighing


class Slip(Rule):
    name, needs = "slip", Needs.LOSSES

    def weigh(self, obs, state):
        return Weighing(obs.loses), state


def fails():
    raise ValueError("not\\nyet")
"""
SLIP = "AttributeError in own_slip.py, line 9: 'Observation' object has no attribute 'loses'"
OWN = {
    "in a trace": (["run", "t.toml", "--set", "rule=own_slip:Slip"], SLIP),
    "in a front": (["front", "zdt2", "--rules", "own_slip:Slip", "--preferences", "3", "--steps", "3"], SLIP),
    "in its check": (["theory", "check", "--rule", "own_slip:Slip", "--quick"], SLIP),
    "when it is made": (["run", "t.toml", "--set", "rule=own_slip:fails"], "ValueError in own_slip.py, line 13: not\n"),
}


@pytest.mark.parametrize(("words", "sentence"), OWN.values(), ids=OWN.keys())
def test_a_slip_in_a_rule_of_ones_own_is_one_sentence_with_its_line(words, sentence, monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_slip", raising=False)
    Path("t.toml").write_text(FILE, encoding="utf-8")
    Path("own_slip.py").write_text(MINE, encoding="utf-8")
    code, _, err = run(monkeypatch, capfd, *words)
    assert code == 2
    assert "Traceback" not in err
    assert f"moo-mtl: {sentence}" in err


def test_a_slip_of_the_package_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["moo-mtl", "list", "rules"])
    monkeypatch.setattr(cli.launch, "launched", partial(int, "a slip"))  # raised in main itself, in no file of a user
    with pytest.raises(ValueError, match="a slip"):
        cli.main()


TYPED = {
    "an unknown command": (["rnu", "t.toml"], "Did you mean 'run'?"),
    "an unknown option": (["run", "t.toml", "--sett", "x=1"], "--set"),
    "nothing to run": (["run"], "Missing argument 'FILE'"),
    "a word for a number": (["front", "zdt1", "--preferences", "many"], "valid integer"),
}


@pytest.mark.parametrize(("words", "sentence"), TYPED.values(), ids=TYPED.keys())
def test_a_slip_in_a_command_shows_its_usage(words, sentence, monkeypatch, capfd):
    code, out, err = run(monkeypatch, capfd, *words)
    assert (code, out) == (2, "")
    assert "Usage: moo-mtl" in err
    assert sentence in err


def test_doctor_says_what_there_is_and_what_to_do(monkeypatch, capfd, tmp_path):
    monkeypatch.setenv("MOO_MTL_DATA", "")
    code, out, _ = run(monkeypatch, capfd, "doctor")
    assert code == 0
    for word in ("torch", "python", "cpu", "fast", "set MOO_MTL_DATA"):
        assert word in out
    (tmp_path / "landmine").mkdir()
    (tmp_path / "landmine" / "LandmineData.mat.xz").write_bytes(b"")
    code, out, _ = run(monkeypatch, capfd, "doctor", "--data-root", str(tmp_path))
    lines = [line.split() for line in out.splitlines()]
    assert ["landmine", "found"] in lines
    assert any(line[:3] == ["adult", "not", "found."] for line in lines)


def test_version_and_completion(monkeypatch, capfd):
    assert run(monkeypatch, capfd, "--version")[:2] == (0, f"moo_mtl {__import__('moo_mtl').__version__}\n")
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")  # the test may run under no shell at all
    code, out, _ = run(monkeypatch, capfd, "--show-completion", "bash")
    assert code == 0
    assert "complete -o default -F" in out
