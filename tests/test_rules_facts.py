"""What the papers' formulas say of single rules, by closed forms, autograd and fixed points."""

import math
from itertools import pairwise

import pytest
import torch

from moo_mtl import Needs, Observation, problems, rules, solvers, trace
from moo_mtl.config import Choice
from moo_mtl.errors import InputError
from moo_mtl.gramian import gramian
from moo_mtl.kinds import resolving
from moo_mtl.rules import losses as loss_slots
from moo_mtl.rules import preference as scalarizations
from moo_mtl.rules import scaling, weights
from moo_mtl.rules.compose import compose
from moo_mtl.state import flatten


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def observed(rule, rows, values=None, step=1, epoch=1, **more):
    G = gramian(rows)
    values = torch.ones(rows.shape[:-1], dtype=rows.dtype) if values is None else values
    product = (lambda w: (G @ w[..., None]).squeeze(-1)) if Needs.PRODUCTS in rule.needs else None
    return Observation(values, gramian=G, product=product, cross=G, rows=rows, step=step, epoch=epoch, **more)


def first_direction(rule, rows, values=None, **more):
    obs = observed(rule, rows, values, **more)
    weighing, _ = rule.weigh(obs, rule.init(obs))
    return weighing.direction if weighing.direction is not None else (weighing.weights[..., None, :] @ rows).squeeze(-2)


def run(rule, history, rows=None):
    """Weights of every step, each an epoch, for a list of losses ``[K]``."""
    state, said = None, []
    for step, values in enumerate(history, start=1):
        obs = observed(rule, normal(len(values), 5) if rows is None else rows, values, step=step, epoch=step)
        state = rule.init(obs) if state is None else state
        weighing, state = rule.weigh(obs, state)
        said.append(weighing.weights)
    return torch.stack(said)


BISECTORS = {
    "edm": rules.edm(),
    "imtl-g": rules.imtl_g(),
    "config": rules.config(),
    "nash-mtl": rules.nash_mtl(),
    "normalized-sum": rules.normalized_sum(),
    "db-mtl": rules.db_mtl(beta=0),
    "mgda-l2": rules.mgda(normalization="l2"),
}


@pytest.mark.parametrize("name", BISECTORS)
def test_two_tasks_collapse_to_the_bisector(name):
    """rules.md 1.3: for K = 2 these rules differ in length alone."""
    rows = normal(50, 2, 5) * 10 ** normal(50, 2, 1, seed=1)
    bisector = torch.nn.functional.normalize(torch.nn.functional.normalize(rows, dim=-1).sum(dim=-2), dim=-1)
    found = torch.nn.functional.normalize(first_direction(BISECTORS[name], rows, 0.1 + normal(50, 2).abs()), dim=-1)
    torch.testing.assert_close(found, bisector, rtol=0, atol=1e-7)


