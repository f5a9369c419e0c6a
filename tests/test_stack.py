"""A stack of networks is its members: what they answer, where training takes them, and what is kept of them."""

import pytest
import torch
from torch import nn

from moo_mtl import models, rules
from moo_mtl.data import Dataset, Examples, Target
from moo_mtl.errors import InputError, NonFiniteError, RunError
from moo_mtl.fronts import hypervolume
from moo_mtl.models import Stack
from moo_mtl.models.conditioned import Hypernetwork, conditioned
from moo_mtl.training import Dirichlet, StackTrainer, Task, Trainer, tasks_of
from moo_mtl.training.fairness import counted_opportunity

TASKS = (Target("a", "regression"), Target("b", "binary"))
RAYS = torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]], dtype=torch.float64)


@pytest.fixture
def dataset():
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(40, 4, generator=generator, dtype=torch.float64)
    targets = {"a": inputs[:, 0] * inputs[:, 1], "b": (inputs[:, 1] > 0).double()}
    splits = {"train": torch.arange(23), "validation": torch.arange(23, 32), "test": torch.arange(32, 40)}
    return Dataset("made", Examples(inputs, targets), splits, TASKS)


def network(dataset, seed=0):
    return models.get("mlp", dataset, seed=seed, widths=[6, 5]).double()


def trainer(dataset, rule="linear", shape=(2, 3), **options):
    seeds, n = torch.arange(shape[0])[:, None], shape[0] * shape[1]
    stack = Stack([network(dataset, seed=member) for member in range(n)], shape)
    settings = {"epochs": 3, "batch_size": 10, "lr": 0.01, "seeds": seeds, "preference": RAYS[None, : shape[1]], **options}
    return StackTrainer(stack, tasks_of(dataset), rules.get(rule) if isinstance(rule, str) else rule, **settings)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3, padding=1)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.norm(self.first(x)).relu()).mean(dim=(2, 3))


