"""The trainer: the same trajectories as ``trace``, exact bookkeeping, what it refuses, and that it learns."""

import math
import random

import numpy as np
import pytest
import torch
from torch import nn

from moo_mtl import Needs, Rule, Task, Trainer, Weighing, data, models, problems, rules, trace
from moo_mtl.data import Examples
from moo_mtl.errors import InputError, NonFiniteError
from moo_mtl.gramian import gramian
from moo_mtl.solvers import min_norm
from moo_mtl.training import History, tasks_of
from moo_mtl.training.batches import batches
from moo_mtl.training.certificates import certificate, half_batch_estimate
from moo_mtl.training.metrics import auc, r2
from moo_mtl.training.selection import by_loss, by_metric
from tests.kinds import Famo, PCGrad, Tchebycheff

CPU = torch.device("cpu")


class Point(nn.Module):
    """A problem as a network: its only parameter is the point, its outputs are the losses there."""

    def __init__(self, problem, start):
        super().__init__()
        self.problem, self.x = problem, nn.Parameter(start.clone())

    def forward(self, inputs):
        values = self.problem.evaluate(self.x)
        return {f"f{k}": values[k].expand(len(inputs)) for k in range(self.problem.n_tasks)}


def bowls(x):
    """Three bowls of different curvature with minima apart, never below 0.5."""
    centres = torch.eye(3, dtype=x.dtype)
    curvature = torch.tensor([1.0, 2.0, 0.3], dtype=x.dtype)
    return 0.5 + curvature * (x[..., None, :] - centres).square().sum(-1)


def as_given(output, target):
    return output


BOWLS = problems.from_function(bowls, n_tasks=3, n_dim=3)
ONE_EXAMPLE = Examples(torch.zeros(1, 1), {f"f{k}": torch.zeros(1) for k in range(3)})


@pytest.mark.parametrize(
    "rule",
    [
        *(rules.get(name) for name in ("equal", "mgda", "edm", "db-mtl", "bmtl", "task-tensioner", "ema")),
        PCGrad(),
        Famo(),
        Tchebycheff(),
    ],
    ids=lambda rule: rule.name,
)
def test_trainer_and_trace_take_the_same_steps(rule):
    start = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
    preference = [0.5, 0.3, 0.2] if Needs.PREFERENCE in rule.needs else None
    expected = trace(
        BOWLS,
        rule,
        start,
        steps=30,
        lr=0.01,
        seed=4,
        preferences=None if preference is None else torch.tensor(preference, dtype=torch.float64),
    )
    point, path = Point(BOWLS, start), []
    tasks = [Task(f"f{k}", as_given) for k in range(3)]
    trainer = Trainer(point, tasks, rule, optimizer="sgd", lr=0.01, epochs=30, seed=4, preference=preference)
    history = trainer.fit(ONE_EXAMPLE, progress=lambda epoch: path.append(point.x.detach().clone()))
    torch.testing.assert_close(torch.stack(path), expected.x[1:], rtol=0, atol=1e-12)
    torch.testing.assert_close(history.losses, expected.losses[:-1], rtol=0, atol=1e-12)
    torch.testing.assert_close(history.weights, expected.weights[:-1], rtol=0, atol=1e-12)
    assert (path[0] - start).norm() > 1e-3, "the point does not move, and the comparison says nothing"


