"""Dominance, indicators and directions against brute force, pymoo, moocore and closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq
from torch.testing import assert_close

from moo_mtl import fronts, problems
from moo_mtl.errors import InputError

PREFERENCES = torch.stack([torch.linspace(0.01, 0.99, 8), torch.linspace(0.99, 0.01, 8)], dim=-1).double()


def brute_force(points):
    """The definition, one pair at a time."""
    return torch.tensor([not any(((q <= p).all() and (q < p).any()).item() for q in points) for p in points], dtype=torch.bool)


def sets(n_tasks, *batch, grid=None, seed=0):
    points = torch.rand(*batch, n_tasks, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return points if grid is None else (points * grid).floor()  # a coarse grid has ties and copies


@pytest.mark.parametrize("grid", [None, 4, 2])
@pytest.mark.parametrize("n_tasks", [1, 2, 3, 5])
def test_non_dominated_is_the_definition_in_every_batch(n_tasks, grid):
    points = sets(n_tasks, 3, 2, 40, grid=grid)
    expected = torch.stack([brute_force(one) for one in points.flatten(0, 1)]).unflatten(0, (3, 2))
    assert torch.equal(fronts.non_dominated(points), expected)


@pytest.mark.parametrize("n_tasks", [2, 3])
def test_non_dominated_with_infinities_and_nan(n_tasks):
    points = sets(n_tasks, 30, grid=3)
    points[0], points[1, 0], points[2] = torch.inf, -torch.inf, torch.inf
    points[3, 1] = torch.inf
    assert torch.equal(fronts.non_dominated(points), brute_force(points))
    points[4, 0] = torch.nan
    mask = fronts.non_dominated(points)
    keep = torch.arange(30) != 4
    assert not mask[4]
    assert torch.equal(mask[keep], brute_force(points[keep]))


@pytest.mark.parametrize("n_tasks", [2, 3])
def test_sets_of_no_and_one_point(n_tasks):
    assert fronts.non_dominated(torch.empty(4, 0, n_tasks)).shape == (4, 0)
    assert fronts.non_dominated(torch.ones(4, 1, n_tasks)).all()


def test_large_sets_are_compared_in_blocks(monkeypatch):
    points = sets(3, 2, 200)
    expected = fronts.non_dominated(points)
    monkeypatch.setattr("moo_mtl.fronts.dominance._BLOCK", 5_000)
    assert torch.equal(fronts.non_dominated(points), expected)


@pytest.mark.parametrize("n_tasks", [2, 3, 4])
def test_indicators_against_a_front_equal_pymoo_and_moocore(n_tasks):
    import moocore
    from pymoo.indicators.gd_plus import GDPlus
    from pymoo.indicators.hv import HV
    from pymoo.indicators.igd import IGD
    from pymoo.indicators.igd_plus import IGDPlus

    points, front = sets(n_tasks, 5, 12), sets(n_tasks, 30, seed=1) * 0.5
    pairs = [(fronts.igd, IGD), (fronts.igd_plus, IGDPlus), (fronts.gd_plus, GDPlus)]
    pairs.append((fronts.epsilon, lambda reference: lambda one: moocore.epsilon_additive(one, ref=reference)))
    for ours, theirs in pairs:
        oracle = theirs(front.numpy())
        assert_close(ours(points, front), torch.tensor([float(oracle(one.numpy())) for one in points], dtype=torch.float64))
    corner = torch.full((n_tasks,), 0.9, dtype=torch.float64)
    oracle = HV(ref_point=corner.numpy())
    assert_close(
        fronts.hypervolume(points, corner), torch.tensor([float(oracle(p.numpy())) for p in points], dtype=torch.float64)
    )


def test_indicators_do_not_depend_on_the_blocks(monkeypatch):
    points, front = sets(3, 2, 11), sets(3, 50, seed=1)
    indicators = (fronts.igd, fronts.igd_plus, fronts.gd_plus, fronts.epsilon)
    expected = [indicator(points, front) for indicator in indicators]
    monkeypatch.setattr("moo_mtl.fronts.indicators._BLOCK", 500)
    assert_close([indicator(points, front) for indicator in indicators], expected)


def test_hypervolume_of_boxes_and_of_nothing():
    corner = torch.tensor([2.0, 3.0])
    assert fronts.hypervolume(torch.tensor([[1.0, 1.0]]), corner) == 2
    assert fronts.hypervolume(torch.tensor([[2.5, 0.0]]), corner) == 0
    assert fronts.hypervolume(torch.empty(3, 0, 2), corner).tolist() == [0, 0, 0]
    with pytest.raises(InputError, match="NaN"):
        fronts.hypervolume(torch.tensor([[torch.nan, 1.0]]), corner)
    with pytest.raises(InputError, match="agree in K"):
        fronts.hypervolume(torch.ones(2, 3), corner)


def test_libmoon_table_exact_preference_solutions():
    """benchmarks: eight exact-preference points of the concave pair have all published indicators of LibMOON's EPO row."""
    points = torch.stack([ray_point(*w) for w in PREFERENCES.tolist()])
    expected = {
        fronts.min_distance: 0.162,
        fronts.soft_min_distance: 0.062,
        fronts.spacing: 0.029,
        fronts.sparsity: 0.043,
    }
    for indicator, value in expected.items():
        assert indicator(points).item() == pytest.approx(value, abs=5.1e-4)
    assert fronts.hypervolume(points, torch.ones(2)).item() == pytest.approx(0.283, abs=5e-4)
    assert fronts.inner_product(points, PREFERENCES).item() == pytest.approx(0.776, abs=5.1e-4)
    assert fronts.angle(points, PREFERENCES).item() == pytest.approx(0, abs=1e-9)
    assert fronts.pbi(points, PREFERENCES).item() == pytest.approx(0.927, abs=5e-4)