def test_two_tasks_pcgrad_is_upgrad_with_unit_preferences():
    rows = normal(50, 2, 5)
    noise = torch.rand(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    projected = first_direction(rules.pcgrad(), rows, noise=noise)
    torch.testing.assert_close(projected, 2 * first_direction(rules.upgrad(), rows), rtol=1e-9, atol=1e-12)


def test_fairgrad_at_one_is_nash_and_cagrad_at_zero_the_mean():
    rows = normal(20, 4, 6)
    fair, nash = rules.fairgrad(alpha=1.0, max_norm=None), rules.nash_mtl(max_norm=None)
    torch.testing.assert_close(first_direction(fair, rows), first_direction(nash, rows), rtol=1e-9, atol=1e-12)
    length = first_direction(nash, rows).norm(dim=-1)
    torch.testing.assert_close(length, torch.full_like(length, 2.0), rtol=1e-9, atol=0)  # sqrt K
    torch.testing.assert_close(first_direction(rules.cagrad(c=0.0), rows), rows.mean(dim=-2), rtol=1e-9, atol=1e-12)


def test_imtl_g_can_climb_every_task_and_downhill_does_not():
    rows = normal(400, 3, 5) * 10 ** normal(400, 3, 1, seed=1)
    along = (rows @ first_direction(rules.imtl_g(), rows)[..., None]).squeeze(-1)
    assert (along < 0).all(dim=-1).any()
    along = (rows @ first_direction(rules.imtl_g(sign="downhill"), rows)[..., None]).squeeze(-1)
    assert (along > 0).all()


@pytest.mark.parametrize(
    "transform",
    [
        loss_slots.log(),
        loss_slots.log(lower_bound=-0.5),
        *(
            loss_slots.convex(convex, "exact")
            for convex in (loss_slots.exponential(0.7), loss_slots.softplus(0.7), loss_slots.cosh(0.7), loss_slots.power(3.0))
        ),
        loss_slots.convex(loss_slots.barrier(5.0), "exact"),
    ],
    ids=lambda slot: slot.name,
)
def test_slopes_of_loss_transforms_are_their_derivatives(transform):
    values = (0.2 + normal(3, 4).abs()).requires_grad_()
    outcome, _ = transform.act(Observation(values), ())
    (derivative,) = torch.autograd.grad(outcome.losses.sum(), values)
    torch.testing.assert_close(outcome.slope.detach(), derivative, rtol=1e-10, atol=0)


SCALARIZATIONS = [
    scalarizations.chebyshev,
    scalarizations.modified_chebyshev,
    scalarizations.augmented_chebyshev(0.1),
    scalarizations.smooth_chebyshev(0.3),
    scalarizations.smooth_modified_chebyshev(0.3),
    scalarizations.power_norm(3.0),
    scalarizations.boundary_intersection(5.0),
    scalarizations.cosine_penalty(2.0),
]


@pytest.mark.parametrize("function", SCALARIZATIONS, ids=lambda function: function.name)
def test_slopes_of_scalarizations_are_their_gradients(function):
    f = (0.2 + normal(5, 4).abs()).requires_grad_()
    preference = 0.1 + normal(5, 4, seed=1).abs()
    here = torch.ones(5, 4, dtype=torch.bool)
    (gradient,) = torch.autograd.grad(function.value(f, preference, here).sum(), f)
    torch.testing.assert_close(function.slope(f.detach(), preference, here), gradient, rtol=1e-9, atol=1e-12)


def test_equal_worst_tasks_share():
    rule = rules.tchebycheff()
    obs = observed(rule, normal(3, 5), torch.tensor([2.0, 2.0, 1.0]).double(), preference=torch.ones(3).double())
    assert rule.weigh(obs, rule.init(obs))[0].weights.tolist() == [0.5, 0.5, 0.0]


def test_bmtl_is_smooth_tchebycheff_in_direction():
    rows, values, ones = normal(10, 4, 6), normal(10, 4).abs(), torch.ones(10, 4, dtype=torch.float64)
    bmtl = first_direction(rules.bmtl(temperature=0.4), rows, values)
    smooth = first_direction(rules.stch(mu=0.4), rows, values, preference=ones)
    torch.testing.assert_close(bmtl, 4 * smooth, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "share"), [("uw", 0.5), ("imtl-l", 1.0)])
def test_learned_scales_settle_at_the_inverse_losses(name, share):
    values = torch.tensor([0.5, 2.0, 30.0], dtype=torch.float64)
    settled = run(rules.get(name, lr=0.02), [values] * 2000)[-1]
    torch.testing.assert_close(settled, share / values, rtol=1e-2, atol=0)


def test_gradnorm_without_rates_equalises_weighted_lengths():
    rows = normal(4, 6) * torch.tensor([[1.0], [2.0], [5.0], [10.0]], dtype=torch.float64)
    settled = run(rules.gradnorm(alpha=0.0, lr=lambda step: 0.02 / (1 + step / 200)), [torch.ones(4).double()] * 3000, rows)[-1]
    weighted = settled * rows.norm(dim=-1)
    assert (weighted.max() / weighted.min()).item() == pytest.approx(1, abs=2e-2)


def test_dwa_is_one_for_two_epochs_and_then_the_softmax_of_ratios():
    history = [torch.tensor(pair, dtype=torch.float64) for pair in ([4.0, 2.0], [2.0, 1.8], [1.0, 1.7])]
    found = run(rules.dwa(), history)
    assert torch.equal(found[:2], torch.ones(2, 2).double())
    torch.testing.assert_close(found[2], 2 * torch.softmax(torch.tensor([0.5, 0.9]).double() / 2, dim=-1))