def made(n=40, seed=0, tasks=("a", "b"), missing=False):
    """Linear targets with noise, and a class; float64."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 5, generator=generator, dtype=torch.float64)
    maps = torch.randn(len(tasks), 5, generator=generator, dtype=torch.float64)
    targets = {name: inputs @ row for name, row in zip(tasks, maps, strict=True)}
    present = {name: torch.rand(n, generator=generator) > 0.4 for name in tasks} if missing else None
    return Examples(inputs, targets, present)


class Small(nn.Module):
    """A trunk with dropout and batch normalisation, so that every kind of state is there."""

    def __init__(self, tasks=("a", "b"), dropout=0.2):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.trunk = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(dropout)).double()
            self.heads = nn.ModuleDict({name: nn.Linear(8, 1).double() for name in tasks})

    def forward(self, inputs):
        features = self.trunk(inputs)
        return {name: head(features).squeeze(1) for name, head in self.heads.items()}


TASKS = (Task("a", "squared-error", ("mae", "r2")), Task("b", "squared-error", ("mae", "r2")))


def trainer(rule="mgda", *, model=None, tasks=TASKS, **options):
    given = {"epochs": 3, "batch_size": 16, "lr": 0.01, **options}
    return Trainer(model or Small(), tasks, rules.get(rule) if isinstance(rule, str) else rule, **given)


def test_equal_weights_are_ordinary_training():
    """Against a loop without any of this package: the sum of the losses, and torch's own backward."""
    examples = made()
    ours = trainer("equal", model=Small(dropout=0.0), seed=3)
    ours.fit(examples)
    theirs = Small(dropout=0.0)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for epoch in range(1, 4):
        for batch in batches(examples, 16, seed=3, epoch=epoch):
            outputs = theirs(batch.inputs)
            loss = sum((outputs[name] - batch.targets[name]).square().mean() for name in ("a", "b"))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for one, other in zip(ours.model.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_one_task_alone_is_ordinary_training():
    """The baseline of Delta_m: another task's targets and head are there, and do not matter."""
    alone = trainer("equal", tasks=TASKS[:1], model=Small(dropout=0.0))
    history = alone.fit(made())
    other = trainer("equal", tasks=TASKS[:1], model=Small(("a",), dropout=0.0))
    other.fit(Examples(made().inputs, {"a": made().targets["a"]}))
    for one, two in zip(alone.model.trunk.parameters(), other.model.trunk.parameters(), strict=True):
        assert torch.equal(one, two)
    assert history.tasks == ("a",)
    assert history.losses.shape == (3, 1)


def test_every_epoch_visits_every_example_once_in_its_own_order():
    examples = Examples(torch.arange(50.0)[:, None], {"a": torch.arange(50)})
    seen = []
    for epoch in (1, 2):
        order = [batch.targets["a"] for batch in batches(examples, 8, seed=1, epoch=epoch)]
        assert [len(part) for part in order] == [8] * 6 + [2]
        seen.append(torch.cat(order))
        assert sorted(seen[-1].tolist()) == list(range(50))
    assert not torch.equal(*seen)
    again = torch.cat([b.targets["a"] for b in batches(examples, 8, seed=1, epoch=2)])
    assert torch.equal(again, seen[1])


def test_training_depends_on_the_seed_alone_and_leaves_the_generators_alone():
    def parameters(seed, disturbance):
        random.seed(disturbance), np.random.seed(disturbance), torch.manual_seed(disturbance)
        one = trainer(seed=seed)
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
        one.fit(made())
        assert before[0] == random.getstate()
        assert before[1] == np.random.get_state()[1].tolist()
        assert torch.equal(before[2], torch.get_rng_state())
        return torch.cat([parameter.flatten() for parameter in one.model.parameters()])

    assert torch.equal(parameters(0, 1), parameters(0, 2))
    assert not torch.equal(parameters(0, 1), parameters(1, 1))


def test_looking_does_not_disturb_training():
    """Certificates and validation draw no random number and leave batch statistics alone."""
    plain, looked_at = trainer(), trainer(certify_every=1, select=lambda scores, tasks: 0.0)
    plain.fit(made())
    history = looked_at.fit(made(), made(seed=1))
    assert history.estimates[:, 0].tolist() == list(range(2, 10))  # a step is judged with the weights of the one before
    assert history.best_epoch == 1
    falling = iter([3.0, 2.0, 1.0])
    looked_at = trainer(certify_every=1, select=lambda scores, tasks: next(falling))
    assert looked_at.fit(made(), made(seed=1)).best_epoch == 3
    for one, other in zip(plain.model.state_dict().values(), looked_at.model.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("rule", ["equal", "famo"])
def test_a_step_counts_once_in_batch_statistics_though_famo_looks_twice(rule):
    one = trainer(rule)
    history = one.fit(made())
    assert one.model.trunk[1].num_batches_tracked.item() == history.steps


def test_a_loader_is_taken_as_it_comes():
    examples = made()
    stacked = torch.utils.data.TensorDataset(examples.inputs, examples.targets["a"], examples.targets["b"])

    class Loader:
        def __iter__(self):
            for inputs, a, b in torch.utils.data.DataLoader(stacked, batch_size=16, shuffle=True):
                yield inputs, {"a": a, "b": b}

    history = trainer().fit(Loader(), Loader())
    assert history.steps == 9
    assert history.validation_losses.shape == (3, 2)
    with pytest.raises(InputError, match="a loader gave a int"):
        trainer().fit([1, 2])


class Recorder(Rule[tuple[()]]):
    """Equal weights that remember what they saw."""

    name, needs = "recorder", Needs.LOSSES

    def __init__(self):
        self.seen = []

    def weigh(self, obs, state):
        self.seen.append((obs.step, obs.epoch, obs.present))
        return Weighing(torch.ones_like(obs.losses) * obs.mask), state


def test_missing_labels_count_neither_in_losses_nor_in_scores():
    examples = made(missing=True)
    assert examples.present is not None
    rule = Recorder()
    history = trainer(rule, optimizer="sgd", lr=1e-300, batch_size=7, model=Small(dropout=0.0).eval()).fit(examples)
    network = Small(dropout=0.0)
    batch = next(batches(examples, 7, seed=0, epoch=1))
    network.train()
    outputs = network(batch.inputs)
    errors = (outputs["a"] - batch.targets["a"]).square()[batch.present["a"]]
    task = TASKS[0]
    found = task.mean_loss(outputs["a"], batch.targets["a"], batch.present["a"])
    torch.testing.assert_close(found, errors.mean())
    assert history.losses.isfinite().all()
    scores = trainer(model=network).score(examples)
    network.eval()
    seen = examples.present["b"]
    expected = (network(examples.inputs)["b"] - examples.targets["b"])[seen].detach()
    assert scores.losses[1].item() == pytest.approx(expected.square().mean().item())
    assert scores.metrics["b/mae"] == pytest.approx(expected.abs().mean().item())


def test_a_task_without_a_label_in_a_batch_is_absent_there():
    examples = made(32)
    nobody = {"a": torch.ones(32, dtype=torch.bool), "b": torch.zeros(32, dtype=torch.bool)}
    rule = Recorder()
    history = trainer(rule, epochs=2).fit(Examples(examples.inputs, examples.targets, nobody))
    assert [(step, epoch) for step, epoch, _ in rule.seen] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert all(present.tolist() == [True, False] for *_, present in rule.seen)
    assert history.losses[:, 1].isnan().all()
    assert history.losses[:, 0].isfinite().all()


def test_validation_chooses_the_epoch_and_its_parameters_are_kept():
    snapshots = []
    one = trainer(epochs=8, lr=0.3, select="loss")
    keep = list(one.model.state_dict())
    history = one.fit(
        made(), made(seed=1), progress=lambda _: snapshots.append({k: v.clone() for k, v in one.model.state_dict().items()})
    )
    assert history.best_epoch == int(history.validation_losses.log().mean(dim=1).argmin()) + 1
    assert all(torch.equal(one.model.state_dict()[name], snapshots[history.best_epoch - 1][name]) for name in keep)
    assert one.score(made(seed=1)).losses.tolist() == history.validation_losses[history.best_epoch - 1].tolist()


def test_until_stops_when_every_task_is_below_and_notes_when_each_first_was():
    history = trainer("equal", epochs=400, lr=0.05, until=0.3, model=Small(dropout=0.0)).fit(made())
    assert history.epochs < 400
    below = history.losses < 0.3
    assert below[-1].all()
    assert not below[:-1].all(dim=1).any()
    assert history.converged.tolist() == [int(below[:, k].int().argmax()) + 1 for k in range(2)]


def test_learning_rate_follows_the_step():
    steps = []

    def schedule(step):
        steps.append(step)
        return 0.01 / step

    trainer(lr=schedule, optimizer="sgd").fit(made())
    assert steps[1:] == list(range(1, 10))


def test_clip_bounds_the_gradient_after_balancing():
    one = trainer("equal", optimizer="sgd", lr=1.0, epochs=1, batch_size=None, clip=0.125, model=Small(dropout=0.0))
    before = torch.cat([parameter.detach().flatten().clone() for parameter in one.model.parameters()])
    one.fit(made())
    after = torch.cat([parameter.detach().flatten() for parameter in one.model.parameters()])
    assert (after - before).norm().item() == pytest.approx(0.125)


def test_certificate_is_that_of_the_whole_set():
    """Gradients summed over batches, against one backward pass per task over all examples."""
    network, examples = Small().eval(), made(100)
    shared = list(network.trunk.parameters())
    outputs = network(examples.inputs)
    rows = [
        torch.autograd.grad((outputs[name] - examples.targets[name]).square().mean(), shared, retain_graph=True)
        for name in ("a", "b")
    ]
    G = gramian(torch.stack([torch.cat([part.flatten() for part in row]) for row in rows]))
    loader = [examples[:33], examples[33:40], examples[40:]]
    for parts in (examples, loader):
        found = certificate(network, TASKS, shared, parts, device=CPU, dtype=torch.float64)
        assert found.upper.item() == pytest.approx(min_norm(G).value.sqrt().item(), rel=1e-10)
        assert found.lower <= found.upper


def test_a_task_without_labels_does_not_make_a_network_look_stationary():
    network, examples = Small().eval(), made(20)
    shared = list(network.trunk.parameters())
    alone = certificate(network, TASKS[:1], shared, examples, device=CPU, dtype=torch.float64)
    nobody = {"a": torch.ones(20, dtype=torch.bool), "b": torch.zeros(20, dtype=torch.bool)}
    found = certificate(
        network, TASKS, shared, Examples(examples.inputs, examples.targets, nobody), device=CPU, dtype=torch.float64
    )
    assert found.status == "bounded"
    assert found.weights.tolist() == [1.0, 0.0]
    assert found.upper.item() == pytest.approx(alone.upper.item(), rel=1e-12)


def test_half_batch_estimate_leaves_out_a_task_without_labels_in_one_half():
    network, examples = Small().eval(), made(20)
    shared, weights = list(network.trunk.parameters()), torch.tensor([0.25, 0.75])
    alone = half_batch_estimate(network, TASKS[:1], shared, examples, weights[:1])
    first_half = {"a": torch.ones(20, dtype=torch.bool), "b": torch.arange(20) < 10}
    found = half_batch_estimate(network, TASKS, shared, Examples(examples.inputs, examples.targets, first_half), weights)
    assert found.item() == pytest.approx(alone.item(), rel=1e-12)
    halves = {"a": torch.arange(20) >= 10, "b": torch.arange(20) < 10}
    assert half_batch_estimate(network, TASKS, shared, Examples(examples.inputs, examples.targets, halves), weights).isnan()


def test_half_batch_estimate_is_unbiased_where_the_whole_batch_is_not():
    """Over all pairings of four examples the estimate's mean is the expected product of two different examples' gradients."""
    from itertools import permutations

    network, examples = Small().eval(), made(4)
    shared = list(network.trunk.parameters())
    weights = torch.tensor([0.25, 0.75])
    values = [half_batch_estimate(network, TASKS, shared, examples[torch.tensor(p)], weights) for p in permutations(range(4))]
    rows = []
    for i in range(4):
        outputs = network(examples[i : i + 1].inputs)
        loss = sum(
            w * (outputs[name] - examples.targets[name][i]).square().mean() for w, name in zip(weights, "ab", strict=True)
        )
        rows.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, shared)]))
    G = torch.stack(rows) @ torch.stack(rows).T
    pairs = (G.sum() - G.trace()) / 12
    squares = torch.stack([value.sign() * value.square() for value in values])
    assert squares.mean().item() == pytest.approx(pairs.item(), rel=1e-10)


