"""The four core papers against independent statements of their formulas: vectors for weights, autograd for slopes."""

import math

import pytest
import torch

from moo_mtl import Observation, problems, rules, trace
from moo_mtl.errors import InputError
from moo_mtl.gramian import gramian
from moo_mtl.rules import compose, losses, output, scaling, weights


def instance(batch=(7,), tasks=3, dim=6, seed=0, low=0.2, high=3.0):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(*batch, tasks, dim, dtype=torch.float64, generator=generator)
    rows = rows * torch.logspace(-1, 1, tasks, dtype=torch.float64)[:, None]
    values = low + (high - low) * torch.rand(*batch, tasks, dtype=torch.float64, generator=generator)
    return values, rows


def seen(values, rows, step=1):
    return Observation(values, gramian=gramian(rows), rows=rows, step=step)


def direction(rule, values, rows, state=None, step=1):
    obs = seen(values, rows, step)
    weighing, state = rule.weigh(obs, rule.init(obs) if state is None else state)
    d = weighing.direction if weighing.direction is not None else (weighing.weights[..., None, :] @ rows).squeeze(-2)
    return d, weighing, state


TRANSFORMS = {
    "log": (losses.log(), lambda z: z.log()),
    "log above -1": (losses.log(-1.0), lambda z: (z + 1).log()),
    "exp": (losses.convex(losses.exponential(0.7), "exact"), lambda z: (z / 0.7).exp()),
    "softplus": (losses.convex(losses.softplus(0.7), "exact"), lambda z: 0.7 * torch.log1p((z / 0.7).exp())),
    "cosh": (losses.convex(losses.cosh(0.7), "exact"), lambda z: (z / 0.7).cosh()),
    "power": (losses.convex(losses.power(2.5), "exact"), lambda z: z**2.5),
    "barrier": (losses.convex(losses.barrier(4.0), "exact"), lambda z: -(4 - z).log()),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_pulled_back_weights_are_autograd_of_the_transformed_losses(name):
    slot, function = TRANSFORMS[name]
    x = torch.tensor([0.3, -0.4, 0.8], dtype=torch.float64, requires_grad=True)
    centres = torch.tensor([[1.0, 0, 0], [0, -1.0, 0], [0.5, 0.5, 0.5]], dtype=torch.float64)
    values = 0.1 + (x - centres).square().sum(-1)
    rows = torch.stack([torch.autograd.grad(value, x, retain_graph=True)[0] for value in values])
    (expected,) = torch.autograd.grad(function(values).sum(), x)
    found, _, _ = direction(compose(weights.uniform, loss=slot), values.detach(), rows)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    transformed, _ = slot.act(seen(values.detach(), rows), ())
    torch.testing.assert_close(transformed.losses, function(values).detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_solver_sees_the_gramian_of_the_transformed_losses(name):
    """Any transform with MGDA is MGDA on the transformed gradients, without a second backward pass."""
    slot, function = TRANSFORMS[name]
    values, rows = instance()
    leaf = values.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(leaf).sum(), leaf)
    found, _, _ = direction(compose(weights.min_norm, loss=slot), values, rows)
    expected, _, _ = direction(rules.mgda(), values, slope[..., None] * rows)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


def test_db_mtl_without_memory_is_the_sum_of_unit_gradients():
    values, rows = instance()
    found, weighing, _ = direction(rules.db_mtl(beta=0.0), values, rows)
    norms = rows.norm(dim=-1)
    largest = (norms / values).amax(dim=-1)
    expected = largest[:, None] * (rows / norms[..., None]).sum(dim=-2)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(weighing.heads, 1 / values, rtol=1e-14, atol=0)


@pytest.mark.parametrize(("beta", "sigma"), [(0.9, 0.0), (0.5, 0.5), (lambda step: 0.3 / step, 0.0)])
@pytest.mark.parametrize("bias_correction", [False, True])
def test_db_mtl_is_algorithm_1_in_vectors(beta, sigma, bias_correction):
    rule = rules.db_mtl(beta=beta, sigma=sigma, bias_correction=bias_correction)
    average, share, state = 0.0, 1.0, None
    for step in range(1, 6):
        values, rows = instance(seed=step)
        found, _, state = direction(rule, values, rows, state, step)
        kept = (beta(step) if callable(beta) else beta) / step**sigma
        average = kept * average + (1 - kept) * rows / values[..., None]
        share *= kept
        filtered = average / (1 - share) if bias_correction else average
        norms = filtered.norm(dim=-1)
        expected = norms.amax(dim=-1)[:, None] * (filtered / norms[..., None]).sum(dim=-2)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_db_mtl_trajectory_does_not_see_the_scale_of_a_loss(beta):
    problem = problems.get("two-task-toy", scale=0.1)
    scales = torch.tensor([1e-3, 1e3], dtype=torch.float64)
    scaled = problems.from_function(lambda x: problem.evaluate(x) * scales, n_tasks=2, n_dim=2)

    def path(what, bound):
        return trace(what, rules.db_mtl(beta=beta, lower_bound=bound), problem.starts, steps=300, lr=1e-2, optimizer="sgd")

    plain, other = path(problem, problem.lower_bound), path(scaled, problem.lower_bound * scales)
    torch.testing.assert_close(other.x, plain.x, rtol=0, atol=1e-7)
    assert (plain.x[-1] - plain.x[0]).norm(dim=-1).min() > 0.05


@pytest.mark.parametrize("stages", ["loss", "gradient"])
def test_db_mtl_stages_are_slots(stages):
    values, rows = instance()
    found, _, _ = direction(rules.db_mtl(beta=0.0, stages=stages), values, rows)
    norms = rows.norm(dim=-1, keepdim=True)
    expected = {"loss": (rows / values[..., None]).sum(-2), "gradient": norms.amax(-2) * (rows / norms).sum(-2)}[stages]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 50.0])
