"""Options of the trainer: each is held against what it claims to equal."""

import json
import math

import pytest
import torch
from torch import nn

from moo_mtl import Balancer, Task, certify, rules
from moo_mtl.data import Examples
from moo_mtl.errors import InputError
from moo_mtl.training import schedules
from moo_mtl.training.batches import Domains, batches, in_order, split
from tests.test_trainer import Small, made, trainer


def parameters(one):
    return torch.cat([parameter.detach().flatten() for parameter in one.model.parameters()])


class Plain(Small):
    """Without layers that mix the examples of a batch."""

    def __init__(self, tasks=("a", "b")):
        super().__init__(tasks, dropout=0.0)
        self.trunk = nn.Sequential(self.trunk[0], nn.Tanh())


@pytest.mark.parametrize("rule", ["mgda", "equal", "famo", "db-mtl"])
@pytest.mark.parametrize("missing", [False, True])
def test_a_step_in_parts_is_the_step_of_the_whole_batch(rule, missing):
    whole, parts = trainer(rule, model=Plain()), trainer(rule, model=Plain(), accumulate=3)
    expected, found = whole.fit(made(missing=missing)), parts.fit(made(missing=missing))
    torch.testing.assert_close(parameters(parts), parameters(whole), rtol=0, atol=1e-10)
    torch.testing.assert_close(found.losses, expected.losses, rtol=1e-10, atol=0)
    torch.testing.assert_close(found.weights, expected.weights, rtol=1e-8, atol=0)


def test_mixed_precision_shows_the_rule_losses_as_they_are():
    """bfloat16 moves the curves by its rounding; with float16 the factor of the scaler reaches neither losses nor weights."""
    runs = {}
    tasks = [Task(name, lambda output, target: 0.01 * (output - target).square()) for name in "ab"]  # scaled, still no overflow
    for precision in ("full", "bf16", "fp16"):
        model = Plain().float()
        one = trainer("mgda", model=model, tasks=tasks, precision=precision, epochs=8, optimizer="sgd", lr=2.0)
        runs[precision] = one.fit(made(80), made(seed=1))
        assert next(one.model.parameters()).dtype == torch.float32
    for precision, accuracy in (("bf16", 0.02), ("fp16", 0.005)):
        assert runs[precision].skipped == 0
        torch.testing.assert_close(runs[precision].losses, runs["full"].losses, rtol=accuracy, atol=0)
        torch.testing.assert_close(runs[precision].weights, runs["full"].weights, rtol=0, atol=5 * accuracy)
        assert not torch.equal(runs[precision].losses, runs["full"].losses)


class Steep(Plain):
    """Gradients too large for the scaler's first factor, which must be lowered before anything moves."""

    def forward(self, inputs):
        return {name: 100 * output for name, output in super().forward(inputs).items()}


@pytest.mark.parametrize("rule", ["mgda", "famo", "equal"])
def test_steps_whose_scaled_gradients_overflow_are_skipped_and_counted(rule):
    one = trainer(rule, model=Steep().float(), precision="fp16", epochs=4, optimizer="sgd", lr=1e-9, clip=1e3)
    history = one.fit(made(64))
    assert 0 < history.skipped < history.steps
    assert history.losses.isfinite().all()
    assert (history.weights[-1] > 0).all()
    assert history.weights[0].isnan().all(), "weights of steps that were not taken"
    assert parameters(one).isfinite().all()


def test_a_scheduler_is_torchs_own():
    rates = []
    plain = Small(dropout=0.0)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.1)
    ours = trainer(
        "equal", model=Small(dropout=0.0), optimizer="sgd", epochs=4, scheduler=schedules.get("step", 4, every=2, factor=0.1)
    )
    ours.fit(made())
    for epoch in range(1, 5):
        for batch in batches(made(), 16, seed=0, epoch=epoch):
            outputs = plain(batch.inputs)
            optimizer.zero_grad()
            sum((outputs[name] - batch.targets[name]).square().mean() for name in ("a", "b")).backward()
            optimizer.step()
        scheduler.step()
        rates.append(scheduler.get_last_lr())
    torch.testing.assert_close(
        parameters(ours), torch.cat([p.detach().flatten() for p in plain.parameters()]), rtol=0, atol=1e-12
    )
    assert rates[0] != rates[-1]


