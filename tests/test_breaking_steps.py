"""Attempts to break a Balancer: networks, losses and users that do what nobody thought of."""

import copy
import math
import shutil
import warnings

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from moo_mtl import Balancer, Needs, Weighing, rules
from moo_mtl.engines import ENGINES, looped
from moo_mtl.errors import InputError, MooMtlError, NonFiniteError
from moo_mtl.rules import ZOO
from moo_mtl.rules.rule import Rule
from moo_mtl.state import flatten

EXACT = [name for name in ENGINES if name != "features"]
K = 3


class Net(nn.Module):
    """A dense trunk and three heads, in float64."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Linear(4, 6), nn.Tanh())
        self.heads = nn.ModuleList(nn.Linear(6, 2) for _ in range(K))
        self.double()
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(7, 4, generator=generator, dtype=torch.float64)
        self.y = torch.randn(K, 7, 2, generator=generator, dtype=torch.float64)

    def losses(self, z=None):
        z = self.trunk(self.x) if z is None else z
        return torch.stack([(head(z) - y).square().mean() for head, y in zip(self.heads, self.y, strict=True)])

    def written(self):
        return [None if p.grad is None else p.grad.clone() for p in self.parameters()]


def same(ours, theirs, rtol=1e-10, atol=1e-13):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


def remembered(balancer):
    """All that the next step depends on, flat."""
    saved = balancer.state_dict()
    return {**saved.pop("rule"), **{f"kept {name}": tensor for name, tensor in saved.pop("kept").items()}}, saved


def assert_untouched(balancer, net, before, gradients):
    tensors, rest = remembered(balancer)
    if balancer.step == 0:  # until a step is taken the next call may name the tasks anew
        rest["tasks"], before[1]["tasks"] = [], []
    assert rest == before[1]
    assert tensors.keys() == before[0].keys()
    assert all(torch.equal(tensors[name], before[0][name]) for name in tensors)
    same(net.written(), gradients, rtol=0, atol=0)


# Parameters that change their part


def test_freezing_a_part_of_the_trunk_asks_for_a_new_balancer():
    """Zeros in ``.grad`` would not keep it in its place: momentum and weight decay move it all the same."""
    net = Net()
    balancer = Balancer(rules.mgda(), net.trunk)
    balancer.backward(net.losses())
    net.trunk[0].weight.requires_grad_(False)
    with pytest.raises(InputError, match=r"shape \(6, 4\) has been frozen since"):
        balancer.backward(net.losses())
    net.trunk[0].weight.requires_grad_(True)
    balancer.backward(net.losses())


def test_unfreezing_a_part_of_the_trunk_asks_for_a_new_balancer():
    """It was left out of ``shared``, and would pass for some task's own parameter."""
    net = Net()
    net.trunk[0].bias.requires_grad_(False)
    balancer = Balancer(rules.mgda(), net.trunk)
    balancer.backward(net.losses())
    net.trunk[0].bias.requires_grad_(True)
    with pytest.raises(InputError, match=r"shape \(6,\) has been unfrozen since"):
        balancer.backward(net.losses())


def test_a_balancer_of_another_model_is_named_after_the_first_step_too():
    """A loop over folds that builds the model anew and keeps the balancer would train on heads alone."""
    first, second = Net(), Net()
    balancer = Balancer(rules.mgda(), first.trunk)
    balancer.backward(first.losses())
    with pytest.raises(InputError, match="no loss depends on any of the shared parameters"):
        balancer.backward(second.losses())
    assert all(p.grad is None for p in second.parameters())


def test_a_step_without_the_trunk_may_come_later():
    net = Net()
    balancer = Balancer(rules.mgda(), net.trunk)
    balancer.backward(dict(zip("ab", net.losses()[:2], strict=True)))
    balancer.backward({"b": net.heads[1](torch.ones(1, 6, dtype=torch.float64)).sum()})
    assert not net.trunk[0].weight.grad.any()
    assert net.heads[1].weight.grad.any()


def test_a_copied_balancer_goes_with_the_copied_model():
    net = Net()
    balancer = Balancer(rules.db_mtl(), net.trunk)
    balancer.backward(net.losses())
    twin, other = copy.deepcopy((net, balancer))
    balancer.backward(net.losses())
    other.backward(twin.losses())
    same(twin.written(), net.written(), rtol=0, atol=0)
    assert all(p.grad is not None for p in twin.parameters())


def test_two_balancers_may_look_at_the_same_losses():
    net = Net()
    values = net.losses()
    one, other = Balancer(rules.mgda(), net.trunk), Balancer(rules.db_mtl(), net.trunk)
    one.backward(values, retain_graph=True)
    first = net.written()
    other.backward(values, retain_graph=True)
    one.backward(values)
    same(net.written(), first, rtol=1e-12)


