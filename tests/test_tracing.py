"""Trajectories: published end points, resume, noise, boxes, failures, and the optimisers against torch's own."""

import pytest
import torch

from moo_mtl import Needs, Rule, Trace, Weighing, problems, rules, trace
from moo_mtl.errors import InputError, MooMtlError, NonFiniteError
from tests.kinds import MinNorm

TOY = problems.get("two-task-toy", scale=0.1)

# End points of the Nash-MTL protocol (scale 0.1, Adam 1e-3, 35,000 steps); None where the trajectory is
# still on its way, or stuck beside a log valley, where end points are only qualitative.
PUBLISHED = {
    "mgda": [(-1.98, -8.36), (6.10, -8.42), (6.98, -8.43), (-4.26, -8.39), (7.00, -8.43)],
    "equal": [None, (-5.73, -8.41), None, (-5.73, -8.41), (-5.73, -8.41)],
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_toy_end_points_are_the_published_ones(name):
    reduction = {"reduction": "mean"} if name == "equal" else {}
    path = trace(TOY, rules.get(name, **reduction), TOY.starts, steps=35_000, lr=1e-3, optimizer="adam", record_every=3_500)
    for place, expected in enumerate(PUBLISHED[name]):
        if expected is not None:
            torch.testing.assert_close(path.x[-1, place], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=0.05)
            assert not bool(path.moving()[place])
    if name == "equal":
        torch.testing.assert_close(path.x[-1, 2], torch.tensor([5.00, 3.94], dtype=torch.float64), rtol=0, atol=0.1)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_steps_are_those_of_torch_optim(optimizer):
    problem = problems.get("cqf")
    path = trace(problem, rules.equal(), problem.starts, steps=50, lr=0.02, optimizer=optimizer)
    x = torch.nn.Parameter(problem.starts.clone())
    make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer]
    optimiser = make([x], lr=0.02)
    for _ in range(50):
        optimiser.zero_grad()
        problem.evaluate(x).sum().backward()
        optimiser.step()
    torch.testing.assert_close(path.x[-1], x.detach(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["db-mtl", "task-tensioner", "ema", "mgda"])
def test_resumed_trace_is_bit_identical(name):
    rule = rules.get(name, **({} if name == "mgda" else {"lower_bound": TOY.lower_bound}))
    settings = {"steps": 60, "lr": 1e-2, "optimizer": "adam", "record_every": 7, "certify_every": 2, "gradient_noise": 0.01}
    whole = trace(TOY, rule, TOY.starts, **settings)
    saved = []

    def interrupt(state):
        saved.append({path: tensor.clone() for path, tensor in state.items()})
        if len(saved) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trace(TOY, rule, TOY.starts, **settings, checkpoint=interrupt)
    resumed = trace(TOY, rule, TOY.starts, **settings, resume=saved[-1])
    for field in ("x", "losses", "weights", "lower", "upper", "steps", "certified", "status"):
        assert torch.equal(getattr(whole, field), getattr(resumed, field)), field


def test_state_of_another_rule_is_refused():
    saved = {}
    trace(TOY, rules.equal(), TOY.starts, steps=4, lr=1e-2, checkpoint=saved.update)
    with pytest.raises(InputError, match="saved state is of equal, 4 steps"):
        trace(TOY, rules.ema(lower_bound=TOY.lower_bound), TOY.starts, steps=4, lr=1e-2, resume=saved)


def test_recorded_points_are_where_the_losses_are():
    path = trace(TOY, rules.mgda(), TOY.starts, steps=25, lr=0.1, record_every=10, certify_every=2)
    assert path.steps.tolist() == [0, 10, 20, 25]
    assert path.certified.tolist() == [0, 20, 25]
    torch.testing.assert_close(TOY.evaluate(path.x), path.losses, rtol=1e-13, atol=1e-13)
    assert bool((path.lower <= path.upper).all())


def test_until_stops_trajectories_one_by_one():
    bowls = problems.get("cqf")
    path = trace(bowls, rules.mgda(), bowls.starts, steps=3000, lr=0.05, until=1e-3)
    assert path.status.tolist() == [1] * len(bowls.starts)
    assert int(path.steps[-1]) < 3000
    assert float(path.upper[-1].max()) <= 1e-3
    first = (path.upper <= 1e-3).double().argmax(dim=0)
    assert len(set(first.tolist())) > 1
    for member, entry in enumerate(first.tolist()):
        assert torch.equal(path.x[entry, member], path.x[-1, member]), "a trajectory moved on after it had stopped"


def test_a_trajectory_that_meets_a_nan_stops_alone():
    wall = problems.from_function(lambda x: torch.stack([x.square().sum(-1), (x[..., 0] - 0.5).sqrt()], -1), n_tasks=2, n_dim=2)
    starts = torch.tensor([[3.0, 1.0], [0.51, 0.0]], dtype=torch.float64)
    path = trace(wall, rules.equal(), starts, steps=20, lr=0.02)
    assert path.status.tolist() == [0, 2]
    assert bool(path.x.isfinite().all())
    assert bool(path.losses.isfinite().all())
    with pytest.raises(NonFiniteError, match=r"loss of task 1 is not finite after \d+ steps"):
        trace(wall, rules.equal(), starts[1], steps=20, lr=0.02)


def test_projection_stays_in_the_box_and_certifies_at_its_bounds():
    corner = problems.from_function(
        lambda x: torch.stack([(x - 2).square().sum(-1), (x + torch.tensor([-2.0, 3.0])).square().sum(-1)], -1),
        n_tasks=2,
        n_dim=2,
        bounds=(torch.zeros(2), torch.ones(2)),
    )
    start = torch.tensor([0.4, 0.6], dtype=torch.float64)
    path = trace(corner, rules.mgda(), start, steps=300, lr=0.05, record_every=20)
    assert bool(((path.x >= 0) & (path.x <= 1)).all())
    assert float(path.x[-1, 0]) == 1.0
    assert float(path.upper[-1]) < 1e-6, "x0 sits at its bound and blocks what is left of the direction"
    free = trace(
        corner, rules.mgda(), start, steps=3000, lr=0.05, box="reparametrise", record_every=100
    )  # a bound is approached like 1/t
    assert bool(((free.x > 0) & (free.x < 1)).all())
    assert float(free.x[-1, 0]) > 0.99


def test_more_starts_change_no_trajectory_under_noise():
    settings = {"steps": 15, "lr": 0.05, "gradient_noise": 0.3, "seed": 5}
    many = trace(TOY, rules.mgda(), TOY.starts, **settings)
    few = trace(TOY, rules.mgda(), TOY.starts[:2], **settings)
    torch.testing.assert_close(many.x[:, :2], few.x, rtol=1e-12, atol=0)


def test_saved_trace_is_read_back(tmp_path):
    path = trace(TOY, rules.mgda(), TOY.starts, steps=5, lr=0.1)
    path.save(tmp_path / "trace.npz")
    again = Trace.load(tmp_path / "trace.npz")
    assert torch.equal(path.x, again.x)
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(InputError, match="not a saved trace"):
        Trace.load(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": torch.zeros(3, 5)}, r"starts have shape \(3, 5\), expected \[\.\.\., 2\]"),
        ({"starts": torch.zeros(0, 2)}, "no starts"),
        ({"steps": -1}, "steps must be a whole number of at least 0"),
        ({"record_every": 0}, "record_every must be a whole number of at least 1"),
        ({"lr": -0.1}, "lr must be positive"),
        ({"betas": (1.5, 0.9)}, "betas must lie in"),
        ({"clip": -1.0}, "clip must be positive"),
        ({"optimizer": "adagrad"}, "expected 'sgd' or 'adam'"),
        ({"box": "clip"}, "expected 'project'"),
        ({"preferences": torch.ones(4, 3)}, r"preferences have shape \(4, 3\)"),
    ],
)
def test_bad_input_is_one_sentence(change, message):
    settings = {"starts": TOY.starts, "steps": 3, "lr": 0.1} | change
    starts = settings.pop("starts")
    with pytest.raises(MooMtlError, match=message):
        trace(TOY, rules.equal(), starts, **settings)