@pytest.mark.parametrize("name", schedules.SCHEDULES)
def test_every_schedule_lowers_the_rate(name, tmp_path):
    options = {"milestones": {"at": [1, 2]}, "plateau": {"patience": 0}}.get(name, {"every": 1} if name == "step" else {})
    one = trainer("equal", epochs=4, lr=0.01, scheduler=schedules.get(name, 4, **options), log_every=1, select=lambda *_: 1.0)
    one.fit(made(), made(seed=1), log=tmp_path)
    rates = [json.loads(line)["lr"] for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert rates[0] == 0.01
    assert rates[-1] < 0.01
    assert sorted(rates, reverse=True) == rates


def test_the_average_is_what_validation_sees_and_what_is_kept():
    decay, path = 0.9, []
    averaged = trainer("mgda", model=Plain(), average=decay, epochs=2)
    averaged.fit(made())
    plain = trainer("mgda", model=Plain(), epochs=2)
    balancer, optimizer = plain.new_balancer(), plain.new_optimizer()
    mean = None
    for epoch in (1, 2):
        for batch in batches(made(), 16, seed=0, epoch=epoch):
            outputs = plain.model(batch.inputs)
            losses = {name: (outputs[name] - batch.targets[name]).square().mean() for name in ("a", "b")}
            balancer.backward(losses)
            optimizer.step()
            path.append(parameters(plain).clone())
            mean = path[-1] if mean is None else decay * mean + (1 - decay) * path[-1]
    torch.testing.assert_close(parameters(averaged), mean, rtol=0, atol=1e-12)
    assert (parameters(averaged) - path[-1]).abs().max() > 1e-3
    judged = trainer("mgda", model=Plain(), average=decay, epochs=2)
    history = judged.fit(made(), made(seed=1))
    torch.testing.assert_close(history.validation_losses[history.best_epoch - 1], judged.score(made(seed=1)).losses)


def test_patience_ends_a_run_that_validation_no_longer_likes():
    scores = iter([3.0, 2.0, 2.5, 2.0, 9.0, 1.0])
    one = trainer("equal", epochs=10, patience=3, select=lambda *_: next(scores))
    history = one.fit(made(), made(seed=1))
    assert (history.epochs, history.best_epoch) == (5, 2)


def domains():
    """Two domains of different size; the second task's inputs are its own."""
    first, second = made(40), made(24, seed=5)
    return {"a": Examples(first.inputs, {"a": first.targets["a"]}), "b": Examples(second.inputs, {"b": second.targets["b"]})}


def test_every_task_may_have_a_loader_of_its_own():
    """Against a loop by hand: the losses of each step come from two forward passes."""
    one = trainer("mgda", model=Plain(), epochs=2)
    history = one.fit(domains(), domains())
    plain = trainer("mgda", model=Plain(), epochs=2)
    balancer, optimizer = plain.new_balancer(), plain.new_optimizer()
    seen = []
    for epoch in (1, 2):
        for batch in batches(domains(), 16, seed=0, epoch=epoch):
            losses = {n: (plain.model(e.inputs)[n] - e.targets[n]).square().mean() for n, e in batch.of.items()}
            balancer.backward(losses)
            optimizer.step()
            seen.append({name: len(examples) for name, examples in batch.of.items()})
    torch.testing.assert_close(parameters(one), parameters(plain), rtol=0, atol=1e-12)
    # The larger has batches of 16, 16 and 8; the smaller begins anew after 16 and 8.
    assert seen == 2 * [{"a": 16, "b": 16}, {"a": 16, "b": 8}, {"a": 8, "b": 16}]
    assert history.steps == 6
    scores = one.score(domains())
    for number, (name, examples) in enumerate(domains().items()):
        alone = (one.model.eval()(examples.inputs)[name] - examples.targets[name]).square().mean()
        torch.testing.assert_close(scores.losses[number], alone.detach())
    rows = []
    for name, examples in domains().items():
        loss = (one.model(examples.inputs)[name] - examples.targets[name]).square().mean()
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, one.shared)]))
    gramian = torch.stack(rows) @ torch.stack(rows).mT
    torch.testing.assert_close(history.certificates["train"][1], certify(gramian).upper, rtol=1e-8, atol=0)