def test_bmtl_descends_the_smooth_maximum(temperature):
    """In direction, exp(l/T) is the gradient of T log sum exp(l/T)."""
    values, rows = instance()
    found, weighing, _ = direction(rules.bmtl(temperature=temperature), values, rows)
    expected = (torch.softmax(values / temperature, dim=-1)[..., None] * rows).sum(-2) * 3
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(weighing.weights.sum(-1), torch.full((7,), 3.0, dtype=torch.float64), rtol=1e-12, atol=0)
    if temperature == 1.0:
        exact, _, _ = direction(rules.bmtl(temperature=temperature, mode="exact"), values, rows)
        torch.testing.assert_close(exact, (values.exp()[..., None] * rows).sum(-2), rtol=1e-12, atol=1e-12)


def test_bmtl_normalised_does_not_overflow_and_exact_says_so():
    values = torch.tensor([1e6, -1e6, 1e6 - 1], dtype=torch.float64)
    obs = Observation(values)
    normalised, _ = rules.bmtl().weigh(obs, rules.bmtl().init(obs))
    torch.testing.assert_close(normalised.weights, 3 * torch.softmax(values, dim=-1), rtol=1e-12, atol=0)
    exact = rules.bmtl(mode="exact")
    with pytest.raises(InputError, match="normalised"):
        exact.weigh(obs, exact.init(obs))


@pytest.mark.parametrize("transform", ["log", "sqrt", "one-minus-exp"])
def test_bmtl_refuses_concave_transforms_and_says_which_condition_breaks(transform):
    with pytest.raises(InputError, match=r"C2 \(derived"):
        rules.bmtl(transform=transform)


def test_bmtl_refuses_a_linear_power_and_a_negative_temperature():
    with pytest.raises(InputError, match="C2"):
        rules.bmtl(transform="power", exponent=1.0)
    with pytest.raises(InputError, match=r"temperature must be positive and finite, found -1"):
        rules.bmtl(temperature=-1.0)


