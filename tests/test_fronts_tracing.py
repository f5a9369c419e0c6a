"""Whole fronts by gradients: exact solutions are reached, and what is returned can be trusted."""

import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from benchmarks.fronts import on_rays
from moo_mtl import fronts, problems, rules, trace
from moo_mtl.errors import InputError
from moo_mtl.fronts import Front, in_units, trace_front
from moo_mtl.fronts.tracing import onto_bounds

NEAR = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)  # far from the centres, fonseca is flat


def spread(n, low=0.01):
    first = torch.linspace(low, 1 - low, n, dtype=torch.float64)
    return torch.stack([first, 1 - first], dim=-1)


def cosine(highest, steps):
    return lambda step: highest * (1 + math.cos(math.pi * step / steps)) / 2 + 1e-6


@pytest.fixture(scope="module")
def zdt1():
    wanted = spread(40)
    rule = rules.get("stch", mu=0.01)
    return trace_front(problems.get("zdt1"), rule, wanted, steps=400, lr=cosine(0.05, 400), betas=(0.9, 0.99))


@pytest.mark.parametrize(("rule", "inverse"), [("modified-tchebycheff", False), ("tchebycheff", True), ("pbi", False)])
def test_each_point_lies_where_its_preference_meets_a_concave_front(rule, inverse):
    wanted = spread(9, 0.1)
    found = trace_front(
        problems.get("fonseca", n_dim=3),
        rules.get(rule),
        1 / wanted if inverse else wanted,
        starts=NEAR.expand(9, 3),
        steps=800,
        lr=cosine(0.02, 800),
        units=False,
    )
    assert_close(found.points, on_rays(wanted), rtol=0, atol=5e-3)


def test_pmgda_meets_the_ray_and_certifies_it():
    wanted = spread(5, 0.2)
    starts = torch.full((5, 3), 0.1, dtype=torch.float64)
    found = trace_front(
        problems.get("fonseca", n_dim=3),
        rules.get("pmgda"),
        wanted,
        starts=starts,
        steps=400,
        lr=0.02,
        optimizer="sgd",
        units=False,
    )
    assert_close(found.points, on_rays(wanted), rtol=0, atol=5e-3)
    assert found.upper.max() < 1e-2


def test_a_convex_front_is_covered_and_every_point_certified(zdt1):
    problem = problems.get("zdt1")
    assert fronts.igd(zdt1.points, problem.front(500)) < 0.015
    assert len(zdt1.non_dominated()) == 40
    assert zdt1.upper.max() < 1e-6
    assert (zdt1.lower <= zdt1.upper).all()


def test_x_gives_the_losses_to_the_last_bit_and_lies_in_the_box(zdt1):
    problem = problems.get("zdt1")
    assert torch.equal(problem.evaluate(zdt1.x), zdt1.points)
    assert ((zdt1.x >= 0) & (zdt1.x <= 1)).all()


def test_units_change_the_numbers_and_not_the_solutions():
    """Tons and millimetres: the same preferences lead to the same points, whatever scale losses and variables have."""
    plain = problems.get("zdt2", n_dim=4)
    scale, factor = torch.tensor([1e6, 1e-3], dtype=torch.float64), 1e3
    scaled = replace(
        plain,
        evaluate=lambda x: plain.evaluate(x / factor) * scale,
        bounds=(plain.bounds[0], plain.bounds[1] * factor),
        ideal=plain.ideal * scale,
        nadir=plain.nadir * scale,
        exact_front=None,
        exact_set=None,
    )
    wanted, rule = spread(6, 0.2), rules.get("tchebycheff")
    first, second = (trace_front(one, rule, wanted, steps=300, lr=cosine(0.05, 300)) for one in (plain, scaled))
    assert_close(second.points / scale, first.points, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["zdt3", "dtlz2", "re21", "fonseca"])