def test_stch_mtl_at_one_is_linear_with_inverse_nadirs():
    history = [torch.tensor(pair, dtype=torch.float64) for pair in ([4.0, 2.0], [3.0, 1.8], [1.0, 1.7])]
    found = run(rules.stch_mtl(mu=1.0, warm_up=1), history)
    torch.testing.assert_close(found[0], 1 / history[0])
    linear = 1 / history[1]
    torch.testing.assert_close(found[2] / found[2].sum(), linear / linear.sum())


def test_slaw_is_the_deviation_by_its_textbook_formula():
    history = [1 + normal(3, seed=step).abs() for step in range(6)]
    mean, square = history[0].clone(), history[0].square()
    for values in history[1:]:
        mean, square = 0.9 * mean + 0.1 * values, 0.9 * square + 0.1 * values.square()
    rate = (square - mean.square()).rsqrt()
    torch.testing.assert_close(run(rules.slaw(beta=0.9), history)[-1], 3 * rate / rate.sum(), rtol=1e-9, atol=0)


def test_famo_moves_weight_to_the_task_that_falls_slowest():
    rule, values = rules.famo(weight_decay=0.0), torch.ones(2, dtype=torch.float64)
    obs = observed(rule, normal(2, 5), values)
    state = rule.init(obs)
    for _ in range(20):
        weighing, state = rule.weigh(obs, state)
        state = rule.observe(torch.tensor([0.5, 0.9], dtype=torch.float64), state)
    assert weighing.weights[1] > 0.6


def test_go4align_groups_are_the_best_of_all_splits():
    """Brute force over the contiguous splits of six sorted numbers into three."""
    from moo_mtl.rules.pace import _cluster_means

    values = normal(6).abs()
    ordered = values.sort().values
    error = {
        (i, j): sum(((part - part.mean()) ** 2).sum() for part in (ordered[:i], ordered[i:j], ordered[j:]))
        for i in range(1, 5)
        for j in range(i + 1, 6)
    }
    i, j = min(error, key=lambda split: error[split])
    wanted = torch.cat([part.mean().expand(len(part)) for part in (ordered[:i], ordered[i:j], ordered[j:])])
    found = _cluster_means(values, torch.ones(6, dtype=torch.bool), 3)
    torch.testing.assert_close(found.sort().values, wanted)


def test_trimmed_mean_drops_both_ends():
    rows = torch.tensor([[0.0, 9.0], [1.0, -9.0], [5.0, 2.0], [-7.0, 4.0]], dtype=torch.float64)
    torch.testing.assert_close(first_direction(rules.trimmed_mean(), rows), torch.tensor([0.5, 3.0], dtype=torch.float64))