def test_libmoon_table_exact_tchebycheff_solutions():
    points = torch.stack([ray_point(1 / a, 1 / b) for a, b in PREFERENCES.tolist()])
    assert fronts.inner_product(points, PREFERENCES).item() == pytest.approx(0.349, abs=5e-4)
    assert fronts.angle(points, PREFERENCES).item() == pytest.approx(55.08, abs=5e-3)
    assert fronts.pbi(points, PREFERENCES).item() == pytest.approx(3.885, abs=5e-4)


def test_full_front_of_the_concave_pair_has_the_published_hypervolume():
    """The integral of 1 - f2 over f1 and the strip beyond the front's end, less half a cell per point."""
    integral = quad(lambda t: -math.exp(-((t + 1) ** 2)) * 2 * (t - 1) * math.exp(-((t - 1) ** 2)), -1, 1)[0] + math.exp(-4)
    front = problems.get("fonseca").front(20_000)
    assert 0 < integral - fronts.hypervolume(front, torch.ones(2)).item() < 0.5 / 20_000
    assert integral == pytest.approx(0.3421, abs=5e-5)


def test_spacing_and_spread_of_even_points_are_zero():
    front = torch.stack(
        [torch.linspace(0, 1, 11, dtype=torch.float64), 1 - torch.linspace(0, 1, 11, dtype=torch.float64)], dim=-1
    )
    assert fronts.spacing(front) < 1e-15
    assert fronts.spread(front, front) < 1e-14
    assert_close(fronts.sparsity(front), torch.tensor(2 * 10 * 0.01 / 10, dtype=torch.float64))
    assert_close(fronts.min_distance(front), torch.tensor(math.sqrt(0.02), dtype=torch.float64))
    missing = fronts.spread(front[2:-2], front)  # both ends lost: two gaps of 0.2 sqrt 2 against six inside
    assert_close(missing, torch.tensor(0.4 / (0.4 + 0.7), dtype=torch.float64))


def test_spread_counts_neighbours_one_by_one():
    points = torch.tensor([[0.0, 3.0], [1.0, 2.0], [3.0, 0.0]], dtype=torch.float64)
    d = math.sqrt(2) * np.array([1, 1, 2])
    assert_close(fronts.spread(points, points).item(), np.abs(d - d.mean()).sum() / d.sum())
    assert_close(fronts.spacing(points).item(), d.std())


def test_sparsity_leaves_dominated_points_out_in_a_batch():
    good = torch.tensor([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]], dtype=torch.float64)
    mixed = torch.cat([good[:2], torch.tensor([[1.5, 1.5]], dtype=torch.float64), good[2:]])
    full = torch.cat([good, torch.tensor([[3.0, -1.0]], dtype=torch.float64)])
    assert_close(fronts.sparsity(torch.stack([mixed, full])), torch.tensor([2.0, 2.0], dtype=torch.float64))


@pytest.mark.parametrize("indicator", ["spacing", "sparsity", "min_distance", "soft_min_distance"])
def test_indicators_of_one_set_do_not_see_the_batch(indicator):
    function = getattr(fronts, indicator)
    points = sets(3, 2, 4, 9)
    together = function(points)
    assert together.shape == (2, 4)
    assert_close(together[1, 2], function(points[1, 2]))


def test_soft_minimum_approaches_the_minimum_from_below():
    points = sets(2, 6)
    lowest = fronts.min_distance(points)
    for sharpness in (20.0, 200.0, 20_000.0):
        soft = fronts.soft_min_distance(points, sharpness)
        assert lowest - math.log(30) / sharpness <= soft <= lowest


