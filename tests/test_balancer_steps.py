"""Micro-batches, gradient scalers, absent tasks, and whatever else can happen in the middle of a step."""

import gc
import warnings

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from moo_mtl import Balancer, Needs, Weighing, rules
from moo_mtl.engines import ENGINES, looped
from moo_mtl.errors import InputError, NonFiniteError
from moo_mtl.gramian import gramian
from moo_mtl.rules.rule import Rule
from tests.kinds import MoDo

EXACT = [name for name in ENGINES if name != "features"]
K = 3


class Net(nn.Module):
    """A dense trunk and three heads."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Linear(4, 20), nn.Tanh(), nn.Linear(20, 6), nn.Tanh())
        self.heads = nn.ModuleList(nn.Linear(6, 2) for _ in range(K))
        self.to(dtype)
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(12, 4, generator=generator, dtype=torch.float64).to(dtype)
        self.y = torch.randn(K, 12, 2, generator=generator, dtype=torch.float64).to(dtype)

    def losses(self, part=slice(None)):
        z = self.trunk(self.x[part])
        return torch.stack([(head(z) - y[part]).square().mean() for head, y in zip(self.heads, self.y, strict=True)])

    def written(self):
        return [None if p.grad is None else p.grad.clone() for p in self.parameters()]


def alive():
    """Tensors that somebody still holds."""
    gc.collect()
    return sum(type(thing) in (torch.Tensor, nn.Parameter) for thing in gc.get_objects())


def same(ours, theirs, rtol=1e-10, atol=1e-13):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


RULES = ["equal", "mgda", "edm", "db-mtl", "bmtl", "task-tensioner", "upgrad", "pcgrad"]


@pytest.mark.parametrize("engine", ["auto", "looped", "vmapped"])
@pytest.mark.parametrize("name", RULES)
def test_micro_batches_are_one_batch(name, engine):
    """Means over 5, 4 and 3 examples, weighted by those counts, are the mean over all 12."""
    whole, parts = Net(), Net()
    one = Balancer(rules.get(name), whole.trunk, engine=engine)
    many = Balancer(rules.get(name), parts.trunk, engine=engine)
    for _ in range(3):
        expected = one.backward(whole.losses())
        for part in (slice(0, 5), slice(5, 9)):
            waiting = many.backward(parts.losses(part), counts=part.stop - part.start, accumulate=True)
            assert waiting.weights.tolist() == [0.0] * K
        report = many.backward(parts.losses(slice(9, 12)), counts=3)
        torch.testing.assert_close(report.weights, expected.weights, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(report.losses, expected.losses, rtol=1e-12, atol=0)
        same(parts.written(), whole.written())
        for net in (whole, parts):
            with torch.no_grad():
                for p in net.parameters():
                    p -= 0.1 * p.grad
    assert many.step == one.step == 3


def test_a_task_may_be_absent_from_some_micro_batches():
    """The second task's labels are all in the second micro-batch; its loss in the first is the mean of nothing."""
    whole, parts = Net(), Net()
    values = [whole.losses()[0], whole.losses(slice(6, 12))[1], whole.losses()[2]]
    expected = Balancer(rules.mgda(), whole.trunk, engine="looped").backward(torch.stack(values))
    balancer = Balancer(rules.mgda(), parts.trunk)
    first = parts.losses(slice(0, 6))
    first = torch.stack([first[0], (parts.heads[1](parts.trunk(parts.x[:0]))).square().mean(), first[2]])
    assert first[1].isnan()
    balancer.backward(first, counts=torch.tensor([6, 0, 6]), accumulate=True)
    report = balancer.backward(parts.losses(slice(6, 12)), counts={"0": 6, "1": 6, "2": 6})
    torch.testing.assert_close(report.weights, expected.weights, rtol=1e-10, atol=1e-12)
    same(parts.written(), whole.written())


@pytest.mark.parametrize("engine", ["gramian", "features", "products"])
def test_engines_without_rows_refuse_to_accumulate(engine):
    net = Net()
    with pytest.raises(InputError, match=f"engine '{engine}' never holds the rows that accumulate= needs"):
        Balancer(rules.mgda(), net.trunk, engine=engine).backward(net.losses(), accumulate=True)


