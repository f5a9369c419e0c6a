"""Every exact engine gives the same Gramian, direction and gradients of the heads, on every build of network."""

from functools import partial

import pytest
import torch
from torch import nn

from moo_mtl import Balancer, rules, solvers
from moo_mtl.engines import ENGINES, Behind, NotBatchedError, features, layered, looped, vmapped
from moo_mtl.engines.convolution import convolution_at
from moo_mtl.engines.products import products
from moo_mtl.errors import InputError
from moo_mtl.gramian import gramian
from tests.networks import NETWORKS, TASKS

EXACT = {
    "vmapped": vmapped,
    "gramian, batched": lambda *args: layered(*args, batched=True),
    "gramian, one by one": lambda *args: layered(*args, batched=False),
}


def built(name):
    torch.manual_seed(0)
    shared, losses = NETWORKS[name]()
    ours = {id(parameter) for parameter in shared}
    own = [leaf for leaf in Behind.of(losses()).leaves if id(leaf) not in ours]
    return shared, own, losses


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("name", NETWORKS)
def test_exact_engines_agree_with_k_backward_passes(name, engine):
    shared, own, losses = built(name)
    plain, look = looped(losses(), shared, own), EXACT[engine](losses(), shared, own)
    expected = gramian(plain.rows)
    found = gramian(look.rows) if look.gramian is None else look.gramian
    scale = float(expected.diagonal().max())
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10 * scale)
    weights = torch.tensor([0.2, -0.7, 1.9], dtype=torch.float64)
    torch.testing.assert_close(look.direction(weights), plain.direction(weights), rtol=1e-10, atol=1e-10 * scale**0.5)
    assert own or name == "losses_of_one_tensor"
    for ours, theirs in zip(look.own(weights), plain.own(weights), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_features_give_the_representation_s_gramian_and_the_exact_direction(name):
    shared, own, losses = built(name)
    plain, look = looped(losses(), shared, own), features(losses(), shared, own)
    weights = torch.tensor([0.2, 0.7, 1.9], dtype=torch.float64)
    torch.testing.assert_close(look.direction(weights), plain.direction(weights), rtol=1e-10, atol=1e-12)
    assert look.gramian.shape == (TASKS, TASKS)
    for ours, theirs in zip(look.own(weights), plain.own(weights), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_features_gramian_is_over_all_samples():
    torch.manual_seed(0)
    trunk, heads = nn.Linear(4, 3).double(), [nn.Linear(3, 1).double() for _ in range(2)]
    z = trunk(torch.randn(7, 4, dtype=torch.float64)).tanh()
    values = torch.stack([head(z).square().mean() for head in heads])
    rows = torch.stack([torch.autograd.grad(value, z, retain_graph=True)[0].flatten() for value in values])
    look = features(values, list(trunk.parameters()), [p for head in heads for p in head.parameters()])
    torch.testing.assert_close(look.gramian, gramian(rows), rtol=1e-12, atol=0)


def test_dense_layers_are_never_formed_as_rows():
    """The Gramian engine on a wide layer allocates less than the rows would need."""
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(600, 700), nn.Tanh())
    heads = nn.ModuleList(nn.Linear(700, 1) for _ in range(8))
    z = trunk(torch.randn(16, 600))
    values = torch.stack([head(z).square().mean() for head in heads])
    with torch.profiler.profile(profile_memory=True) as profile:
        look = layered(values, list(trunk.parameters()), list(heads.parameters()))
        look.direction(torch.ones(8))
    largest = max(event.cpu_memory_usage for event in profile.events())
    rows = 8 * 600 * 700 * 4
    assert largest < rows / 2


CONVOLUTIONS = {
    "plain": lambda: (nn.Conv2d(3, 5, 3), (6, 3, 9, 7)),
    "strided, padded, no bias": lambda: (nn.Conv2d(3, 5, (3, 2), stride=(2, 3), padding=(1, 2), bias=False), (6, 3, 9, 8)),
    "dilated": lambda: (nn.Conv2d(4, 6, 3, dilation=(2, 1), padding="same"), (5, 4, 8, 8)),
    "sequences": lambda: (nn.Conv1d(3, 4, 5, stride=2), (6, 3, 30)),
    "volumes": lambda: (nn.Conv3d(2, 3, 2, padding=1), (3, 2, 4, 5, 6)),
    "many parts": lambda: (nn.Conv2d(2, 3, 5), (7, 2, 80, 80)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_gives_all_weight_gradients_in_one_product(name):
    torch.manual_seed(0)
    layer, shape = CONVOLUTIONS[name]()
    layer.double()
    y = layer(torch.randn(shape, dtype=torch.float64))
    delta = torch.randn(4, *y.shape, dtype=torch.float64)
    known = convolution_at(y.grad_fn)
    assert known.out == list(y.shape[2:])
    rows = known.rows(delta)
    for task, gradient in enumerate(delta):
        expected = torch.autograd.grad(y, list(layer.parameters()), gradient, retain_graph=True)
        for row, one in zip(rows, expected, strict=True):
            torch.testing.assert_close(row[task], one, rtol=1e-12, atol=1e-11)


def test_a_model_that_cannot_be_batched_is_looped_with_one_notice():
    class Awkward(torch.autograd.Function):
        @staticmethod
        def forward(_, x):
            return x * 2

        @staticmethod
        def backward(_, gradient):
            return torch.from_numpy(gradient.numpy() * 2)

    layer = nn.Linear(3, 3)

    def losses():
        z = Awkward.apply(layer(torch.ones(4, 3)))
        return torch.stack([(z - target).square().mean() for target in range(6)])

    with pytest.raises(NotBatchedError):
        vmapped(losses(), list(layer.parameters()))
    for engine in ("vmapped", "auto"):
        balancer = Balancer(rules.mgda(), layer, engine=engine)
        with pytest.warns(UserWarning, match="engine 'vmapped': this model cannot be batched"):
            first = balancer.backward(losses())
        second = balancer.backward(losses())  # a second notice would be an error
        assert first.engine == second.engine == balancer.chosen
        assert first.engine.name == "looped"
        assert "cannot be batched" in first.engine.why
        expected = looped(losses(), list(layer.parameters())).direction(second.weights)
        torch.testing.assert_close(torch.cat([p.grad.flatten() for p in layer.parameters()]), expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_balancer_takes_every_engine(engine):
    torch.manual_seed(0)
    shared, losses = NETWORKS["mlp"]()
    balancer = Balancer(rules.mgda(), shared, engine=engine)
    report = balancer.backward(losses())
    assert balancer.chosen == (engine, "as asked")
    written = [parameter.grad.clone() for parameter in shared]
    expected = looped(losses(), shared, ()).direction(report.weights)
    torch.testing.assert_close(torch.cat([g.flatten() for g in written]), expected, rtol=1e-9, atol=1e-12)


def dense(width, batch, n_tasks):
    trunk = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
    heads = nn.ModuleList(nn.Linear(width, 1) for _ in range(n_tasks))
    x = torch.randn(batch, width)

    def losses():
        z = trunk(x)
        return torch.stack([(head(z) - 1).square().mean() for head in heads])

    return list(trunk.parameters()), losses


@pytest.mark.parametrize(
    ("build", "for_gramian", "for_rows"),
    [
        (lambda: dense(16, 32, 2), "looped", "looped"),
        (lambda: dense(16, 32, 8), "vmapped", "vmapped"),
        (lambda: dense(128, 256, 8), "looped", "looped"),
        (lambda: dense(400, 8, 3), "gramian", "looped"),
        (lambda: dense(400, 2048, 3), "looped", "looped"),
        (NETWORKS["lenet"], "looped", "looped"),
        (NETWORKS["resnet"], "gramian", "looped"),
    ],
    ids=["two small tasks", "small", "large batch", "wide, small batch", "wide, large batch", "lenet", "narrow resnet"],
)
def test_auto_looks_at_operations_and_sizes_and_says_why(build, for_gramian, for_rows):
    shared, losses = build()
    for rule, engine in ((rules.mgda(), for_gramian), (rules.db_mtl(), for_rows)):
        balancer = Balancer(rule, shared)
        report = balancer.backward(losses())
        assert report.engine == balancer.chosen
        assert report.engine.name == engine
        assert len(report.engine.why.split()) > 5


def test_engines_without_rows_refuse_rules_and_options_that_need_them():
    shared, losses = NETWORKS["mlp"]()
    with pytest.raises(InputError, match="engine 'gramian' never holds the rows that rule db-mtl needs"):
        Balancer(rules.db_mtl(), shared, engine="gramian").backward(losses())
    with pytest.raises(InputError, match="groups= and gramian_of= need"):
        Balancer(rules.mgda(), shared, engine="features", groups=[shared[:2], shared[2:]]).backward(losses())
    with pytest.raises(InputError, match="certifies nothing"):
        Balancer(rules.mgda(), shared, engine="features", certify_every=1)


@pytest.mark.parametrize("name", NETWORKS)
def test_products_are_products_with_the_gramian(name):
    shared, own, losses = built(name)
    plain, look = looped(losses(), shared, own), products(losses(), shared, own)
    weights = torch.tensor([0.2, -0.7, 1.9], dtype=torch.float64)
    expected = gramian(plain.rows) @ weights
    torch.testing.assert_close(look.product(weights), expected, rtol=1e-9, atol=1e-10 * float(expected.abs().max()))
    torch.testing.assert_close(look.direction(weights), plain.direction(weights), rtol=1e-10, atol=1e-12)
    for ours, theirs in zip(look.own(weights), plain.own(weights), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


BY_PRODUCTS = {
    "min-norm": (solvers.min_norm, solvers.min_norm_by_products),
    "dualproj": (solvers.dualproj, solvers.dualproj_by_products),
    "cagrad": (partial(solvers.cagrad, c=0.4), partial(solvers.cagrad_by_products, c=0.4)),
}


def conflicting(n_tasks):
    """Random gradients less most of their mean: what is left of it is short beside them, and many tasks oppose it."""
    rows = torch.randn(n_tasks, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return rows - 0.9 * rows.mean(dim=0)


@pytest.mark.parametrize("name", BY_PRODUCTS)
def test_solvers_by_products_find_the_exact_direction(name):
    exact, by_products = BY_PRODUCTS[name]
    for n_tasks in (1, 2, 5, 20):
        rows = conflicting(n_tasks)
        G, asked = gramian(rows), []

        def product(w, G=G, asked=asked):
            asked.append(1)
            return G @ w

        expected = exact(G)
        found = by_products(product, n_tasks, tolerance=1e-9)
        assert bool(found.converged)
        torch.testing.assert_close(found.weights @ rows, expected.weights @ rows, rtol=1e-4, atol=1e-5)
        assert len(asked) <= n_tasks + 1
        asked.clear()
        again = by_products(product, n_tasks, guess=expected.weights)
        assert bool(again.converged)
        assert len(asked) <= (1 if name == "min-norm" else 2), "a good guess costs one product, and one for the mean"


@pytest.mark.parametrize("name", BY_PRODUCTS)
def test_solvers_by_products_leave_absent_tasks_out_and_say_when_they_are_not_exact(name):
    exact, by_products = BY_PRODUCTS[name]
    rows = conflicting(6)
    present = torch.tensor([True, True, False, True, False, True])
    found = by_products(lambda w: gramian(rows) @ w, 6, present=present, tolerance=1e-9)
    expected = exact(gramian(rows), present=present)
    torch.testing.assert_close(found.weights, expected.weights, rtol=1e-4, atol=1e-5)
    noisy = by_products(lambda w: gramian(rows + 0.3 * torch.randn_like(rows)) @ w, 6, tolerance=0.0)
    assert not bool(noisy.converged)
    assert float(noisy.gap) > 0


@pytest.mark.parametrize("name", BY_PRODUCTS)
def test_solvers_by_products_know_a_stationary_point_through_rounding(name):
    """The mean gradient is zero, or another combination is: what is left of the gap is rounding."""
    for dtype in (torch.float64, torch.float32) if name != "cagrad" else (torch.float64,):
        for weights in (torch.ones(7), torch.arange(1.0, 8.0)):
            rows = torch.randn(7, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
            rows[0] = -(weights[1:].double() @ rows[1:]) / weights[0]
            rows = rows.to(dtype)
            found = BY_PRODUCTS[name][1](lambda w, rows=rows, dtype=dtype: rows @ (w.to(dtype) @ rows), 7)
            assert bool(found.converged)


@pytest.mark.parametrize("name", BY_PRODUCTS)
def test_solvers_by_products_ask_for_no_more_than_they_may_and_follow(name):
    """Fewer gradients at a time: the gap is told, and steps that start from the last weights arrive all the same."""
    rows = conflicting(20)
    G, guess, asked = gramian(rows), torch.full((20,), 0.05, dtype=torch.float64), []

    def product(w):
        asked.append(1)
        return G @ w

    first = BY_PRODUCTS[name][1](product, 20, guess=guess, at_most=2)
    assert len(asked) <= 4
    assert not bool(first.converged)
    assert float(first.gap) > 0
    found = first
    for _ in range(60):
        found = BY_PRODUCTS[name][1](product, 20, guess=found.weights, at_most=2)
    expected = BY_PRODUCTS[name][0](G)
    torch.testing.assert_close(found.weights @ rows, expected.weights @ rows, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("name", ["mgda", "dualproj", "cagrad"])
def test_a_step_by_products_is_the_exact_one_within_what_its_report_says(name):
    shared, losses = NETWORKS["resnet"]()
    exact = Balancer(rules.get(name), shared, engine="looped")
    exact.backward(losses())
    expected = torch.cat([parameter.grad.flatten() for parameter in shared])
    balancer = Balancer(rules.get(name), shared, engine="products")
    report = balancer.backward(losses())
    found = torch.cat([parameter.grad.flatten() for parameter in shared])
    assert report.engine.name == "products"
    assert bool(report.converged)
    assert float((found - expected).norm()) <= 0.05 * float(expected.norm())
    if name == "mgda":  # the gap bounds the squared distance to the exact point
        assert float((found - expected).square().sum()) <= float(report.gap) + 1e-12 * float(expected.square().sum())


def test_products_refuse_a_model_that_cannot_be_differentiated_twice():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.project = nn.Linear(8, 24)

        def forward(self, x):
            q, k, v = self.project(x).chunk(3, dim=-1)
            return nn.functional.scaled_dot_product_attention(q, k, v)

    torch.manual_seed(0)
    trunk, x = Attention(), torch.randn(2, 1, 5, 8)

    def losses():
        z = trunk(x)
        return torch.stack([z.square().mean(), (z - 1).square().mean()])

    balancer = Balancer(rules.mgda(), trunk, engine="products")
    with pytest.raises(InputError, match="differentiates twice, and an operation of this model cannot be"):
        balancer.backward(losses())
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        values = losses()
    assert bool(balancer.backward(values).converged)


def test_products_engine_refuses_rules_that_need_the_gramian_itself():
    shared, losses = NETWORKS["mlp"]()
    with pytest.raises(InputError, match="never forms the Gramian that rule edm needs"):
        Balancer(rules.edm(), shared, engine="products").backward(losses())


def test_nobody_sees_rows_that_are_written_over():
    """Rules that keep rows get fresh ones at every step; the others' may stand where the last step's stood."""
    shared, losses = NETWORKS["lenet"]()
    for rule, fresh in ((rules.mgda(), False), (rules.db_mtl(), True)):
        seen = []

        class Watching(type(rule)):
            def weigh(self, obs, state, seen=seen):
                seen.append(obs.rows)
                return super().weigh(obs, state)

        balancer = Balancer(Watching(**vars(rule)), shared, engine="looped")
        steps = [balancer.backward(losses() * factor).weights for factor in (1.0, 3.0)]
        assert all((rows is not None) == fresh for rows in seen)
        if fresh:
            torch.testing.assert_close(seen[1], 3 * seen[0], rtol=1e-9, atol=0)
        else:
            torch.testing.assert_close(steps[1], steps[0], rtol=1e-9, atol=1e-12)