def test_the_shorter_source_begins_anew_in_another_order():
    seen = [batch.of["b"].inputs for batch in batches(domains(), 8, seed=0, epoch=1)]
    assert len(seen) == 5
    first, again = torch.cat(seen[:3]), torch.cat(seen[3:])
    assert torch.equal(first.sort(dim=0).values, domains()["b"].inputs.sort(dim=0).values)
    assert not torch.equal(first[:16], again)
    assert sum(len(batch.of["a"]) for batch in in_order(domains(), 7) if "a" in batch.of) == 40


def test_parts_of_a_batch_are_in_order_and_even():
    pieces = split(made(7), 3)
    assert [len(piece) for piece in pieces] == [3, 2, 2]
    assert torch.equal(torch.cat([piece.inputs for piece in pieces]), made(7).inputs)
    assert [len(piece) for piece in split(made(1), 2)] == [1, 0]
    assert [len(piece.of["b"]) for piece in split(Domains(domains()), 2)] == [12, 12]


class Alternating:
    """A loader whose batches hold the targets of one task at a time."""

    def __iter__(self):
        for number, batch in enumerate(batches(made(), 8, seed=0, epoch=1)):
            name = "ab"[number % 2]
            yield batch.inputs, {name: batch.targets[name]}


def test_a_task_may_be_absent_from_a_batch():
    one = trainer("mgda", model=Plain(), epochs=1, optimizer="sgd", lr=0.1)
    history = one.fit(Alternating())
    by_hand = Plain()
    balancer, optimizer = Balancer(rules.mgda(), by_hand.trunk), torch.optim.SGD(by_hand.parameters(), lr=0.1)
    for inputs, targets in Alternating():
        outputs = by_hand(inputs)
        losses = torch.stack(
            [(outputs[n] - targets[n]).square().mean() if n in targets else outputs[n].new_zeros(()) for n in ("a", "b")]
        )
        optimizer.zero_grad()
        balancer.backward(losses, present=torch.tensor([n in targets for n in ("a", "b")]))
        optimizer.step()
    torch.testing.assert_close(
        parameters(one), torch.cat([p.detach().flatten() for p in by_hand.parameters()]), rtol=0, atol=1e-12
    )
    assert history.losses.isfinite().all()

    class Misnamed(Alternating):
        def __iter__(self):
            for inputs, targets in super().__iter__():
                yield inputs, {f"{name}1": target for name, target in targets.items()}

    with pytest.raises(InputError, match="the data have none for task 'a'"):
        trainer().fit(Misnamed())


def test_metrics_of_torchmetrics():
    import torchmetrics

    tasks = (
        Task("a", "squared-error", (torchmetrics.MeanAbsoluteError(), "mae")),
        Task(
            "b",
            lambda o, t: nn.functional.binary_cross_entropy_with_logits(o, (t > 0).double(), reduction="none"),
            (torchmetrics.classification.BinaryAUROC(), torchmetrics.classification.BinaryAccuracy(), "auc"),
        ),
    )
    examples = made(60)
    examples = Examples(
        examples.inputs, {"a": examples.targets["a"], "b": (examples.targets["b"] > 0).double()}, made(60, missing=True).present
    )
    metrics = trainer(tasks=tasks).score(examples).metrics
    assert metrics["a/MeanAbsoluteError"] == pytest.approx(metrics["a/mae"])
    assert metrics["b/BinaryAUROC"] == pytest.approx(metrics["b/auc"])
    assert 0 < metrics["b/BinaryAccuracy"] < 1
    assert [metric.higher_is_better for metric in tasks[0].measures] == [False, False]
    assert tasks[1].measures[0].higher_is_better
    with pytest.raises(InputError, match="say higher_is_better"):
        Task("a", "huber", (torchmetrics.MeanMetric(),))