def test_history_survives_the_disk(tmp_path):
    history = trainer(certify_every=4).fit(made(), made(seed=1))
    history.save(tmp_path / "history.npz")
    loaded = History.load(tmp_path / "history.npz")
    for name, value in vars(history).items():
        found = getattr(loaded, name)
        if isinstance(value, dict):
            assert found.keys() == value.keys()
            assert all(torch.equal(found[key], value[key]) for key in value)
        elif isinstance(value, torch.Tensor):
            assert torch.equal(found, value)
        else:
            assert found == value
    assert set(history.metrics) == {"a/mae", "a/r2", "b/mae", "b/r2"}
    assert set(history.certificates) == {"train", "validation"}
    (tmp_path / "wrong.npz").write_bytes(b"PK nonsense")
    with pytest.raises(InputError, match="is not a saved history"):
        History.load(tmp_path / "wrong.npz")


def test_metrics_against_scikit_learn():
    from sklearn.metrics import r2_score, roc_auc_score

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, generator=generator).round(decimals=1)  # with ties
    labels = (torch.rand(200, generator=generator) < 0.3).float()
    assert auc(logits, labels).item() == pytest.approx(roc_auc_score(labels.numpy(), logits.numpy()))
    assert math.isnan(auc(logits, torch.zeros(200)).item())
    target = torch.randn(200, generator=generator)
    assert r2(logits, target).item() == pytest.approx(r2_score(target.numpy(), logits.numpy()))