def test_a_step_that_is_not_finite_is_not_passed_over():
    class Lost(Rule[tuple[()]]):
        name, needs = "lost", Needs.LOSSES

        def weigh(self, obs, state):
            return Weighing(torch.where(obs.losses > 0, torch.nan, torch.ones_like(obs.losses))), state

    with pytest.raises(NonFiniteError, match="lost: the step is not finite after 0 steps"):
        trace(TOY, Lost(), TOY.starts[:1], steps=5, lr=0.1)
    path = trace(TOY, Lost(), torch.tensor([[0.0, 0.0], [9.0, 9.0]], dtype=torch.float64), steps=5, lr=0.1)
    assert path.status.tolist() == [0, 2]


def test_rules_that_follow_epochs_are_told_how_long_one_is():
    positive = problems.from_function(
        lambda x: 1 + torch.stack([(x - 1) ** 2, (x + 2) ** 2], -1).squeeze(-2), n_tasks=2, n_dim=1
    )
    start = torch.tensor([[0.3]], dtype=torch.float64)
    with pytest.raises(InputError, match="follows epochs"):
        trace(positive, rules.get("dwa"), start, steps=20, lr=0.05)
    path = trace(positive, rules.get("dwa"), start, steps=20, lr=0.05, epoch_steps=4)
    assert not torch.equal(path.x, trace(positive, rules.equal(), start, steps=20, lr=0.05).x)


