"""A run in two processes: that of one process, files of the first alone, and a process that is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from moo_mtl import rules
from moo_mtl.cli import main
from moo_mtl.data import Examples
from moo_mtl.training import History
from tests.distributed import together
from tests.resumable import rule_named
from tests.test_trainer import made, trainer

RULES = ["equal", "mgda", "db-mtl", "famo", "modo", "graddrop", "small-tchebycheff"]
N = 36  # batches of 16, 16 and 4


class Net(nn.Module):
    """Batch normalisation after a layer without a bias, whose gradient would be rounding."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.trunk = nn.Sequential(nn.Linear(5, 8, bias=False), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 6)).double()
            self.heads = nn.ModuleDict({name: nn.Linear(6, 1).double() for name in "ab"})

    def forward(self, inputs):
        features = self.trunk(inputs)
        return {name: head(features).squeeze(1) for name, head in self.heads.items()}


class Loader:
    """Shuffled by the global generator, which dropout must not move apart."""

    def __iter__(self):
        for index in torch.randperm(24).split(7):
            yield made(24)[index]


def fitted(name, rank=None, data=None, **options):
    """History and parameters of a short run; of one process where ``rank`` is ``None``."""
    given = {"model": Net(), "batch_size": 16, "epochs": 3, "certify_every": 2, "distributed": rank is not None, **options}
    if name == "small-tchebycheff":
        given["preference"] = [0.3, 0.7]
    fit = {key: given.pop(key) for key in ("checkpoint", "checkpoint_interval", "log") if key in given}
    one = trainer(rule_named(name), **given)
    history = one.fit(made(N, missing=True) if data is None else data, made(20, seed=1), **fit)
    return one.model.state_dict(), {
        key: value for key, value in vars(history).items() if key not in ("seconds", "metrics", "tasks")
    }


def assert_the_same(found, expected, tolerance=1e-10):
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name in other:
            torch.testing.assert_close(
                one[name], other[name], rtol=tolerance, atol=tolerance, equal_nan=True, msg=lambda m, name=name: f"{name}: {m}"
            )


def shares():
    """An own source for each task."""
    whole = made(N)
    return {name: Examples(whole.inputs, {name: whole.targets[name]})[: N - 9 * place] for place, name in enumerate("ab")}


class Plain(Net):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(self.trunk[0], nn.Tanh(), self.trunk[3])


def several(rank):
    found = {name: fitted(name, rank) for name in RULES}
    found["parts"] = fitted("mgda", rank, accumulate=2, model=Plain(), clip=1.0)
    found["empty"] = fitted("mgda", rank, made(33), model=Plain())  # the second process has nothing of the last batch
    found["average"] = fitted("mgda", rank, average=0.9, patience=2, optimizer="sgd")
    found["shares"] = fitted("mgda", rank, shares())
    found["loader"] = fitted("db-mtl", rank, Loader())
    return found


def test_a_run_in_two_processes_is_the_run_of_one():
    """Uneven batches, a process without examples, missing labels, batch normalisation, and every kind of source."""
    expected = several(None)
    for found in together(several):
        assert found.keys() == expected.keys()
        for name in expected:
            assert_the_same(found[name], expected[name])


def dropping(rank):
    """Masks must differ between processes, and leave the loader's order alone."""
    orders = []

    class Seen(Loader):
        def __iter__(self):
            for batch in super().__iter__():
                orders.append(batch.inputs)
                yield batch

    network = Net()
    masks = nn.Dropout(0.5)
    network.trunk.append(masks)
    seen = []
    masks.register_forward_hook(lambda module, inputs, output: seen.append((output == 0).detach()))
    one = trainer(rules.get("mgda"), model=network, epochs=2, distributed=True)
    one.fit(Seen())
    return torch.cat(orders), seen, one.model.state_dict()