# Networks


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
def test_tasks_that_share_operations_and_yet_have_no_common_part(engine):
    """A tied weight forbids to cut the graph anywhere, so that each pass runs through what the next one needs as well."""

    def losses(net):
        z = net.trunk(net.x)
        return torch.stack([(z @ net.trunk[0].weight).square().sum(), (net.heads[0](z) - net.y[0]).square().sum(), z.sum()])

    net, plain = Net(), Net()
    report = Balancer(rules.mgda(), net.trunk, engine=engine).backward(losses(net))
    if engine != "features":
        expected = Balancer(rules.mgda(), plain.trunk, engine="looped").backward(losses(plain))
        torch.testing.assert_close(report.weights, expected.weights, rtol=1e-9, atol=1e-12)
        same(net.written(), plain.written())


@pytest.mark.parametrize("engine", [*EXACT, "auto"])
def test_a_head_of_two_tasks_and_a_trunk_used_twice(engine):
    def losses(net):
        z = net.trunk(net.x)
        again = net.trunk(net.x.flip(0))
        return torch.stack([net.heads[0](z).square().sum(), net.heads[0](z + again).cos().sum(), net.heads[1](again).sum()])

    net, plain = Net(), Net()
    report = Balancer(rules.mgda(), net.trunk, engine=engine, heads="raw").backward(losses(net))
    expected = looped(losses(plain), list(plain.trunk.parameters())).direction(report.weights)
    torch.testing.assert_close(torch.cat([p.grad.flatten() for p in net.trunk.parameters()]), expected, rtol=1e-9, atol=1e-12)
    plain_total = losses(plain).sum()
    torch.testing.assert_close(net.heads[0].weight.grad, torch.autograd.grad(plain_total, plain.heads[0].weight)[0])


@pytest.mark.parametrize("rule", ["equal", "mgda", "db-mtl"])
def test_a_reentrant_checkpoint_in_a_head_is_refused(rule):
    """It hides the head's parameters; they would receive the unweighted gradient, on top of that of the step before."""
    net = Net()
    net.losses().sum().backward()
    balancer = Balancer(rules.get(rule), net.trunk)
    before, gradients = remembered(balancer), net.written()
    z = net.trunk(net.x)
    outputs = [net.heads[0](z), checkpoint(net.heads[1], z, use_reentrant=True), net.heads[2](z)]
    values = torch.stack([(output - y).square().mean() for output, y in zip(outputs, net.y, strict=True)])
    with pytest.raises(InputError, match=r"re-entrant checkpoint hides a parameter of shape \(2, 6\).*use_reentrant=False"):
        balancer.backward(values)
    assert_untouched(balancer, net, before, gradients)


@pytest.mark.parametrize("rule", ["equal", "mgda", "db-mtl"])
def test_heads_in_checkpoints_that_are_not_reentrant(rule):
    net, plain = Net(), Net()
    z = net.trunk(net.x)
    outputs = [checkpoint(head, z, use_reentrant=False) for head in net.heads]
    Balancer(rules.get(rule), net.trunk).backward(
        torch.stack([(output - y).square().mean() for output, y in zip(outputs, net.y, strict=True)])
    )
    Balancer(rules.get(rule), plain.trunk).backward(plain.losses())
    same(net.written(), plain.written())


@pytest.mark.parametrize("rule", ["equal", "mgda", "db-mtl"])
def test_sparse_embeddings_are_those_written_dense(rule):
    gradients = []
    for sparse in (True, False):
        torch.manual_seed(0)
        trunk, own = nn.Embedding(9, 4, sparse=sparse).double(), nn.Embedding(9, 4, sparse=sparse).double()
        z, q = trunk(torch.tensor([1, 2, 2])), own(torch.tensor([0, 1, 0]))
        Balancer(rules.get(rule), trunk).backward(torch.stack([z.square().sum(), (z * q).square().sum() + 1]))
        gradients.append([trunk.weight.grad, own.weight.grad.to_dense()])
    same(*gradients, rtol=1e-12)


@pytest.mark.parametrize("engine", ["vmapped", "gramian", "features", "products"])
def test_engines_that_cannot_take_sparse_embeddings_say_so(engine):
    trunk = nn.Embedding(9, 4, sparse=True)
    z = trunk(torch.tensor([1, 2]))
    with pytest.raises(InputError, match=f"engine '{engine}' cannot take sparse"):
        Balancer(rules.mgda(), trunk, engine=engine).backward(torch.stack([z.sum(), z.square().sum()]))