def test_a_problem_in_units_is_the_same_function(name):
    problem = problems.get(name)
    stepped, enter, leave = in_units(problem)
    low, high = problem.bounds
    u = torch.rand(7, problem.n_dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = leave(u)
    assert_close(enter(x), u)
    assert torch.equal(leave(torch.zeros_like(u)), low.expand_as(u))
    assert torch.equal(leave(torch.ones_like(u)), high.expand_as(u))
    assert_close(stepped.evaluate(u) * (problem.nadir - problem.ideal) + problem.ideal, problem.evaluate(x))
    by_differences = torch.func.vmap(torch.func.jacrev(stepped.evaluate))(u) if name != "re21" else None
    losses, rows = stepped.differentiate(u)
    assert_close(losses, stepped.evaluate(u))
    if by_differences is not None:
        assert_close(rows, by_differences)


def test_variables_go_onto_a_bound_only_where_no_loss_gets_worse():
    problem = problems.get("zdt1", n_dim=3)
    x = torch.tensor([[0.5, 1e-4, 0.2], [1e-4, 1e-4, 0.5]], dtype=torch.float64)
    moved = onto_bounds(problem, x, 2e-4)
    assert torch.equal(moved[0], torch.tensor([0.5, 0.0, 0.2], dtype=torch.float64))
    assert moved[1, 0] == x[1, 0]  # at x_1 the two losses disagree
    assert (problem.evaluate(moved) <= problem.evaluate(x)).all()


def test_rules_without_preference_and_populations():
    """The best eight points dominate 0.290 of the unit square; MGDA's are wherever the starts led."""
    problem, wanted = problems.get("fonseca", n_dim=3), spread(8)
    starts = torch.linspace(-0.5, 0.5, 24, dtype=torch.float64).reshape(8, 3).sin()
    settings = {"starts": starts, "steps": 1000, "lr": cosine(0.02, 1000), "units": False}
    spreading = trace_front(problem, rules.get("hypervolume", reference=(1.0, 1.0)), wanted, **settings)
    assert 0.289 < fronts.hypervolume(spreading.points, problem.ref_point) < 0.2905
    assert trace_front(problem, rules.get("mgda"), wanted, **settings).upper.max() < 1e-3


def test_a_front_is_saved_and_read_again(zdt1, tmp_path):
    zdt1.save(tmp_path / "front.npz")
    again = Front.load(tmp_path / "front.npz")
    for name in ("points", "x", "lower", "upper", "preferences"):
        assert torch.equal(getattr(again, name), getattr(zdt1, name))
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="not a saved front"):
        Front.load(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"preferences": torch.ones(4, 3)}, r"shape \(4, 3\)"),
        ({"preferences": torch.ones(0, 2)}, r"shape \(0, 2\)"),
        ({"starts": torch.zeros(3, 30)}, r"starts have shape \(3, 30\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        trace_front(problems.get("zdt1"), rules.get("linear"), **{"preferences": spread(4), **arguments})


def test_a_problem_without_a_box_needs_starts():
    free = problems.from_function(lambda x: torch.stack([(x - 1).square().sum(-1), x.square().sum(-1)], -1), n_tasks=2, n_dim=2)
    with pytest.raises(InputError, match="give starts="):
        trace_front(free, rules.get("linear"), spread(3))
    toy = trace_front(problems.get("two-task-toy"), rules.get("mgda"), spread(7), steps=1)
    assert_close(toy.x[5], toy.x[0])  # its own five starts, in turn


def test_paired_preferences_go_with_their_own_starts():
    problem, rule, wanted = problems.get("fonseca", n_dim=2), rules.get("tchebycheff"), spread(3, 0.2)
    starts = torch.tensor([[0.1, 0.2], [-0.3, 0.1], [0.2, -0.4]], dtype=torch.float64)
    together = trace(problem, rule, starts, steps=20, lr=0.1, preferences=wanted, paired=True)
    assert together.x.shape == (21, 3, 2)
    for i in range(3):
        alone = trace(problem, rule, starts[i], steps=20, lr=0.1, preferences=wanted[i])
        assert_close(together.x[:, i], alone.x)
    with pytest.raises(InputError, match=r"paired preferences have shape \(3, 2\), expected \(2, 2\)"):
        trace(problem, rule, starts[:2], steps=1, lr=0.1, preferences=wanted, paired=True)