def lines(folder):
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("rule", ["mgda", "equal"])
def test_the_step_log_holds_what_the_rule_saw_and_changes_nothing(rule, tmp_path):
    plain, logged = trainer(rule), trainer(rule, log_every=2, tensorboard=True)
    plain.fit(made())
    history = logged.fit(made(), log=tmp_path)
    assert torch.equal(parameters(plain), parameters(logged))
    found = lines(tmp_path)
    assert [line["step"] for line in found] == list(range(2, history.steps + 1, 2))
    for line in found:
        assert set(line) == {"step", "epoch", "lr", "losses", "weights", "norms", "cosines", "certificate", "finite"}
        norms, (cosine,) = [line["norms"][name] for name in "ab"], line["cosines"].values()
        gramian = torch.tensor([[norms[0] ** 2, norms[0] * norms[1] * cosine], [norms[0] * norms[1] * cosine, norms[1] ** 2]])
        weights = torch.tensor([line["weights"][name] for name in "ab"]) / sum(line["weights"].values())
        assert line["certificate"]["upper"] <= math.sqrt(weights @ gramian @ weights) * (1 + 1e-6)
    assert list((tmp_path / "tensorboard").iterdir())


def test_a_resumed_run_writes_the_log_of_an_uninterrupted_one(tmp_path):
    whole = trainer("mgda", log_every=1)
    whole.fit(made(), log=tmp_path / "whole")

    class Stop(KeyboardInterrupt):
        pass

    for stop in (5, 4):
        one, calls = trainer("mgda", log_every=1), 0
        forward = one.model.forward

        def failing(inputs, forward=forward, stop=stop):
            nonlocal calls
            calls += 1
            if calls == stop:
                raise Stop
            return forward(inputs)

        one.model.forward = failing
        with pytest.raises(Stop):
            one.fit(made(), checkpoint=tmp_path / "checkpoint.pt", checkpoint_interval=0.0, log=tmp_path / "parts")
        with (tmp_path / "parts" / "steps.jsonl").open("a") as file:
            file.write('{"step": 999, "lo')  # what a kill in the middle of a line leaves
    one = trainer("mgda", log_every=1)
    one.fit(made(), checkpoint=tmp_path / "checkpoint.pt", log=tmp_path / "parts")
    assert (tmp_path / "parts" / "steps.jsonl").read_text() == (tmp_path / "whole" / "steps.jsonl").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate": 0}, "accumulate must be at least 1"),
        ({"accumulate": 2, "engine": "gramian"}, "engine 'gramian' never holds the rows that accumulate= needs"),
        ({"accumulate": 2, "rule": "modo"}, "does not go with rule modo"),
        ({"precision": "bf17"}, "did you mean 'bf16'"),
        ({"precision": "bf16"}, "precision 'bf16' mixes with float32, and the parameters are torch.float64"),
        ({"average": 1.0}, r"average must be in \[0, 1\), found 1.0"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"lr": lambda step: 0.1, "scheduler": schedules.get("cosine", 3)}, "would both set the learning rate"),
        ({"distributed": True}, "torch.distributed has not been initialised"),
    ],
)
def test_options_that_exclude_each_other_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        trainer(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 2}, "waits for the validation data, and there are none"),
        ({"scheduler": schedules.get("plateau", 3)}, "a plateau is one of the validation data"),
        ({"log_every": 2}, "needs a folder to write to"),
        ({"tensorboard": True}, "log_every is 0"),
    ],
)
def test_what_an_option_needs_is_asked_for_before_training(options, message):
    with pytest.raises(InputError, match=message):
        trainer(**options).fit(made())
    with pytest.raises(InputError, match="give data for each task"):
        trainer().fit({"a": made()})
    with pytest.raises(InputError, match="did you mean 'cosine'"):
        schedules.get("cosin", 3)
    with pytest.raises(InputError, match="unknown parameter of schedule 'cosine'"):
        schedules.get("cosine", 3, flor=1.0)
