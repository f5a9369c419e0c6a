"""The Balancer in a plain PyTorch loop: what it writes, what it leaves alone, what it refuses."""

import pytest
import torch
from torch import nn

from moo_mtl import Balancer, Needs, rules
from moo_mtl.errors import InputError, NonFiniteError
from moo_mtl.rules import compose, losses, memory, output, scaling, weights


class Net(nn.Module):
    """A trunk, two heads, a trunk parameter that only one task reaches, and dropout."""

    def __init__(self, seed=0, dtype=torch.float64):
        super().__init__()
        torch.manual_seed(seed)
        self.trunk = nn.ModuleDict({"first": nn.Linear(4, 6), "second": nn.Linear(6, 5), "side": nn.Linear(6, 1)})
        self.heads = nn.ModuleDict({"a": nn.Linear(5, 3), "b": nn.Linear(5, 1)})
        self.dropout = nn.Dropout(0.2)
        self.to(dtype)

    def forward(self, x):
        hidden = self.dropout(torch.tanh(self.trunk["first"](x)))
        features = torch.tanh(self.trunk["second"](hidden))
        return {"a": self.heads["a"](features), "b": self.heads["b"](features) + self.trunk["side"](hidden)}

    def losses(self, seed=1, dtype=torch.float64):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(16, 4, generator=generator, dtype=torch.float64).to(dtype)
        label = torch.randint(0, 3, (16,), generator=generator)
        target = torch.randn(16, 1, generator=generator, dtype=torch.float64).to(dtype)
        torch.manual_seed(seed)
        out = self(x)
        return {"a": nn.functional.cross_entropy(out["a"], label), "b": 0.5 * nn.functional.mse_loss(out["b"], target) + 0.1}


def gradients(net, losses, task):
    parameters = list(net.parameters())
    found = torch.autograd.grad(losses[task], parameters, retain_graph=True, allow_unused=True)
    return {id(p): torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)}


RULES = {
    "equal": rules.equal(),
    "mgda": rules.mgda(),
    "edm": rules.edm(),
    "bmtl": rules.bmtl(),
    "ema": rules.ema(),
    "db-mtl": rules.db_mtl(beta=0.0),
    "log + mgda": compose(weights.min_norm, loss=losses.log(), output=output.sum_to_k),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("heads", ["paper", "raw", "loss", "weighted"])
def test_written_gradients_are_the_weighted_sums(name, heads):
    net = Net()
    values = net.losses()
    by_task = [gradients(net, values, task) for task in ("a", "b")]
    report = Balancer(RULES[name], net.trunk, heads=heads).backward(values)
    w, h = report.weights.tolist(), report.heads.tolist()
    for parameter in net.trunk.parameters():
        expected = sum(w[k] * by_task[k][id(parameter)] for k in range(2))
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-10, atol=1e-13)
    for k, task in enumerate(("a", "b")):
        for parameter in net.heads[task].parameters():
            torch.testing.assert_close(parameter.grad, h[k] * by_task[k][id(parameter)], rtol=1e-10, atol=1e-13)
    if heads == "raw":
        assert h == [1.0, 1.0]
    if heads == "weighted":
        assert h == w
    if heads == "loss":
        slopes = {"db-mtl": [1 / values[t].item() for t in "ab"], "log + mgda": [1 / values[t].item() for t in "ab"]}
        if name in slopes:
            torch.testing.assert_close(torch.tensor(h), torch.tensor(slopes[name]), rtol=1e-6, atol=0)


def test_heads_follow_the_papers():
    """MGDA's heads get the weight, DB-MTL's the slope of the logarithm, equal's and BMTL's the weight."""
    net = Net()
    values = {task: value.item() for task, value in net.losses().items()}
    mgda = Balancer(rules.mgda(), net.trunk).backward(net.losses())
    assert mgda.heads.tolist() == mgda.weights.tolist()
    db = Balancer(rules.db_mtl(), net.trunk).backward(net.losses())
    torch.testing.assert_close(
        db.heads, torch.tensor([1 / values["a"], 1 / values["b"]], dtype=torch.float64), rtol=1e-12, atol=0
    )
    bmtl = Balancer(rules.bmtl(), net.trunk).backward(net.losses())
    assert bmtl.heads.tolist() == bmtl.weights.tolist()