def test_graddrop_keeps_one_sign_per_coordinate():
    rows, noise = normal(3, 200), torch.rand(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = first_direction(rules.graddrop(), rows, noise=noise)
    either = torch.stack([rows.clamp(min=0).sum(dim=0), rows.clamp(max=0).sum(dim=0)])
    assert ((found - either).abs().amin(dim=0) < 1e-12).all()
    torch.testing.assert_close(first_direction(rules.graddrop(leak=1.0), rows, noise=noise), rows.sum(dim=0))


def test_hypervolume_weights_are_minus_its_gradient():
    points = torch.tensor([[1.0, 4.0], [2.0, 2.5], [3.5, 1.0]], dtype=torch.float64, requires_grad=True)
    left = torch.cat([torch.tensor([5.0], dtype=torch.float64), points[:-1, 1]])
    area = ((5.0 - points[:, 0]) * (left - points[:, 1])).sum()
    (gradient,) = torch.autograd.grad(area, points)
    rule = rules.hypervolume(reference=(5.0, 5.0))
    weighing, _ = rule.weigh(Observation(points.detach()), rule.init(Observation(points.detach())))
    torch.testing.assert_close(weighing.weights, -gradient / gradient.norm(dim=-1, keepdim=True))


PAIR = problems.from_function(
    lambda x: torch.stack([0.1 + (x - 1).square().sum(-1), 0.1 + (x + 1).square().sum(-1)], dim=-1), n_tasks=2, n_dim=2
)


@pytest.mark.parametrize("preference", [[0.3, 0.7], [0.5, 0.5], [0.75, 0.25]])
def test_epo_ends_where_preferred_losses_are_equal(preference):
    wanted = torch.tensor(preference, dtype=torch.float64)
    start = torch.tensor([0.9, -0.7], dtype=torch.float64)
    end = trace(PAIR, rules.epo(), start, steps=150, lr=0.04, preferences=wanted).losses[-1]
    assert (wanted * end)[0].item() == pytest.approx((wanted * end)[1].item(), rel=0.1)


def test_pmgda_ends_on_the_ray():
    ray = torch.tensor([0.3, 0.7], dtype=torch.float64)
    start = torch.tensor([0.9, -0.7], dtype=torch.float64)
    end = trace(PAIR, rules.pmgda(tolerance=0.05), start, steps=400, lr=0.02, preferences=ray).losses[-1]
    assert torch.nn.functional.cosine_similarity(end, ray, dim=0) > math.cos(0.06)


def test_groups_are_a_batch_axis():
    """One Gramian per parameter group gives what each group gives alone, for a rule that solves and one that remembers."""
    for rule in (rules.cagrad(), rules.gradvac(order="fixed"), rules.encodec()):
        rows = normal(4, 3, 6)
        together = first_direction(rule, rows)
        alone = torch.stack([first_direction(rule, part) for part in rows])
        torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("solve", ["min_norm", "upgrad", "nash", "config"])
def test_any_loss_transform_and_scale_compose_with_any_solver(solve):
    slot = getattr(weights, solve)
    rows, values = normal(3, 6), 0.5 + normal(3).abs()
    rule = compose(slot, loss=loss_slots.log(), scale=scaling.max_norm)
    found = first_direction(rule, rows, values)
    scaled = rows / values[:, None]
    scaled = scaled / scaled.norm(dim=-1, keepdim=True) * scaled.norm(dim=-1).max()
    torch.testing.assert_close(found, first_direction(compose(slot), scaled), rtol=1e-9, atol=1e-12)


def test_averaged_rules_refuse_directions():
    rule = rules.cr_mogm(rules.db_mtl())
    obs = observed(rule, normal(3, 5))
    with pytest.raises(InputError, match="gives a direction"):
        rule.weigh(obs, rule.init(obs))


def test_averaged_weights_carry_no_gap_of_the_inner_solver():
    obs = observed(rules.mgda(), normal(3, 5))
    rule = rules.cr_mogm()
    weighing, _ = rule.weigh(obs, rule.init(obs))
    assert weighing.gap is None
    assert weighing.converged is None


class MinNorm(rules.Rule):
    """A rule as a user writes it."""

    name, needs = "my-min-norm", Needs.GRAMIAN

    def weigh(self, obs, state):
        return rules.Weighing(solvers.min_norm(obs.gramian).weights), state


@pytest.mark.parametrize("inner", [f"{__name__}:MinNorm", MinNorm, MinNorm()], ids=["name", "class", "rule"])
def test_cr_mogm_goes_round_a_users_rule(inner):
    rows = normal(3, 5)
    found = first_direction(rules.get("cr-mogm", rule=inner), rows)
    torch.testing.assert_close(found, first_direction(rules.mgda(), rows))


def test_cr_mogm_goes_round_a_users_rule_named_in_a_configuration():
    choice = Choice.model_validate({"name": "cr-mogm", "rule": f"{__name__}:MinNorm", "rho": 0.5})
    rule = resolving.rule(choice, "a problem", None)
    assert isinstance(rule, rules.Averaged)
    assert isinstance(rule.rule, MinNorm)


def test_cr_mogm_refuses_parameters_for_a_rule_that_is_built():
    with pytest.raises(InputError, match="takes no parameters, found normalization"):
        rules.cr_mogm(rules.mgda(), normalization="l2")


def test_krum_with_one_neighbour_takes_the_first_of_the_closest_pair():
    rows = normal(200, 4, 6)
    apart = torch.cdist(rows, rows) + torch.diag(torch.full((4,), torch.inf, dtype=torch.float64))
    pair = (apart == apart.amin(dim=(-2, -1), keepdim=True)).any(dim=-1)
    assert (pair.sum(dim=-1) == 2).all()
    first = pair.int().argmax(dim=-1)
    assert torch.equal(first_direction(rules.krum(), rows), rows[torch.arange(200), first])


def test_multi_krum_takes_as_many_as_it_is_told():
    rows, rule = normal(50, 7, 9), rules.krum(selected=3)
    obs = observed(rule, rows)
    weighing, _ = rule.weigh(obs, rule.init(obs))
    assert torch.equal((weighing.weights * 3).round(), (weighing.weights > 0).double())
    assert ((weighing.weights > 0).sum(dim=-1) == 3).all()


def dominated(points, reference):
    """Area between the points and the reference, as the union of boxes on the grid that their corners span."""
    area = 0.0
    xs = sorted({min(x, reference[0]) for x, _ in points} | {reference[0]})
    for low, high in pairwise(xs):
        heights = [reference[1] - y for x, y in points if x <= low and y < reference[1]]
        area += (high - low) * max(heights, default=0.0)
    return area


@pytest.mark.parametrize(
    "points",
    [
        [[1.5, 0.1], [0.4, 0.6]],
        [[0.2, 1.3], [0.5, 0.5], [0.8, 0.3]],
        [[1.5, 0.1], [0.3, 0.7], [0.7, 0.2], [0.1, 1.2]],
        [[1.4, 1.1], [0.5, 0.5]],
    ],
)
def test_hypervolume_weights_are_numerical_slopes_also_beyond_the_reference(points):
    reference, h = (1.0, 1.0), 1e-6
    slopes = torch.zeros(len(points), 2, dtype=torch.float64)
    for i in range(len(points)):
        for k in range(2):
            moved = [[x + h * (j == i and k == 0), y + h * (j == i and k == 1)] for j, (x, y) in enumerate(points)]
            back = [[x - h * (j == i and k == 0), y - h * (j == i and k == 1)] for j, (x, y) in enumerate(points)]
            slopes[i, k] = (dominated(moved, reference) - dominated(back, reference)) / (2 * h)
    obs, rule = Observation(torch.tensor(points, dtype=torch.float64)), rules.hypervolume(reference=reference)
    length = slopes.norm(dim=-1, keepdim=True)
    wanted = -slopes / torch.where(length > 0, length, 1.0)
    torch.testing.assert_close(rule.weigh(obs, rule.init(obs))[0].weights, wanted, rtol=0, atol=1e-8)


def famo_after(after, steps=4):
    """FAMO's state after a few steps, and after one more whose losses were ``after``."""
    rule, values = rules.famo(), torch.ones(2, 3, dtype=torch.float64)
    state = rule.init(observed(rule, normal(2, 3, 5), values))
    for step in range(1, steps + 1):
        _, state = rule.weigh(observed(rule, normal(2, 3, 5), values, step=step), state)
        before, state = state, rule.observe(torch.tensor([0.9, 0.5, 0.7], dtype=torch.float64).expand(2, 3), state)
    return before, rule.observe(after, before)


def test_famo_keeps_the_logits_of_a_task_whose_loss_was_spoiled():
    after = torch.tensor([[0.9, torch.nan, 0.7], [0.9, 0.5, torch.inf]], dtype=torch.float64)
    before, state = famo_after(after)
    spoiled = ~after.isfinite()
    for old, new in zip(flatten(before).values(), flatten(state).values(), strict=True):
        assert new.isfinite().all()
        if old.shape[:2] == spoiled.shape:
            assert torch.equal(old[spoiled], new[spoiled])
    moved = before.solve.logits.value != state.solve.logits.value
    assert torch.equal(moved, ~spoiled)


def test_famo_names_the_step_of_a_loss_below_its_bound():
    with pytest.raises(InputError, match=r"task 1 is -0\.5 at step 7"):
        famo_after(torch.tensor([[0.9, -0.5, 0.7]] * 2, dtype=torch.float64), steps=7)


def test_m_config_keeps_its_state_where_every_task_is_absent():
    rule, rows = rules.m_config(), normal(2, 3, 5)
    obs = observed(rule, rows)
    _, before = rule.weigh(obs, rule.init(obs))
    nobody = torch.tensor([[False] * 3, [True] * 3])
    _, after = rule.weigh(observed(rule, rows, step=2, present=nobody), before)
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old[0], new[0])
    assert after.taken.tolist() == [1, 2]