def test_metrics_come_back_in_the_targets_unit():
    one = trainer(tasks=(Task("a", "squared-error", ("mae", "r2"), scale=20.0), TASKS[1]))
    scores, plain = one.score(made()), trainer(model=one.model).score(made())
    assert scores.metrics["a/mae"] == pytest.approx(20 * plain.metrics["a/mae"])
    assert scores.metrics["a/r2"] == plain.metrics["a/r2"]
    assert torch.equal(scores.losses, plain.losses)


@pytest.mark.parametrize("device_is_read_late", [False, True])
def test_a_loss_that_is_not_finite_is_named_with_its_step(device_is_read_late, monkeypatch):
    if device_is_read_late:  # as on an accelerator, where only the sums remember
        monkeypatch.setattr("moo_mtl.training.update.Update._refuse", lambda self, losses, step: None)
        monkeypatch.setattr("moo_mtl.training.balancer.Balancer.backward", _backward_that_does_not_look)
    examples = made(48)
    order = torch.cat([b.inputs for b in batches(examples, 16, seed=0, epoch=2)])
    spoiled = (examples.inputs == order[20]).all(dim=1)  # in the second batch of the second epoch

    class Spoiled(Small):
        def forward(self, inputs):
            self.calls = getattr(self, "calls", 0) + 1
            outputs = super().forward(inputs)
            hit = (inputs == examples.inputs[spoiled]).all(dim=1) & (self.calls > 3)
            return {**outputs, "b": torch.where(hit, torch.nan, outputs["b"])}

    one = trainer("equal", model=Spoiled())
    with pytest.raises(NonFiniteError, match="the loss of task 'b' is not finite at step 5"):
        one.fit(examples)
    if not device_is_read_late:
        assert all(parameter.isfinite().all() for parameter in one.model.parameters())