def test_complex_parameters_are_refused():
    with pytest.raises(InputError, match="shared holds a complex parameter"):
        Balancer(rules.mgda(), [nn.Parameter(torch.ones(2, dtype=torch.complex64))])


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
def test_operations_in_place_are_followed_or_named_by_torch(engine):
    net, plain = Net(), Net()
    balancer = Balancer(rules.mgda(), net.trunk, engine=engine)
    balancer.backward(net.losses(torch.relu_(net.trunk[0](net.x))))
    report = Balancer(rules.mgda(), plain.trunk, engine=engine).backward(plain.losses(torch.relu(plain.trunk[0](plain.x))))
    same(net.written(), plain.written())
    assert report.weights.isfinite().all()
    before, gradients = remembered(balancer), net.written()
    z = net.trunk(net.x)
    values = net.losses(z)
    with torch.no_grad():
        z.add_(1)  # tanh's backward pass needs what stood there
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        balancer.backward(values)
    assert_untouched(balancer, net, before, gradients)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.parametrize("rule", ["equal", "mgda"])
def test_whole_models_compiled(backend, rule):
    """Trunk and heads are one operation then, whose buffers torch gives away at the first pass, unless told not to."""
    if backend == "inductor" and shutil.which("g++") is None:
        pytest.skip("inductor compiles C++, and there is no compiler")
    net, plain = Net(), Net()
    balancer, expected = Balancer(rules.get(rule), net.trunk), Balancer(rules.get(rule), plain.trunk)
    import torch._functorch.config as functorch

    with warnings.catch_warnings(), functorch.patch(donated_buffer=False):
        warnings.simplefilter("ignore")  # the compiler's own
        run = torch.compile(net.losses, backend=backend)
        for _ in range(2):
            balancer.backward(run())
    for _ in range(2):
        expected.backward(plain.losses())
    same(net.written(), plain.written(), rtol=1e-7, atol=1e-9)


def test_a_compiled_model_whose_buffers_are_given_away_says_what_to_set():
    net = Net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = torch.compile(net.losses, backend="aot_eager")()
        with pytest.raises(InputError, match="donated_buffer = False before"):
            Balancer(rules.mgda(), net.trunk).backward(values)


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
@pytest.mark.parametrize("shape", [(0, 4), (1, 4)])
def test_a_batch_of_nothing_gives_no_gradient(engine, shape):
    net = Net()
    z = net.trunk(torch.ones(shape, dtype=torch.float64))
    report = Balancer(rules.mgda(), net.trunk, engine=engine).backward(torch.stack([z.sum(), z.square().sum(), z.exp().sum()]))
    assert report.weights.isfinite().all()
    assert bool(net.trunk[0].weight.grad.any()) == (shape[0] > 0)


# Losses


def scaled(net, factors):
    return net.losses() * torch.tensor(factors, dtype=torch.float64)


DRIVEN = [
    name
    for name, recipe in ZOO.items()
    if not recipe.factory().needs & (Needs.POPULATION | Needs.CROSS) and recipe.min_tasks <= K <= (recipe.max_tasks or K)
]
FACTORS = {
    "vanish": [(1.0, 10.0**-e, 1.0) for e in (3, 30, 60)],
    "explode": [(1.0, 10.0**e, 1.0) for e in (3, 30, 60)],
    "reach zero": [(1.0, 1.0, 1.0), (1.0, 0.0, 1.0), (0.0, 0.0, 0.0)],
    "turn negative": [(1.0, 1.0, 1.0), (1.0, -1.0, 1.0), (-1.0, -1.0, -1.0)],
    "leave float64": [(1.0, 1e308, 1.0), (1e200, 1e-200, 1.0), (1.0, 1e160, 1e-300)],
}


@pytest.mark.filterwarnings("ignore:famo learns from the losses after")
@pytest.mark.parametrize("fate", FACTORS)
@pytest.mark.parametrize("name", DRIVEN)
def test_whatever_losses_do_a_step_is_finite_or_refused_by_name(name, fate):
    """A refused step leaves gradients and state as they were, and the next ordinary step is taken.

    After losses near the end of float64 a memory of them may be too large to be squared; then every step is refused.
    """
    net = Net()
    balancer = Balancer(rules.get(name), net.trunk)
    balancer.epoch = 1
    preference = torch.ones(K, dtype=torch.float64) / K
    for factors in [*FACTORS[fate], (1.0, 1.0, 1.0)]:
        before, gradients, refusal = remembered(balancer), net.written(), ""
        try:
            balancer.backward(scaled(net, factors), preference=preference)
        except MooMtlError as error:
            refusal = str(error)
            assert_untouched(balancer, net, before, gradients)
        else:
            assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
        assert len(refusal.splitlines()) <= 1
        assert not refusal or factors != (1.0, 1.0, 1.0) or fate == "leave float64", refusal
        assert all(leaf.isfinite().all() for leaf in flatten(balancer._carried.state or ()).values())