NAN, INF = float("nan"), float("inf")
REFUSED = {
    "normalized-sum": [{"magnitude": value} for value in (0.0, -1.0, NAN, INF)],
    "db-mtl": [{"beta": value} for value in (1, 1.0, -0.1, NAN)] + [{"sigma": -0.5}, {"sigma": NAN}],
    "encodec": [{"decay": 1.0}, {"decay": NAN}, {"total": 0.0}, {"total": -1.0}],
    "metabalance": [{"decay": 1.0}, {"relax": NAN}],
    "moco": [{"beta": 0.0}, {"beta": 1.5}],
    "m-config": [{"beta1": 1.0}, {"beta2": 1.0}],
    "nash-mtl": [{"max_norm": value} for value in (0.0, -1.0, NAN, INF)],
    "fairgrad": [{"max_norm": 0.0}, {"max_norm": -1.0}, {"alpha": INF}],
    "bmtl": [{"temperature": value} for value in (INF, NAN)]
    + [{"transform": "power", "exponent": value} for value in (NAN, INF)],
    "cagrad": [{"c": value} for value in (-1.0, -0.5, NAN)] + [{"c": INF, "rescale": "c"}],
    "p-norm": [{"p": 0.5}, {"p": NAN}],
    "ema": [{"variant": "trend", "decay": 1.5}],
    "krum": [{"byzantine": INF}, {"selected": INF}],
}