def test_a_gradient_that_is_not_finite_is_refused_before_the_step():
    def root(output, target):
        return (output - output.detach()).abs().sqrt()  # 0, with a gradient that is not a number

    one = trainer("mgda", tasks=(TASKS[0], Task("b", root)), model=Small(dropout=0.0))
    before = [parameter.detach().clone() for parameter in one.model.parameters()]
    with pytest.raises(NonFiniteError, match=r"gradient of task 1 is not finite at step 1.*\(tasks from 0: a, b\)"):
        one.fit(made())
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), before, strict=True))


def _backward_that_does_not_look(self, losses, **_):
    losses.sum().backward()
    return type("Report", (), {"losses": losses.detach(), "weights": torch.ones_like(losses).detach()})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ()}, "the list of tasks is empty"),
        ({"tasks": (TASKS[0], TASKS[0])}, "two tasks are called 'a'"),
        ({"epochs": 0}, "epochs must be at least 1, found 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"lr": -0.1}, "lr must be positive, found -0.1"),
        ({"lr": None}, "needs a learning rate"),
        ({"clip": 0.0}, "clip must be positive"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"momentum": 0.9}, "momentum=0.9 is SGD's"),
        ({"optimizer": "adma"}, "did you mean 'adam'"),
        ({"select": "los"}, "did you mean 'loss'"),
        ({"preference": [1.0]}, "one number per task"),
        ({"heads": "none"}, "heads 'none' is unknown"),
        ({"shared": []}, "no shared parameter"),
    ],
)
def test_bad_options_are_refused_before_training(options, message):
    with pytest.raises(InputError, match=message):
        trainer(**options)