@pytest.mark.parametrize("transform", ["exp", "softplus", "cosh", "power", "barrier"])
def test_bmtl_gives_larger_losses_larger_weights(transform):
    values = torch.linspace(0.1, 2.9, 40, dtype=torch.float64)
    obs = Observation(values)
    rule = rules.bmtl(transform=transform, temperature=3.0)
    found, _ = rule.weigh(obs, rule.init(obs))
    assert bool((found.weights.diff() > 0).all())


def tensioner_in_vectors(history, alpha=0.3, window=10):
    """The authors' formulas, with gradient vectors: central direction, pulls, and the angle-based repair."""
    lengths, before, found, repairs = [], None, None, 0
    for step, (values, rows) in enumerate(history, start=1):
        norms = rows.norm(dim=-1)
        units = rows / norms[:, None]
        b, _ = rules.mgda().weigh(Observation(values, gramian=gramian(units)), rules.mgda().init(Observation(values)))
        v = ((b.weights / norms) / (b.weights / norms).sum()) @ rows
        lengths = [*lengths, norms][-window:]
        total = torch.stack(lengths).sum(dim=0)
        if step > window:
            p = total / before + values.log10()
            c = (alpha * torch.sigmoid(math.e * (p - 1)) + 1 - alpha).clamp(min=0)
            v = v + (c[:, None] * (rows - v) / (rows - v).norm(dim=-1, keepdim=True)).sum(dim=0)
            for k in range(len(values)):
                if rows[k] @ v < 0:
                    repairs += 1
                    across = v - (v @ units[k]) * units[k]
                    away = v - rows[k]
                    angle = math.pi - torch.arccos((rows[k] @ away) / (norms[k] * away.norm()))
                    v = torch.tan(angle) * norms[k] * across / across.norm()
        before = total if step >= window else None
        found = v
    return found, repairs


@pytest.mark.parametrize("tasks", [2, 3, 5])
@pytest.mark.parametrize("edge_cases", ["safe", "reference"])
def test_task_tensioner_in_weights_is_its_vector_form(tasks, edge_cases):
    rule = rules.task_tensioner(edge_cases=edge_cases)
    repaired = 0
    size = (
        0.02 if tasks == 2 else 1.0
    )  # two pulls nearly cancel: only beside short gradients does their rest turn a task uphill
    for seed in range(12):
        history = [
            (values[0], size * rows[0])
            for values, rows in (instance((1,), tasks, 8, seed=100 * seed + step) for step in range(14))
        ]
        state = None
        for step, (values, rows) in enumerate(history, start=1):
            found, weighing, state = direction(rule, values, rows, state, step)
        expected, repairs = tensioner_in_vectors(history)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(weighing.weights.sum(), torch.tensor(1.0, dtype=torch.float64), rtol=1e-10, atol=0)
        repaired += repairs
    assert repaired > 0


def test_task_tensioner_before_the_window_is_full_is_edm():
    rule, edm, state = rules.task_tensioner(), rules.edm(), None
    for step in range(1, 12):
        values, rows = instance(seed=step)
        found, _, state = direction(rule, values, rows, state, step)
        central, _, _ = direction(edm, values, rows)
        assert torch.equal(found, central) == (step <= 10)


def test_task_tensioner_survives_what_the_reference_divides_by():
    values = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    same = torch.ones(3, 4, dtype=torch.float64)
    silent = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 0]], dtype=torch.float64)
    for rows in (same, silent):
        state = None
        for step in range(1, 13):
            found, _, state = direction(rules.task_tensioner(), values, rows, state, step)
        assert bool(found.isfinite().all())
    state = None
    for step in range(1, 13):
        found, _, state = direction(rules.task_tensioner(edge_cases="reference"), values, same, state, step)
    assert bool(found.isnan().any()), "the reference divides 0 by 0 here, and edge_cases='reference' promises to"


def ema_by_loops(variant, decay, history):
    m = fast = slow = logs = None
    for values in history:
        K = len(values)
        late = 1 - (1 - decay) / 10
        m = values if m is None else decay * m + (1 - decay) * values
        fast = m
        slow = values if slow is None else late * slow + (1 - late) * values
        logs = values.log() if logs is None else decay * logs + (1 - decay) * values.log()
    return {
        "inverse": 1 / m,
        "inverse-normalised": K * (1 / m) / (1 / m).sum(),
        "anchored": m.mean() / m,
        "log": (-logs).exp(),
        "trend": K * (fast / slow) / (fast / slow).sum(),
        "proportional": K * m / m.sum(),
    }[variant]