LOSS_ONLY = [
    name
    for name in rules.ZOO
    if not rules.get(name).needs & (Needs.GRAMIAN | Needs.PRODUCTS | Needs.ROWS | Needs.CROSS | Needs.POPULATION)
]


@pytest.mark.parametrize("name", LOSS_ONLY)
def test_loss_only_rules_cost_one_backward_pass(name):
    net, passes = Net(), []
    net.trunk["first"].register_forward_hook(lambda module, inputs, out: out.register_hook(lambda _: passes.append(1)) and None)
    balancer = Balancer(rules.get(name), net.trunk)
    balancer.epoch = 1
    report = balancer.backward(net.losses(), preference=torch.tensor([0.4, 0.6]))
    assert len(passes) == 1
    assert report.engine is None


def test_exact_rules_cost_a_pass_for_each_task():
    net, passes = Net(), []
    net.trunk["first"].register_forward_hook(lambda module, inputs, out: out.register_hook(lambda _: passes.append(1)) and None)
    Balancer(rules.mgda(), net.trunk, engine="looped").backward(net.losses())
    assert len(passes) == 2


def test_memory_rules_write_their_own_direction():
    net = Net()
    balancer = Balancer(rules.db_mtl(beta=0.5), net.trunk)
    average = 0.0
    for step in range(1, 4):
        values = net.losses(seed=step)
        by_task = [gradients(net, values, task) for task in ("a", "b")]
        rows = torch.stack([torch.cat([g[id(p)].flatten() for p in net.trunk.parameters()]) for g in by_task])
        rows = rows / torch.stack(list(values.values())).detach()[:, None]
        kept = 0.5 / step**0.5
        average = kept * average + (1 - kept) * rows
        balancer.backward(values)
        norms = average.norm(dim=-1)
        expected = norms.max() * (average / norms[:, None]).sum(0)
        found = torch.cat([p.grad.flatten() for p in net.trunk.parameters()])
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_report_shows_the_geometry():
    net = Net()
    report = Balancer(rules.mgda(), net.trunk, certify_every=1).backward(net.losses())
    assert report.tasks == ("a", "b")
    assert bool((report.norms > 0).all())
    torch.testing.assert_close(report.cosines.diagonal(), torch.ones(2, dtype=torch.float64))
    assert float(report.certificate.lower) <= float(report.certificate.upper)
    assert float(report.gap) <= 1e-12
    assert not report.losses.requires_grad
    found = net.losses()
    silent = Balancer(rules.mgda(), net.trunk).backward({"a": found["a"], "b": 0 * found["b"]})
    assert silent.silent.tolist() == [False, True]


def test_a_task_missing_from_the_mapping_is_absent():
    net = Net()
    balancer = Balancer(rules.ema(), net.trunk)
    balancer.backward(net.losses())
    before = {path: tensor.clone() for path, tensor in balancer.state_dict()["rule"].items()}
    report = balancer.backward({"b": net.losses(seed=2)["b"]})
    after = balancer.state_dict()["rule"]
    assert report.weights[0] == 0
    assert all(torch.equal(before[path][0], after[path][0]) for path in before), "the absent task's state moved"
    assert any(not torch.equal(before[path][1], after[path][1]) for path in before)


def test_groups_get_weights_of_their_own():
    net = Net()
    groups = [net.trunk["first"], [*net.trunk["second"].parameters(), *net.trunk["side"].parameters()]]
    values = net.losses()
    by_task = [gradients(net, values, task) for task in ("a", "b")]
    report = Balancer(rules.mgda(), net.trunk, groups=groups).backward(values)
    assert report.weights.shape == (2, 2)
    for place, group in enumerate(groups):
        for parameter in group.parameters() if isinstance(group, nn.Module) else group:
            expected = sum(float(report.weights[place, k]) * by_task[k][id(parameter)] for k in range(2))
            torch.testing.assert_close(parameter.grad, expected, rtol=1e-10, atol=1e-13)