@pytest.mark.parametrize(
    ("name", "parameters"), [(name, each) for name, several in REFUSED.items() for each in several], ids=str
)
def test_hyper_parameters_that_climb_vanish_or_spoil_are_refused(name, parameters):
    with pytest.raises(InputError):
        rules.get(name, **parameters)


@pytest.mark.parametrize("bound", [NAN, -INF, [0.0, NAN, 0.0]])
@pytest.mark.parametrize("name", ["sum-of-logs", "famo", "igb"])
def test_bounds_that_are_not_finite_are_refused(name, bound):
    rule = rules.get(name, lower_bound=bound)
    obs = observed(rule, normal(3, 5))
    with pytest.raises(InputError, match="bound is not finite"):
        rule.weigh(obs, rule.init(obs))


@pytest.mark.parametrize(
    "rule",
    [
        rules.db_mtl(beta=lambda step: 0.2 * step, sigma=0.0),
        rules.encodec(decay=lambda step: 0.2 * step),
        rules.ema(decay=lambda step: 0.25 * step),
        rules.ema(decay=lambda step: 0.25 * step, variant="trend"),
        rules.cr_mogm(rho=lambda step: 0.25 * step),
        rules.task_tensioner(alpha=lambda step: 5.0 - step, window=1),
    ],
    ids=["db-mtl", "encodec", "ema", "ema-trend", "cr-mogm", "task-tensioner"],
)
def test_a_schedule_is_refused_at_the_step_where_it_leaves_its_range(rule):
    obs = observed(rule, normal(3, 5))
    state = rule.init(obs)
    for step in range(1, 5):
        _, state = rule.weigh(observed(rule, normal(3, 5), step=step), state)
    with pytest.raises(InputError, match="at step 5"):
        rule.weigh(observed(rule, normal(3, 5), step=5), state)


def test_a_loss_outside_a_transforms_domain_is_named_by_its_own_value():
    rule = rules.bmtl(transform="power")
    values = torch.tensor([[1.0, 2.0], [3.0, -4.0]], dtype=torch.float64)
    obs = Observation(values)
    with pytest.raises(InputError, match="task 1 is -4 at step 1"):
        rule.weigh(obs, rule.init(obs))


@pytest.mark.parametrize("name", ["dwa", "igb", "stch-mtl"])
def test_rules_that_follow_epochs_say_so_unless_they_count_them(name):
    assert Needs.EPOCH in rules.get(name).needs
    assert Needs.EPOCH not in rules.get(name, epoch_steps=10).needs


@pytest.mark.parametrize("tasks", [2, 3])
def test_pmgda_of_equal_gradients_steps_along_them(tasks):
    """The distance from an even ray then has no gradient, but for rounding, which must not be divided by."""
    draws = torch.Generator().manual_seed(tasks)
    row = torch.randn(50, 1, 7, generator=draws, dtype=torch.float64)
    J = row + 1e-15 * torch.randn(50, tasks, 7, generator=draws, dtype=torch.float64)
    losses = 0.1 + torch.rand(50, tasks, generator=draws, dtype=torch.float64)
    seen = Observation(losses, gramian=J @ J.mT, preference=torch.ones_like(losses))
    rule = rules.pmgda()
    weights = rule.weigh(seen, rule.init(seen))[0].weights
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(50, dtype=torch.float64))
    assert (weights >= 0).all()