@pytest.mark.parametrize(
    ("rule", "message"), [("mgda", r"pass rules.get\('mgda'\)"), (Recorder, "found Recorder, expected a rule")]
)
def test_what_is_no_rule_is_refused(rule, message):
    with pytest.raises(InputError, match=f"Trainer: .*{message}"):
        Trainer(Small(), TASKS, rule, epochs=1, lr=0.1)


def test_tasks_must_have_outputs_and_targets():
    with pytest.raises(InputError, match="unknown target: the data have none for task 'c'"):
        trainer(tasks=(*TASKS, Task("c", "squared-error"))).fit(made())
    with pytest.raises(InputError, match="unknown output: the network has none for task 'c'"):
        trainer(tasks=(Task("c", "squared-error"),)).fit(made(tasks=("a", "c")))
    with pytest.raises(InputError, match="must return a mapping"):
        trainer(model=nn.Linear(5, 1).double()).fit(made())
    with pytest.raises(InputError, match="the data are empty"):
        trainer().fit(made()[:0])
    with pytest.raises(InputError, match="unknown task of logic-gates"):
        tasks_of(data.get("logic-gates"), ["xro"])


def test_tasks_say_what_is_wrong_with_them():
    with pytest.raises(InputError, match="did you mean 'squared-error'"):
        Task("a", "square-error")
    with pytest.raises(InputError, match="did you mean 'accuracy'"):
        Task("a", "cross-entropy", ("acuracy",))
    with pytest.raises(InputError, match="say higher_is_better"):
        Task("a", as_given, (r2,))
    assert Task("a", as_given, (r2,), higher_is_better=True).measures[0].name == "r2"
    with pytest.raises(InputError, match="given per example"):
        Task("a", nn.functional.mse_loss).mean_loss(torch.zeros(2), torch.zeros(2), torch.tensor([True, False]))


def test_selection_refuses_what_it_cannot_compare():
    class Some:
        losses, metrics = torch.tensor([1.0, -1.0]), {"a/mae": 1.0, "b/r2": 0.5}

    with pytest.raises(InputError, match="logarithms"):
        by_loss(Some, TASKS)
    with pytest.raises(InputError, match="some are better when higher"):
        by_metric(Some, (Task("a", "huber", ("mae",)), Task("b", "huber", ("r2",))))
    with pytest.raises(InputError, match="needs a metric for every task"):
        by_metric(Some, (Task("a", "huber"),))


def test_half_precision_trains():
    one = trainer("mgda", model=Small(dropout=0.0), dtype=torch.bfloat16, epochs=5)
    history = one.fit(made())
    assert next(one.model.parameters()).dtype == torch.bfloat16
    assert history.losses[-1].sum() < history.losses[0].sum()


def test_multi_digits_learns():
    """Equal weights, five epochs: both digits are read far more often than one time in ten, chance."""
    digits = data.get("multi-digits", train=2000, validation=300, test=500)
    network = models.get("small-lenet", digits)
    one = Trainer(
        network, tasks_of(digits), rules.get("equal"), epochs=6, batch_size=64, optimizer="adam", lr=4e-3, select="metric"
    )
    history = one.fit(digits.train, digits.validation)
    scores = one.score(digits.test)
    assert min(scores.metrics.values()) > 0.6
    assert (history.losses[-1] < history.losses[0] / 2).all()


def test_logic_gates_converge_with_the_task_tensioner():
    gates = data.get("logic-gates")
    one = Trainer(
        models.get("gates", gates, seed=0),
        tasks_of(gates),
        rules.get("task-tensioner"),
        epochs=2500,
        batch_size=2,
        optimizer="sgd",
        lr=0.05,
        momentum=0.9,
        heads="raw",
        until=1e-3,
    )
    history = one.fit(gates.train)
    assert history.epochs < 2500
    assert (history.converged > 0).all()
    outputs = one.model(gates.train.inputs)
    torch.testing.assert_close(outputs["xor"], gates.train.targets["xor"], rtol=0, atol=0.2)