def test_dropout_differs_between_processes_and_the_order_of_the_data_does_not():
    (order, masks, state), (other_order, other_masks, other_state) = together(dropping)
    assert torch.equal(order, other_order)
    assert not torch.equal(masks[0][:3], other_masks[0][:3])
    assert not torch.equal(masks[0][:3], masks[1][:3])
    assert_the_same([state], [other_state], 0.0)


class Killed(Net):
    """Whose second process is gone in the middle of its n-th step."""

    def __init__(self, rank, at):
        super().__init__()
        self.left = at if rank == 1 else -1

    def forward(self, inputs):
        self.left -= self.training
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(inputs)


def killed(rank, name, folder, at):
    model = Net() if at is None else Killed(rank, at)
    log = folder / "log" if rank == 0 else None
    return fitted(name, rank, model=model, checkpoint=folder / f"{rank}.pt", checkpoint_interval=0.0, log=log, log_every=1)


@pytest.mark.parametrize("name", ["mgda", "db-mtl"])
def test_a_process_that_is_killed_costs_nothing(name, tmp_path):
    """The other one ends with an error; started again, the run ends bit-identical to one that was never interrupted."""
    for at in (4, 3):
        with pytest.raises(RuntimeError, match=r"exit codes \[1, -9\]"):
            together(killed, name, tmp_path, at)
    found = together(killed, name, tmp_path, None)
    assert [file.name for file in tmp_path.glob("*.pt")] == ["0.pt"], "only the first process writes"
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = together(killed, name, whole, None)
    for one, other in zip(found, expected, strict=True):
        assert_the_same(one, other, 0.0)
    assert (tmp_path / "log" / "steps.jsonl").read_text() == (whole / "log" / "steps.jsonl").read_text()


EXPERIMENT = """
kind = "train"
data = {name = "multi-digits", train = 103, validation = 30, test = 30}
model = "small-lenet"
rule = "mgda"
epochs = 2
batch_size = 32
lr = 0.004
dtype = "float64"
log_every = 2
"""


def test_torchrun(tmp_path):
    """The command in two processes: the numbers of one, said once."""
    file = tmp_path / "small.toml"
    file.write_text(EXPERIMENT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "moo_mtl"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(command, out):
        return subprocess.run(
            [*command, "run", file, "--out", tmp_path / out], capture_output=True, text=True, timeout=300, env=environment
        )

    once, twice = run([sys.executable, "-m", "moo_mtl"], "one"), run(torchrun, "two")
    assert (once.returncode, twice.returncode) == (0, 0), twice.stderr
    assert twice.stdout.replace("/two/", "/one/") == once.stdout
    for result in sorted((tmp_path / "one").rglob("result.npz")):
        other = History.load(tmp_path / "two" / result.relative_to(tmp_path / "one"))
        expected = History.load(result)
        for name in ("losses", "weights", "validation_losses"):
            torch.testing.assert_close(getattr(other, name), getattr(expected, name), rtol=1e-10, atol=1e-10)
        assert (result.parent / "steps.jsonl").exists()


LEAVES = """
import os
from moo_mtl import launch

with launch.joined():
    import torch._dynamo  # as training does
    launch.tell("go") if launch.first() else launch.follow(print)
threads = [open(f"/proc/self/task/{thread}/comm").read().strip() for thread in os.listdir("/proc/self/task")]
raise SystemExit(", ".join(name for name in threads if "gloo" in name) or 0)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted as Linux shows them")
def test_no_thread_outlives_the_group(tmp_path):
    """One that did aborted, now and then, a process that had finished its work."""
    program = tmp_path / "leaves.py"
    program.write_text(LEAVES)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert ended.returncode == 0, ended.stderr


def test_other_commands_refuse_torchrun(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(sys, "argv", ["moo-mtl", "list", "rules"])
    with pytest.raises(SystemExit) as ending:
        main()
    assert ending.value.code == 2
    assert "only `run` shares its work" in capsys.readouterr().err