def test_answers_are_the_members_answers_and_so_are_running_statistics():
    torch.manual_seed(0)
    networks = [Tied().double() for _ in range(6)]
    stack, x = Stack(networks, (2, 3)), torch.randn(5, 2, 4, 4, dtype=torch.float64)
    assert len(list(stack.parameters())) == len(list(networks[0].parameters()))  # a tied one stands once
    answers = stack(x)
    for n, one in enumerate(networks):
        torch.testing.assert_close(answers[n // 3, n % 3], one(x), rtol=1e-12, atol=1e-12)
        member = stack.member(n // 3, n % 3)
        torch.testing.assert_close(member.norm.running_var, one.norm.running_var, rtol=1e-12, atol=1e-12)
        assert member.first.weight is member.second.weight


def test_members_may_see_their_own_inputs(dataset):
    stack, x = Stack([network(dataset, seed=n) for n in range(6)], (2, 3)), torch.randn(2, 1, 5, 4, dtype=torch.float64)
    answers = stack(x, own_inputs=True)["a"]
    for s in range(2):
        torch.testing.assert_close(answers[s, 1], stack.member(s, 1)(x[s, 0])["a"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("rule", "optimizer"), [("linear", "sgd"), ("epo", "adam"), ("mgda", "adam"), ("db-mtl", "adam"), ("stch-mtl", "sgd")]
)
def test_a_stack_ends_where_separate_trainers_end(dataset, rule, optimizer):
    together = trainer(dataset, rule, optimizer=optimizer, epochs=2)
    separate = {(s, p): together.stack.member(s, p) for s, p in [(0, 0), (0, 2), (1, 1)]}
    together.fit(dataset.train)
    for (s, p), one in separate.items():
        Trainer(
            one,
            tasks_of(dataset),
            rules.get(rule),
            epochs=2,
            batch_size=10,
            optimizer=optimizer,
            lr=0.01,
            seed=s,
            preference=RAYS[p].tolist(),
        ).fit(dataset.train)
        for ours, theirs in zip(together.stack.member(s, p).parameters(), one.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_every_member_may_have_a_learning_rate(dataset):
    both = trainer(dataset, lr=torch.tensor([[0.01], [0.03]], dtype=torch.float64), seeds=torch.zeros(1, 1, dtype=torch.int64))
    alone = trainer(dataset, lr=0.03, seeds=torch.zeros(1, 1, dtype=torch.int64))
    for one in (both, alone):
        one.fit(dataset.train)
    ours, theirs = (list(one.stack.member(1, 2).parameters()) for one in (both, alone))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_labels_that_are_missing_do_not_count(dataset):
    whole = dataset.train
    present = {"a": torch.ones(23, dtype=torch.bool), "b": torch.arange(23) % 3 > 0}
    spoilt = Examples(whole.inputs, {**whole.targets, "b": torch.where(present["b"], whole.targets["b"], 1e9)}, present)
    one, other = trainer(dataset), trainer(dataset)
    one.fit(spoilt)
    other.fit(Examples(whole.inputs, whole.targets, present))
    for a, b in zip(one.stack.parameters(), other.stack.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def corner(losses):
    return -hypervolume(losses, torch.tensor([5.0, 5.0]))


def test_the_epoch_that_validation_prefers_is_kept(dataset):
    one = trainer(dataset, lr=0.3, epochs=6, select=corner)
    history = one.fit(dataset.train, dataset.validation)
    volumes = -torch.stack([corner(seen) for seen in history.validation])
    assert history.best_epoch.tolist() == (volumes.argmax(dim=0) + 1).tolist()
    torch.testing.assert_close(-corner(one.losses(dataset.validation)), volumes.amax(dim=0))


class StoppedError(Exception):
    pass


def test_a_stopped_training_goes_on_to_the_same_bits(dataset, tmp_path):
    options = {"epochs": 5, "select": corner, "rule": "db-mtl"}
    whole = trainer(dataset, **options)
    expected = whole.fit(dataset.train, dataset.validation)

    def stop(epoch):
        if epoch == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        trainer(dataset, **options).fit(
            dataset.train, dataset.validation, checkpoint=tmp_path / "c.pt", checkpoint_interval=0, progress=stop
        )
    again = trainer(dataset, **options)
    history = again.fit(dataset.train, dataset.validation, checkpoint=tmp_path / "c.pt", checkpoint_interval=0)
    assert torch.equal(history.losses, expected.losses)
    assert all(torch.equal(a, b) for a, b in zip(again.stack.parameters(), whole.stack.parameters(), strict=True))
    with pytest.raises(RunError, match="of another run"):
        trainer(dataset, **{**options, "lr": 0.5}).fit(dataset.train, dataset.validation, checkpoint=tmp_path / "c.pt")


def test_a_dirichlet_preference_depends_on_seed_and_step_alone():
    seeds, drawn = torch.tensor([[4], [7]]), Dirichlet(0.5, least=0.01)
    first = drawn.draw(seeds, 3, 4)
    assert first.shape == (2, 1, 4)
    assert torch.equal(first, drawn.draw(seeds, 3, 4))
    assert torch.equal(first[1, 0], drawn.draw(torch.tensor([7]), 3, 4)[0])
    assert not torch.equal(first, drawn.draw(seeds, 4, 4))
    torch.testing.assert_close(first.sum(dim=-1), torch.ones(2, 1, dtype=torch.float64))
    assert first.min() > 0.009
    mean = Dirichlet((1.0, 3.0), least=0).draw(torch.arange(4000), 1, 2).mean(dim=0)
    torch.testing.assert_close(mean, torch.tensor([0.25, 0.75], dtype=torch.float64), atol=0.02, rtol=0)


@pytest.mark.parametrize("how", ["input", "hyper"])
def test_one_network_learns_a_front(how):
    """Two targets on one output: y = +1 and y = -1. The best compromise at a preference (r, 1 - r) is 2 r - 1."""
    target = torch.ones(8, dtype=torch.float64)
    data = Examples(torch.ones(8, 1, dtype=torch.float64), {"up": target, "down": -target})
    tasks = [Task("up", "squared-error", reads="up"), Task("down", "squared-error", reads="up")]
    kinds = (Target("up", "regression"), Target("down", "regression", reads="up"))
    made = Dataset("made", data, {part: torch.arange(8) for part in ("train", "validation", "test")}, kinds)
    options = {"width": 16} if how == "hyper" else {}
    networks = [conditioned("mlp", made, how, seed=seed, widths=[16], **options).double() for seed in range(2)]
    one = StackTrainer(
        Stack(networks),
        tasks,
        rules.get("linear"),
        epochs=150,
        lr=0.02,
        seeds=torch.arange(2),
        preference=Dirichlet(1.0),
        rays=RAYS,
    )
    one.fit(data)
    up, down = one.losses(data).unbind(dim=-1)
    output = (down - up) / 4  # (z + 1)^2 - (z - 1)^2 = 4 z
    torch.testing.assert_close(output, (2 * RAYS[:, 0] - 1).expand(2, 3), atol=0.2, rtol=0)


def test_a_hypernetwork_starts_near_its_target_and_shares_what_makes_the_trunk(dataset):
    target = network(dataset)
    hyper = Hypernetwork(target, n_tasks=2, width=7)
    assert not {id(p) for p in hyper.parameters()} & {id(p) for p in target.parameters()}
    shared = {id(p) for p in hyper.shared_parameters()}
    for layer, name in zip(hyper.layers, hyper.names, strict=True):
        assert (id(layer.weight) in shared) == name.startswith("trunk")
    with pytest.raises(InputError, match="keeps buffers"):
        Hypernetwork(Tied(), n_tasks=2)


def test_counts_of_opportunity_are_counts():
    output = torch.tensor([1.0, -1.0, 2.0, 3.0, 1.0])
    label, group = torch.tensor([1.0, 1, 1, 0, 1]), torch.tensor([0.0, 0, 1, 0, 0])
    assert float(counted_opportunity(output, torch.stack([label, group], dim=1))) == pytest.approx((2 - 1) / 5)


def test_means_over_batches_count_each_batch_alike(dataset):
    one = trainer(dataset, measured_in=6)
    parts = [trainer(dataset).losses(dataset.test[start : start + 6]) for start in (0, 6)]
    torch.testing.assert_close(one.losses(dataset.test), sum(parts) / 2)
    torch.testing.assert_close(one.losses(dataset.test, as_trained=True), (6 * parts[0] + 2 * parts[1]) / 8)


def test_what_cannot_be_stacked_or_trained_is_refused(dataset):
    with pytest.raises(InputError, match="takes 4 networks"):
        Stack([network(dataset)] * 3, (2, 2))
    with pytest.raises(InputError, match="of one build"):
        Stack([network(dataset), nn.Linear(2, 2)])
    with pytest.raises(InputError, match="2 numbers in range"):
        trainer(dataset).stack.member(5, 0)
    with pytest.raises(InputError, match="more than one batch"):
        trainer(dataset, "famo")
    with pytest.raises(InputError, match="seeds has shape"):
        trainer(dataset, seeds=torch.arange(2))
    with pytest.raises(InputError, match="preference has shape"):
        trainer(dataset, preference=RAYS)
    with pytest.raises(InputError, match="epochs must be"):
        trainer(dataset, epochs=0)
    with pytest.raises(InputError, match="go together"):
        trainer(dataset, select=corner).fit(dataset.train)
    with pytest.raises(InputError, match="alpha must be positive"):
        Dirichlet(0.0)
    with pytest.raises(InputError, match="way to condition"):
        conditioned("mlp", dataset, "inputs")
    with pytest.raises(NonFiniteError, match="not finite at step"):
        trainer(dataset, optimizer="sgd", lr=1e200).fit(dataset.train)