def test_gramian_of_a_layer_weights_the_whole_trunk():
    net = Net()
    values = net.losses()
    last = list(net.trunk["second"].parameters())
    rows = torch.stack(
        [torch.cat([g.flatten() for g in torch.autograd.grad(values[t], last, retain_graph=True)]) for t in "ab"]
    )
    n = rows.norm(dim=-1)
    by_task = [gradients(net, values, task) for task in ("a", "b")]
    report = Balancer(rules.edm(), net.trunk, gramian_of=net.trunk["second"]).backward(values)
    torch.testing.assert_close(report.weights, n.flip(0) / n.sum(), rtol=1e-9, atol=0)
    expected = sum(float(report.weights[k]) * by_task[k][id(net.trunk["first"].weight)] for k in range(2))
    torch.testing.assert_close(net.trunk["first"].weight.grad, expected, rtol=1e-10, atol=1e-13)


def test_weights_are_kept_between_looks():
    net = Net()
    balancer = Balancer(rules.mgda(), net.trunk, every=3)
    seen = [balancer.backward(net.losses(seed=s)).weights.tolist() for s in range(1, 8)]
    assert seen[0] == seen[1] == seen[2] != seen[3]
    assert seen[3] == seen[4] == seen[5] != seen[6]


def test_stacked_networks_are_separate_networks():
    """Losses [P, K] on parameters [P, ...]: each member is weighted by itself."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(3, 4, 2, dtype=torch.float64))
    head = nn.Parameter(torch.randn(3, 2, dtype=torch.float64))
    x = torch.randn(10, 4, dtype=torch.float64)

    def values(w, h):
        features = torch.tanh(x @ w)
        return torch.stack([(features @ h[..., None]).square().mean((-2, -1)), (features - 1).square().mean((-2, -1))], dim=-1)

    report = Balancer(rules.mgda(), [weight]).backward(values(weight, head))
    assert report.weights.shape == (3, 2)
    for member in range(3):
        w, h = nn.Parameter(weight[member].detach().clone()), nn.Parameter(head[member].detach().clone())
        alone = Balancer(rules.mgda(), [w]).backward(values(w, h))
        torch.testing.assert_close(report.weights[member], alone.weights, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(weight.grad[member], w.grad, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(head.grad[member], h.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["db-mtl", "task-tensioner", "ema"])
def test_saved_state_continues_bit_for_bit(name):
    def steps(net, balancer, seeds):
        for seed in seeds:
            balancer.backward(net.losses(seed=seed))
            with torch.no_grad():
                for parameter in net.parameters():
                    parameter -= 0.05 * parameter.grad

    whole, net = Net(), Net()
    steps(whole, Balancer(rules.get(name), whole.trunk), range(20))
    first = Balancer(rules.get(name), net.trunk)
    steps(net, first, range(13))
    second = Balancer(rules.get(name), net.trunk)
    second.load_state_dict(first.state_dict())
    steps(net, second, range(13, 20))
    for ours, theirs in zip(net.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ["equal", "mgda", "db-mtl", "task-tensioner", "ema", "bmtl"])
def test_nan_loss_names_task_and_step_and_changes_nothing(name):
    net = Net()
    balancer = Balancer(rules.get(name), net.trunk)
    balancer.backward(net.losses())
    before = [p.grad.clone() for p in net.parameters()]
    state = balancer.state_dict()
    values = net.losses()
    values["b"] = values["b"] * float("nan")
    with pytest.raises(NonFiniteError, match="loss of task 'b' is not finite at step 2"):
        balancer.backward(values)
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), before, strict=True))
    after = balancer.state_dict()
    assert after["step"] == state["step"]
    assert all(torch.equal(after["rule"][path], state["rule"][path]) for path in state["rule"])


def test_a_loss_outside_a_rules_domain_is_called_by_its_tasks_name():
    net = Net()
    values = net.losses()
    with pytest.raises(InputError, match="the loss of task 'b' is -"):
        Balancer(rules.db_mtl(), net.trunk).backward({"a": values["a"], "b": -values["b"]})


def test_a_gradient_that_is_not_finite_is_named():
    x = nn.Parameter(torch.zeros(2))
    values = torch.stack([x.square().sum(), x.sqrt().sum()])
    with pytest.raises(NonFiniteError, match="gradient of task 1"):
        Balancer(rules.mgda(), [x]).backward(values)


def test_skipped_steps_are_counted_and_leave_no_gradient():
    net = Net()
    balancer = Balancer(rules.ema(), net.trunk, nonfinite="skip")
    values = net.losses()
    values["a"] = values["a"] * float("inf")
    report = balancer.backward(values)
    assert balancer.skipped == 1
    assert not bool(report.finite)
    assert all(p.grad is None for p in net.trunk.parameters())
    assert balancer.backward(net.losses()).finite


def test_float32_networks_get_float32_gradients():
    net = Net(dtype=torch.float32)
    report = Balancer(rules.db_mtl(), net.trunk).backward(net.losses(dtype=torch.float32))
    assert report.weights.dtype == torch.float32
    assert all(p.grad.dtype == torch.float32 for p in net.parameters())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda net: Balancer(rules.equal(), nn.Identity()), "no parameter that requires a gradient"),
        (lambda net: Balancer(rules.equal(), net.trunk, heads="none"), "heads 'none' is unknown"),
        (lambda net: Balancer(rules.equal(), net.trunk, every=0), "every must be a whole number of at least 1"),
        (lambda net: Balancer(rules.db_mtl(), net.trunk, every=2), "gives a direction"),
        (lambda net: Balancer(rules.mgda(), net.trunk, gramian_of=net.heads), "not in shared"),
        (lambda net: Balancer(rules.mgda(), net.trunk, groups=[net.trunk["first"]]), "exactly once"),
        (lambda net: Balancer(rules.equal(), net.trunk).backward({}), "there are no tasks"),
        (lambda net: Balancer(rules.equal(), net.trunk).backward(torch.ones(2)), "do not depend on any parameter"),
        (lambda net: Balancer(rules.equal(), net.trunk).load_state_dict({"step": 1}), "lacks"),
    ],
)
def test_wrong_use_is_one_sentence(build, message):
    with pytest.raises(InputError, match=message):
        build(Net())


def test_tasks_are_those_of_the_first_step():
    net = Net()
    balancer = Balancer(rules.equal(), net.trunk)
    balancer.backward(net.losses())
    with pytest.raises(InputError, match="unknown task 'c'"):
        balancer.backward(net.losses() | {"c": net.losses()["a"]})
    with pytest.raises(InputError, match="found 3 losses, expected 2"):
        balancer.backward(torch.stack([*net.losses().values(), net.losses()["a"]]))


def test_any_slots_compose():
    """An ablation is a line: exp with MGDA after a row filter, unit-length steps."""
    rule = compose(
        weights.min_norm,
        loss=losses.convex(losses.exponential(1.0)),
        memory=memory.row_ema(0.5),
        scale=scaling.common_norm("median"),
        output=output.unit_length,
    )
    net = Net()
    Balancer(rule, net.trunk).backward(net.losses())
    length = torch.cat([p.grad.flatten() for p in net.trunk.parameters()]).norm()
    torch.testing.assert_close(length, torch.tensor(1.0, dtype=torch.float64), rtol=1e-10, atol=0)


def test_a_task_s_pass_does_not_run_through_the_heads_of_others():
    net, passes = Net(), []
    for task in ("a", "b"):
        net.heads[task].register_forward_hook(
            lambda module, inputs, out, task=task: out.register_hook(lambda _: passes.append(task)) and None
        )
    Balancer(rules.mgda(), net.trunk).backward(net.losses())
    assert sorted(passes) == ["a", "b"]
    passes.clear()
    Balancer(rules.mgda(), net.trunk).backward(torch.stack(list(net.losses().values())))
    assert sorted(passes) == ["a", "b"]


def test_an_absent_task_is_not_called_stationary():
    net = Net()
    whole = Balancer(rules.mgda(), net.trunk, certify_every=1).backward({"a": net.losses()["a"]} | {"b": net.losses()["b"]})
    balancer = Balancer(rules.mgda(), net.trunk, certify_every=1)
    part = balancer.backward(net.losses(), present=torch.tensor([True, False]))
    torch.testing.assert_close(part.certificate.upper, whole.norms[0], rtol=1e-10, atol=0)


def test_who_forgets_to_show_the_losses_after_the_step_is_told_once():
    net = Net()
    balancer = Balancer(rules.famo(), net.trunk)
    balancer.backward(net.losses())
    with pytest.warns(UserWarning, match=r"famo learns from the losses after a step, .* call balancer.observe\(losses\)"):
        balancer.backward(net.losses())
    balancer.backward(net.losses())  # a second notice would be an error

    balancer = Balancer(rules.famo(), net.trunk)
    for _ in range(3):
        balancer.backward(net.losses())
        balancer.observe(net.losses())


@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
def test_a_nan_shown_afterwards_spoils_no_state(nonfinite):
    net = Net()
    balancer = Balancer(rules.famo(), net.trunk, nonfinite=nonfinite)
    balancer.backward(net.losses())
    before = {path: tensor.clone() for path, tensor in balancer.state_dict()["rule"].items()}
    spoiled = {task: value.detach() * float("nan") for task, value in net.losses().items()}
    if nonfinite == "raise":
        with pytest.raises(NonFiniteError, match="a loss after step 1 is not finite"):
            balancer.observe(spoiled)
    else:
        balancer.observe(spoiled)
    after = balancer.state_dict()["rule"]
    assert all(torch.equal(before[path], after[path]) for path in before)
    assert bool(balancer.backward(net.losses()).finite)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda net: Balancer("mgda", net.trunk), r"pass rules.get\('mgda'\)"),
        (lambda net: Balancer(rules.mgda, net.trunk), "found mgda, expected a rule"),
        (lambda net: Balancer(rules.famo(), net.trunk, every=3), "use every=1"),
        (lambda net: Balancer(rules.mgda(), net.trunk).backward(sum(net.losses().values())), "do not add them up"),
        (
            lambda net: Balancer(rules.mgda(), net.trunk).backward({k: v[None] for k, v in net.losses().items()}),
            r"losses of shape \[1, K\] .* reduce each task's loss to one number",
        ),
        (lambda net: Balancer(rules.equal(), net.trunk).backward(list(net.losses().values())), "losses are a list"),
        (lambda net: Balancer(rules.equal(), net.trunk).backward({"a": 1.0, "b": 2.0}), "the loss of task 'a' is a float"),
        (
            lambda net: Balancer(rules.equal(), net.trunk).backward({"a": net.losses()["a"], "b": net.trunk["first"].bias}),
            "expected one number for each task",
        ),
    ],
)
def test_what_a_newcomer_passes_instead_is_named(build, message):
    with pytest.raises(InputError, match=message):
        build(Net())


def test_a_task_that_does_not_use_what_is_shared_is_named():
    net = Net()
    own = nn.Parameter(torch.ones(3, dtype=torch.float64))
    with pytest.warns(UserWarning, match="the loss of task 'b' does not depend on the shared parameters, and to mgda"):
        Balancer(rules.mgda(), net.trunk).backward({"a": net.losses()["a"], "b": own.square().sum()})
    later = Balancer(rules.mgda(), net.trunk)  # warnings are errors here
    later.backward(net.losses())
    later.backward({"a": net.losses()["a"], "b": own.square().sum()})


@pytest.mark.parametrize("name", ["dwa", "igb", "stch-mtl"])
def test_who_counts_no_epochs_is_told_once(name):
    net = Net()
    balancer = Balancer(rules.get(name), net.trunk)
    with pytest.warns(UserWarning, match=rf"{name} follows epochs, and nobody counts them: set balancer.epoch"):
        balancer.backward(net.losses())
    balancer.backward(net.losses())  # warnings are errors here
    counting = Balancer(rules.get(name), net.trunk)
    counting.epoch = 1
    counting.backward(net.losses())


def test_state_of_another_rule_is_refused():
    net = Net()
    saved = Balancer(rules.mgda(), net.trunk)
    saved.backward(net.losses())
    with pytest.raises(InputError, match="saved state is of rule mgda, and this one's is equal"):
        Balancer(rules.equal(), net.trunk).load_state_dict(saved.state_dict())