@pytest.mark.parametrize("variant", ["inverse", "inverse-normalised", "anchored", "log", "trend", "proportional"])
@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_ema_variants(variant, decay):
    rule = rules.ema(decay=decay, variant=variant)
    history = [instance((1,), 4, 2, seed=step)[0][0] for step in range(6)]
    state = None
    for step, values in enumerate(history, start=1):
        obs = Observation(values, step=step)
        weighing, state = rule.weigh(obs, rule.init(obs) if state is None else state)
    torch.testing.assert_close(weighing.weights, ema_by_loops(variant, decay, history), rtol=1e-12, atol=0)
    assert weighing.heads is None


def test_two_tasks_collapse_to_the_bisector():
    """EDM, normalised sum, DB-MTL at beta 0 and MGDA on unit rows share one direction for two tasks."""
    values, rows = instance(tasks=2)
    units = rows / rows.norm(dim=-1, keepdim=True)
    bisector = units.sum(dim=-2)
    bisector = bisector / bisector.norm(dim=-1, keepdim=True)
    normalised_sum = compose(weights.uniform, scale=scaling.unit_norm, output=output.match_mean_norm)
    for rule in (rules.edm(), rules.db_mtl(beta=0.0), rules.mgda(normalization="l2"), normalised_sum):
        found, _, _ = direction(rule, values, rows)
        torch.testing.assert_close(found / found.norm(dim=-1, keepdim=True), bisector, rtol=1e-9, atol=1e-9)
    n = rows.norm(dim=-1)
    _, edm, _ = direction(rules.edm(), values, rows)
    torch.testing.assert_close(edm.weights, n.flip(-1) / n.sum(-1, keepdim=True), rtol=1e-10, atol=0)


def test_output_match_mean_norm_has_the_mean_gradients_length():
    values, rows = instance()
    for rule in (
        compose(weights.min_norm, output=output.match_mean_norm),
        compose(weights.uniform, loss=losses.log(), memory=rules.memory.row_ema(0.5), output=output.match_mean_norm),
    ):
        found, _, _ = direction(rule, values, rows)
        torch.testing.assert_close(found.norm(dim=-1), rows.mean(dim=-2).norm(dim=-1), rtol=1e-10, atol=0)


@pytest.mark.parametrize("normalization", ["none", "l2", "loss", "loss+"])
@pytest.mark.parametrize("use", ["normalised", "raw"])
def test_mgda_normalisations(normalization, use):
    values, rows = instance()
    scale = {
        "none": torch.ones_like(values),
        "l2": 1 / rows.norm(dim=-1),
        "loss": 1 / values,
        "loss+": 1 / (values * rows.norm(dim=-1)),
    }[normalization]
    scaled = scale[..., None] * rows
    _, plain, _ = direction(rules.mgda(), values, scaled)
    factors = plain.weights if use == "raw" else plain.weights * scale
    _, found, _ = direction(rules.mgda(normalization=normalization, use=use), values, rows)
    torch.testing.assert_close(found.weights, factors, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["db-mtl", "ema", "task-tensioner"])
def test_a_loss_that_needs_a_lower_bound_says_so(name):
    rule = rules.get(name)
    obs = seen(torch.tensor([1.0, -0.5], dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    with pytest.raises(InputError, match=r"task 1 is -0.5 at step 1.*lower_bound="):
        rule.weigh(obs, rule.init(obs))
    bounded = rules.get(name, lower_bound=[0.0, -1.0])
    weighing, _ = bounded.weigh(obs, bounded.init(obs))
    assert bool(weighing.weights.isfinite().all())


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'db-mtl'"):
        rules.get("db-mlt")
    with pytest.raises(InputError, match="did you mean 'beta'"):
        rules.get("db-mtl", btea=0.3)