def test_what_is_no_rule_and_what_is_no_answer_are_named():
    with pytest.raises(InputError, match=r"pass rules.get\('mgda'\)"):
        trace(TOY, "mgda", TOY.starts, steps=1, lr=0.1)
    with pytest.raises(InputError, match="found MinNorm, expected a rule"):
        trace(TOY, MinNorm, TOY.starts, steps=1, lr=0.1)

    class Three(Rule[tuple[()]]):
        name, needs = "three", Needs.LOSSES

        def weigh(self, obs, state):
            return Weighing(torch.ones(*obs.batch, 3)), state

    with pytest.raises(InputError, match=r"three: weights have shape \(5, 3\), expected \(5, 2\)"):
        trace(TOY, Three(), TOY.starts, steps=1, lr=0.1)


def test_a_trace_shows_where_its_solver_did_not_converge():
    class Unsure(MinNorm):
        name = "unsure"

        def weigh(self, obs, state):
            weighing, state = super().weigh(obs, state)
            return weighing._replace(converged=obs.losses[..., 0] > 0), state

    path = trace(TOY, Unsure(), TOY.starts, steps=3, lr=0.1)
    assert torch.equal(path.converged, path.losses[..., 0] > 0)


RUNS = {  # learning rate and seed of each run
    "lr": torch.tensor([1e-3, 1e-2, 3e-2], dtype=torch.float64),
    "seed": torch.tensor([5, 0, 2**40]),
}


@pytest.mark.parametrize("name", ["mgda", "db-mtl", "graddrop", "rlw", "modo", "famo", "epo", "moo-svgd"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_runs_in_one_program_are_those_that_were_traced_alone(name, optimizer):
    """Learning rates and seeds are a batch dimension, also for rules that draw, remember, observe, or see a population."""
    rule = rules.get(name, **({"lower_bound": TOY.lower_bound} if name in ("db-mtl", "famo", "epo") else {}))
    settings = {"steps": 25, "optimizer": optimizer, "gradient_noise": 0.1, "paired": True}
    starts = TOY.starts[None] + torch.arange(3.0)[:, None, None].double() / 8
    preferences = torch.linspace(0.1, 0.9, 5).double()
    preferences = torch.stack([preferences, 1 - preferences], dim=-1)
    together = trace(TOY, rule, starts, **settings, **RUNS, preferences=preferences.expand(3, 5, 2))
    for run, (lr, seed) in enumerate(zip(RUNS["lr"].tolist(), RUNS["seed"].tolist(), strict=True)):
        alone = trace(TOY, rule, starts[run], **settings, lr=lr, seed=seed, preferences=preferences)
        part = together.entry(run)
        for field in ("x", "losses", "weights", "lower", "upper", "steps", "certified", "converged", "status"):
            torch.testing.assert_close(getattr(part, field), getattr(alone, field), rtol=1e-9, atol=1e-11, msg=field)


@pytest.mark.parametrize(
    "wrong", [{"lr": RUNS["lr"]}, {"lr": 0.1, "seed": RUNS["seed"]}, {"lr": torch.ones(1), "starts": torch.zeros(2)}]
)
def test_one_learning_rate_and_seed_for_each_run_and_no_other(wrong):
    with pytest.raises(InputError, match="for each entry of the first dimension of starts"):
        trace(TOY, rules.equal(), **{"starts": TOY.starts, "steps": 1, **wrong})
    with pytest.raises(InputError, match="lr must be positive"):
        trace(TOY, rules.equal(), TOY.starts, steps=1, lr=torch.tensor([1.0, 1, 1, 1, -1]))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_scale_is_a_learning_rate_of_its_own_for_each_trajectory_and_variable(optimizer):
    problem, rule = problems.get("cqf"), rules.get("mgda")
    starts = torch.tensor([[0.5, 0.5], [-1.0, 7.0]], dtype=torch.float64)
    settings = {"steps": 7, "optimizer": optimizer}
    scaled = trace(problem, rule, starts, lr=0.01, scale=torch.tensor([[1.0], [3.0]]), **settings)
    for i, lr in enumerate((0.01, 0.03)):
        torch.testing.assert_close(scaled.x[:, i], trace(problem, rule, starts[i], lr=lr, **settings).x)
    still = trace(problem, rule, starts, lr=0.01, scale=torch.tensor([1.0, 0.0]), **settings)
    assert torch.equal(still.x[-1, :, 1], starts[:, 1])
    for scale, said in ((torch.ones(3), r"shape \(3,\), which does not broadcast"), (-torch.ones(2), "negative")):
        with pytest.raises(InputError, match=said):
            trace(problem, rule, starts, lr=0.01, scale=scale, **settings)