def test_cov_lives_on_after_a_loss_of_any_size():
    """It remembers how losses compare with the mean of those before; a ratio of 1e200 could not be squared."""
    net = Net()
    balancer = Balancer(rules.get("cov"), net.trunk)
    for factors in [(1e152, 1e-200, 1.0)] * 2 + [(1.0, 1.0, 1.0)] * 2:
        balancer.backward(scaled(net, factors))
        assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.filterwarnings("ignore:famo learns from the losses after")
@pytest.mark.parametrize("name", DRIVEN)
def test_a_task_that_disappears_and_comes_back(name):
    net = Net()
    balancer = Balancer(rules.get(name), net.trunk)
    balancer.epoch = 1
    preference = torch.ones(K, dtype=torch.float64) / K
    for step in range(6):
        values = dict(zip("abc", net.losses(), strict=True))
        if step in (2, 3):
            del values["b"]
        report = balancer.backward(values, preference=preference)
        assert report.weights.isfinite().all()
        assert (report.weights[1] == 0) or step not in (2, 3)
        assert all(leaf.isfinite().all() for leaf in flatten(balancer._carried.state).values())


# Failures in the middle


def test_a_first_step_that_failed_names_no_task():
    net = Net()
    balancer = Balancer(rules.mgda(), net.trunk)
    with pytest.raises(NonFiniteError):
        balancer.backward({"left": net.losses()[0] * math.nan, "right": net.losses()[1]})
    with pytest.raises(InputError, match="shapes"):
        balancer.backward({"one": net.losses()[0], "two": net.losses()})
    report = balancer.backward({"first": net.losses()[0], "second": net.losses()[1], "third": net.losses()[2]})
    assert report.tasks == ("first", "second", "third")


class Forgetful(Rule):
    """Remembers a number that overflows at the second step, while its weights stay finite."""

    name, needs = "forgetful", Needs.GRAMIAN

    def init(self, obs):
        return (torch.ones(obs.n_tasks, dtype=torch.float64),)

    def weigh(self, obs, state):
        return Weighing(torch.ones_like(obs.losses)), (state[0] * 1e200,)


def test_a_state_that_is_not_finite_is_never_carried():
    net = Net()
    balancer = Balancer(Forgetful(), net.trunk)
    balancer.backward(net.losses())
    before, gradients = remembered(balancer), net.written()
    with pytest.raises(NonFiniteError, match="what the rule would remember"):
        balancer.backward(net.losses())
    assert_untouched(balancer, net, before, gradients)


class Interrupted(Rule):
    name, needs = "interrupted", Needs.GRAMIAN

    def weigh(self, obs, state):
        if obs.step == 2:
            raise KeyboardInterrupt
        return Weighing(torch.ones_like(obs.losses)), state


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
def test_ctrl_c_in_the_middle_of_a_step_changes_nothing(engine):
    net = Net()
    balancer = Balancer(Interrupted(), net.trunk, engine="looped" if engine == "products" else engine)
    balancer.backward(net.losses())
    before, gradients = remembered(balancer), net.written()
    with pytest.raises(KeyboardInterrupt):
        balancer.backward(net.losses())
    assert_untouched(balancer, net, before, gradients)


@pytest.mark.parametrize("hidden", [False, True])
def test_an_exception_in_the_backward_pass_changes_nothing(hidden):
    class Explosive(torch.autograd.Function):
        armed = False

        @staticmethod
        def forward(_, x):
            return x.clone()

        @staticmethod
        def backward(_, gradient):
            if Explosive.armed:
                raise ValueError("in the middle of the pass")
            return gradient

    net = Net()
    balancer = Balancer(rules.mgda(), net.trunk)

    def losses():
        x = net.x.clone().requires_grad_()
        z = checkpoint(net.trunk, x, use_reentrant=True) if hidden else net.trunk(x)
        values = net.losses(z)
        return torch.stack([values[0], Explosive.apply(values[1]), values[2]])

    balancer.backward(losses())
    before, gradients = remembered(balancer), net.written()
    Explosive.armed = True
    with pytest.raises(ValueError, match="in the middle"):
        balancer.backward(losses())
    assert_untouched(balancer, net, before, gradients)