def test_waiting_micro_batches_are_not_saved_and_leave_gradients_alone():
    net = Net()
    balancer = Balancer(rules.mgda(), net.trunk)
    balancer.backward(net.losses())
    before = net.written()
    balancer.backward(net.losses(slice(0, 6)), accumulate=True)
    same(net.written(), before, rtol=0, atol=0)
    with pytest.raises(InputError, match="save after the step"):
        balancer.state_dict()
    with pytest.raises(InputError, match="does not go with independent="):
        balancer.backward(net.losses(), independent=[net.losses()])
    with pytest.raises(InputError, match="must not be negative"):
        balancer.backward(net.losses(), counts=-1)


@pytest.mark.parametrize("name", [*RULES, "ema"])
def test_a_scaler_changes_nothing_but_the_scale_of_what_is_written(name):
    plain, scaled = Net(), Net()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    one, other = Balancer(rules.get(name), plain.trunk), Balancer(rules.get(name), scaled.trunk)
    sgd = [torch.optim.SGD(net.parameters(), lr=0.1) for net in (plain, scaled)]
    for _ in range(3):
        expected, found = one.backward(plain.losses()), other.backward(scaled.losses(), scaler=scaler)
        torch.testing.assert_close(found.weights, expected.weights, rtol=1e-12, atol=0)
        same(scaled.written(), [1024 * g for g in plain.written()], rtol=1e-12)
        sgd[0].step()
        scaler.step(sgd[1])
        scaler.update()
    same(scaled.parameters(), plain.parameters(), rtol=1e-12)


@pytest.mark.parametrize("engine", EXACT)
def test_every_engine_carries_the_scale(engine):
    plain, scaled = Net(), Net()
    expected = Balancer(rules.mgda(), plain.trunk, engine=engine).backward(plain.losses())
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    found = Balancer(rules.mgda(), scaled.trunk, engine=engine).backward(scaled.losses(), scaler=scaler)
    torch.testing.assert_close(found.weights, expected.weights, rtol=1e-10, atol=1e-12)
    same(scaled.written(), [256 * g for g in plain.written()])


@pytest.mark.parametrize("name", ["equal", "mgda", "db-mtl", "task-tensioner", "ema"])
def test_overflow_of_scaled_gradients_is_the_scaler_s_to_mend(name):
    net = Net(torch.float32)
    balancer = Balancer(rules.get(name), net.trunk)
    balancer.backward(net.losses())
    state = balancer.state_dict()
    parameters = [p.detach().clone() for p in net.parameters()]
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127 * 1.9, backoff_factor=2.0**-120)
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    report = balancer.backward(net.losses() * 1e3, scaler=scaler)
    assert not bool(report.finite)
    scaler.step(sgd)
    scaler.update()
    assert scaler.get_scale() < 2.0**9, "the scaler saw no overflow"
    same(net.parameters(), parameters, rtol=0, atol=0)
    after = balancer.state_dict()
    assert after["step"] == state["step"]
    assert after["skipped"] == 1
    assert all(torch.equal(after["rule"][path], state["rule"][path]) for path in state["rule"])
    assert bool(balancer.backward(net.losses(), scaler=scaler).finite)
    scaler.step(sgd)
    assert any(not torch.equal(p, q) for p, q in zip(net.parameters(), parameters, strict=True))


def test_a_loss_that_is_not_finite_is_no_overflow():
    net = Net()
    scaler = torch.amp.GradScaler("cpu")
    with pytest.raises(NonFiniteError, match="loss of task 1"):
        Balancer(rules.mgda(), net.trunk).backward(
            net.losses() * torch.tensor([1.0, torch.nan, 1.0], dtype=torch.float64), scaler=scaler
        )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("as_mapping", [True, False])
def test_an_absent_task_s_loss_may_be_anything(engine, as_mapping):
    """The mean over no examples is NaN, and so is its gradient; it must reach nothing."""
    net, alone = Net(), Net()
    z = net.trunk(net.x)
    values = [(head(z) - y).square().mean() for head, y in zip(net.heads, net.y, strict=True)]
    values[1] = net.heads[1](z[:0]).square().mean()
    present = torch.tensor([True, False, True])
    losses = {str(k): value for k, value in enumerate(values)} if as_mapping else torch.stack(values)
    report = Balancer(rules.mgda(), net.trunk, engine=engine).backward(losses, present=present)
    assert report.weights[1] == 0
    expected = looped(alone.losses(), list(alone.trunk.parameters())).direction(report.weights)
    torch.testing.assert_close(torch.cat([p.grad.flatten() for p in net.trunk.parameters()]), expected, rtol=1e-9, atol=1e-12)
    assert all(p.grad is None or not p.grad.any() for p in net.heads[1].parameters())