def test_angles_are_exact_when_small_and_in_three_dimensions():
    w = torch.tensor([[1.0, 2.0, 2.0]], dtype=torch.float64)
    tilted = w + torch.tensor([[2e-9, -1e-9, 0.0]], dtype=torch.float64)
    assert_close(fronts.angle(tilted, w).item(), math.degrees(math.sqrt(5) * 1e-9 / 3), rtol=1e-6, atol=0)
    assert_close(fronts.angle(torch.tensor([[0.0, 1.0, -1.0]], dtype=torch.float64), w).item(), 90.0)
    assert fronts.angle(torch.zeros(1, 3), w).isnan()


def test_pbi_by_hand():
    point, w = torch.tensor([[3.0, 1.0]]), torch.tensor([[2.0, 0.0]])
    assert fronts.pbi(point, w) == 3 + 5 * 1


def test_shapes_that_do_not_fit():
    with pytest.raises(InputError, match="end alike"):
        fronts.pbi(torch.ones(3, 2), torch.ones(4, 2))
    with pytest.raises(InputError, match="two of them"):
        fronts.spacing(torch.ones(1, 2))
    with pytest.raises(InputError, match="agree in K"):
        fronts.igd(torch.ones(3, 2), torch.ones(4, 3))


def test_deltas_have_opposite_signs_and_different_averages():
    metrics, baseline = torch.tensor([0.8, 0.5, 30.0]), torch.tensor([1.0, 1.0, 20.0])
    higher = [True, True, False]
    assert fronts.delta_m(metrics, baseline, higher).item() == pytest.approx(100 * (0.2 + 0.5 + 0.5) / 3)
    by_task = -100 * ((0.2 + 0.5) / 2 + 0.5) / 2
    assert fronts.delta_p(metrics, baseline, higher, ["a", "a", "b"]).item() == pytest.approx(by_task)
    assert fronts.delta_m(metrics.expand(4, 3), baseline, higher).shape == (4,)


def test_delta_m_of_a_published_row():
    """Nash-MTL on QM9: the row and its baseline give the printed 62.0 within the rounding of the row."""
    row = torch.tensor([0.102, 0.248, 82.95, 81.89, 2.42, 5.38, 74.5, 75.02, 75.10, 74.16, 0.093])
    alone = torch.tensor([0.0671, 0.1814, 60.576, 53.915, 0.5027, 4.539, 58.838, 64.244, 63.852, 66.223, 0.07212])
    assert fronts.delta_m(row, alone, [False] * 11).item() == pytest.approx(62.0, abs=1.5)


def test_delta_m_of_a_published_row_of_both_signs():
    """Nash-MTL, Cityscapes, row LS (22.60), from its printed numbers; two metrics are better when higher, two when lower."""
    row, alone = torch.tensor([75.18, 93.49, 0.0155, 46.77]), torch.tensor([74.01, 93.16, 0.0125, 27.77])
    better = [True, True, False, False]
    assert fronts.delta_m(row, alone, better).item() == pytest.approx(22.60, abs=0.1)
    assert fronts.delta_m(alone, alone, better).item() == 0


def test_deltas_refuse():
    one = torch.ones(2)
    with pytest.raises(InputError, match="one entry per metric"):
        fronts.delta_m(one, one, [True])
    with pytest.raises(InputError, match="baseline of zero"):
        fronts.delta_m(one, torch.tensor([1.0, 0.0]), [True, True])
    with pytest.raises(InputError, match="name the task"):
        fronts.delta_p(one, one, [True, True], ["a"])


@pytest.mark.parametrize("directions", [fronts.directions.das_dennis(3, 5), fronts.directions.random(50, 4)])
def test_directions_lie_on_the_simplex(directions):
    assert directions.dtype == torch.float64
    assert (directions >= 0).all()
    assert_close(directions.sum(dim=-1), torch.ones(len(directions), dtype=torch.float64))


def test_numbers_of_directions():
    assert fronts.directions.das_dennis(3, 12).shape == (91, 3)
    assert torch.equal(fronts.directions.random(5, 3, seed=2), fronts.directions.random(5, 3, seed=2))
    assert_close(fronts.directions.random(20_000, 3).mean(dim=0), torch.full((3,), 1 / 3).double(), atol=0.01, rtol=0)
    for call in (lambda: fronts.directions.das_dennis(1, 5), lambda: fronts.directions.riesz(2, 3)):
        with pytest.raises(InputError, match="at least"):
            call()


def test_riesz_directions_spread_better_than_random_ones():
    spread = fronts.directions.riesz(15, 3)
    assert spread.shape == (15, 3)
    assert fronts.min_distance(spread) > 2 * fronts.min_distance(fronts.directions.random(15, 3))


def ray_point(a, b):
    """Where the ray (a, b) meets the concave pair's front."""

    def pair(t):
        return 1 - math.exp(-((t - 1) ** 2)), 1 - math.exp(-((t + 1) ** 2))

    t = brentq(lambda t: pair(t)[0] * b - pair(t)[1] * a, -1, 1, xtol=1e-15)
    return torch.tensor(pair(t), dtype=torch.float64)