@pytest.mark.parametrize("name", ["equal", "bmtl", "ema"])
def test_loss_only_rules_leave_absent_tasks_alone_too(name):
    net = Net()
    z = net.trunk(net.x)
    values = torch.stack(
        [net.heads[0](z).square().mean(), net.heads[1](z[:0]).square().mean(), net.heads[2](z).square().mean()]
    )
    Balancer(rules.get(name), net.trunk).backward(values, present=torch.tensor([True, False, True]))
    assert all(p.grad.isfinite().all() for p in net.trunk.parameters())


@pytest.mark.parametrize("engine", ENGINES)
def test_one_task_alone_is_that_task(engine):
    net = Net()
    (expected,) = torch.autograd.grad(net.losses()[0], net.trunk[0].weight)
    report = Balancer(rules.mgda(), net.trunk, engine=engine).backward(net.losses(), present=torch.tensor([True, False, False]))
    assert report.weights.tolist() == [1.0, 0.0, 0.0]
    torch.testing.assert_close(net.trunk[0].weight.grad, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("engine", ["looped", "vmapped", "auto"])
def test_cross_gramians_come_from_every_engine_with_rows(engine):
    net, plain = Net(), Net()
    first, second = slice(0, 6), slice(6, 12)
    report = Balancer(MoDo(), net.trunk, engine=engine).backward(net.losses(first), independent=[net.losses(second)])
    expected = Balancer(MoDo(), plain.trunk, engine="looped").backward(plain.losses(first), independent=[plain.losses(second)])
    torch.testing.assert_close(report.weights, expected.weights, rtol=1e-10, atol=1e-12)
    same(net.written(), plain.written())


def test_the_representation_may_be_named():
    net, plain = Net(), Net()
    z = net.trunk(net.x)
    values = torch.stack([(head(z) - y).square().mean() for head, y in zip(net.heads, net.y, strict=True)])
    report = Balancer(rules.mgda(), net.trunk, engine="features").backward(values, features=z)
    expected = Balancer(rules.mgda(), plain.trunk, engine="features").backward(plain.losses())
    torch.testing.assert_close(report.weights, expected.weights, rtol=1e-10, atol=1e-12)
    same(net.written(), plain.written())


class Faulty(Rule[tuple[()]]):
    name, needs = "faulty", Needs.GRAMIAN

    def weigh(self, obs, state):
        if obs.step == 2:
            raise RuntimeError("the rule itself fails")
        return Weighing(torch.ones_like(obs.losses)), state


def test_an_exception_in_the_middle_leaves_everything_as_it_was():
    net = Net()
    balancer = Balancer(Faulty(), net.trunk)
    balancer.backward(net.losses())
    before, step = net.written(), balancer.step
    with pytest.raises(RuntimeError, match="itself fails"):
        balancer.backward(net.losses())
    same(net.written(), before, rtol=0, atol=0)
    assert balancer.step == step


@pytest.mark.parametrize("engine", EXACT)
def test_backward_twice_writes_the_same_again(engine):
    net = Net()
    values, balancer = net.losses(), Balancer(rules.mgda(), net.trunk, engine=engine)
    balancer.backward(values, retain_graph=True)
    first = net.written()
    balancer.backward(values)
    same(net.written(), first, rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_frozen_parameters_stay_frozen(engine):
    net, free = Net(), Net()
    net.trunk[0].weight.requires_grad_(False)
    net.heads[2].bias.requires_grad_(False)
    report = Balancer(rules.mgda(), net.trunk, engine=engine).backward(net.losses())
    assert net.trunk[0].weight.grad is None
    assert net.heads[2].bias.grad is None
    direction = looped(free.losses(), [free.trunk[0].bias]).direction(report.weights)
    torch.testing.assert_close(net.trunk[0].bias.grad, direction, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rule", ["equal", "mgda", "db-mtl"])
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_trunks(reentrant, rule):
    """A re-entrant checkpoint hides its parameters from the graph; ``autograd.grad`` would find nothing there."""
    net, plain = Net(), Net()
    z = checkpoint(net.trunk, net.x.clone().requires_grad_(), use_reentrant=reentrant)
    values = torch.stack([(head(z) - y).square().mean() for head, y in zip(net.heads, net.y, strict=True)])
    report = Balancer(rules.get(rule), net.trunk).backward(values)
    expected = Balancer(rules.get(rule), plain.trunk).backward(plain.losses())
    torch.testing.assert_close(report.weights, expected.weights, rtol=1e-10, atol=1e-12)
    same(net.written(), plain.written())


@pytest.mark.parametrize("engine", ["vmapped", "gramian", "features", "products"])
def test_engines_that_would_find_nothing_in_a_reentrant_checkpoint_say_so(engine):
    net = Net()
    z = checkpoint(net.trunk, net.x.clone().requires_grad_(), use_reentrant=True)
    values = torch.stack([(head(z) - y).square().mean() for head, y in zip(net.heads, net.y, strict=True)])
    with pytest.raises(InputError, match=f"engine '{engine}'.*re-entrant checkpoint"):
        Balancer(rules.mgda(), net.trunk, engine=engine).backward(values)


def test_compiled_trunks():
    net, plain = Net(), Net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's own
        z = torch.compile(net.trunk, backend="aot_eager")(net.x)
    values = torch.stack([(head(z) - y).square().mean() for head, y in zip(net.heads, net.y, strict=True)])
    balancer = Balancer(rules.mgda(), net.trunk)
    report = balancer.backward(values)
    assert balancer.chosen[0] == "looped"
    expected = Balancer(rules.mgda(), plain.trunk).backward(plain.losses())
    torch.testing.assert_close(report.weights, expected.weights, rtol=1e-10, atol=1e-12)
    same(net.written(), plain.written())


@pytest.mark.parametrize("engine", ["auto", "looped", "vmapped", "gramian", "features"])
def test_autocast_to_bfloat16(engine):
    """Losses and parameters are float32 there, the trunk's arithmetic is not."""
    net = Net(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = net.trunk(net.x)
        assert z.dtype == torch.bfloat16
        values = torch.stack([nn.functional.mse_loss(head(z).float(), y) for head, y in zip(net.heads, net.y, strict=True)])
    rows = looped(values, list(net.trunk.parameters()), retain_graph=True).rows
    report = Balancer(rules.mgda(), net.trunk, engine=engine).backward(values)
    written = torch.cat([p.grad.flatten() for p in net.trunk.parameters()])
    torch.testing.assert_close(written, report.weights @ rows, rtol=0.05, atol=0.02 * float(rows.abs().max()))
    assert written.dtype == torch.float32


@pytest.mark.parametrize("engine", ["looped", "vmapped", "gramian"])
def test_bfloat16_networks_are_seen_in_float32_at_least(engine):
    net = Net(torch.bfloat16)
    values = net.losses()
    rows = looped(values, list(net.trunk.parameters()), retain_graph=True).rows
    report = Balancer(rules.mgda(), net.trunk, engine=engine).backward(values)
    assert rows.dtype == torch.float32
    torch.testing.assert_close(report.norms, gramian(rows).diagonal().sqrt(), rtol=0.02, atol=0)
    assert all(p.grad.dtype == torch.bfloat16 for p in net.parameters())


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
def test_no_graph_survives_a_step(engine):
    net = Net()
    balancer = Balancer(rules.mgda(), net.trunk, engine=engine)

    def step(part=slice(None)):
        balancer.backward(net.losses(part))

    for _ in range(3):
        step()
    before = alive()
    for _ in range(20):
        step()
    assert alive() == before


def test_accumulating_keeps_no_graph_either():
    net = Net()
    balancer = Balancer(rules.mgda(), net.trunk)

    balancer.backward(net.losses(), accumulate=True)
    before = alive()
    for _ in range(20):
        balancer.backward(net.losses(), accumulate=True)
    assert alive() <= before + 2
