"""Gradients, evolution, gradients: what each part finds, and that holes are filled."""

import math
from dataclasses import replace

import pytest
import torch

from moo_mtl import fronts, problems, rules
from moo_mtl.errors import InputError
from moo_mtl.fronts import hybrid
from moo_mtl.fronts.archive import GRID, Archive, far_apart
from moo_mtl.fronts.filling import fill, gabriel

SMOOTH = rules.get("soft-modified-tchebycheff", mu=0.05)


@pytest.fixture(scope="module")
def zdt4():
    """Behind its many local fronts gradients alone do not find the one that counts."""
    return hybrid(problems.get("zdt4", n_dim=5), SMOOTH, n=60, evaluations=18_000, population=40)


def share(problem, front):
    return fronts.hypervolume(front.points, problem.ref_point) / fronts.hypervolume(problem.front(1000), problem.ref_point)


def test_gradients_stop_on_local_fronts_evolution_leaves_them_and_gradients_fill(zdt4):
    problem = problems.get("zdt4", n_dim=5)
    traced, explored, filled = (share(problem, front) for front in zdt4[:3])
    assert traced < 0.1 < explored < filled
    assert filled > 0.985
    assert fronts.gd_plus(zdt4.filled.points, problem.front(500)) < 2e-3


def test_every_point_comes_with_its_certificate(zdt4):
    problem = problems.get("zdt4", n_dim=5)
    assert len(zdt4.filled) == 60
    assert len(zdt4.filled.non_dominated()) == 60
    assert torch.equal(problem.evaluate(zdt4.filled.x), zdt4.filled.points)
    assert zdt4.filled.upper.median() < zdt4.explored.upper.median()
    low, high = problem.bounds
    assert ((zdt4.filled.x >= low) & (zdt4.filled.x <= high)).all()


def test_evaluations_are_counted_and_kept_to():
    plain, counted = problems.get("zdt1", n_dim=4), [0]

    def evaluate(x):
        counted[0] += x.shape[:-1].numel() * (1 + plain.n_tasks if x.requires_grad else 1)
        return plain.evaluate(x)

    watched = replace(plain, evaluate=evaluate, exact_front=None, exact_set=None)
    found = hybrid(watched, SMOOTH, n=20, evaluations=4_000, population=20)
    assert sum(found.evaluations) <= 4_000
    # What is evaluated again is what was counted before: the recorded points and the certificates.
    assert sum(found.evaluations) <= counted[0] <= 1.25 * sum(found.evaluations)


def test_a_hole_is_filled_from_its_two_sides():
    """Also where one side is crowded: the points that serve a ray in the hole best are then one from each side."""
    problem = problems.get("zdt2", n_dim=4)
    x = problem.pareto_set(101)
    begin = Archive.of(problem, torch.cat([x[:20], x[-20:]]))
    rounds = []
    found = fill(problem, begin, SMOOTH, n=60, evaluations=6_000, progress=lambda archive: rounds.append(len(archive.points)))
    assert len(rounds) > 1
    assert rounds[-1] == len(found.archive.points)
    assert found.evaluations <= 6_000
    gaps = found.archive.points.sort(dim=0).values[:, 0].diff()
    assert gaps.max() < 0.04 < 0.5 < begin.points.sort(dim=0).values[:, 0].diff().max()


def test_gabriel_neighbours_are_those_of_the_definition():
    points = torch.rand(30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    middles, lengths = gabriel(points, 29)
    expected = set()
    for i in range(30):
        for j in range(i):
            middle = (points[i] + points[j]) / 2
            away = (points - middle).norm(dim=-1)
            away[[i, j]] = torch.inf
            if away.min() >= (points[i] - points[j]).norm() / 2:
                expected.add(tuple(middle.tolist()))
    assert {tuple(middle.tolist()) for middle in middles} == expected
    assert lengths.min() > 0


def test_points_far_apart_begin_with_the_best_in_each_loss():
    points = torch.stack([torch.linspace(0, 1, 101), 1 - torch.linspace(0, 1, 101)], dim=-1).double()
    chosen = far_apart(points, 5)
    assert points[chosen, 0].sort().values.tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert far_apart(points, 200).tolist() == list(range(101))


def test_an_archive_keeps_each_point_once():
    problem = problems.get("zdt1", n_dim=2)
    x = torch.tensor([[0.2, 0.0], [0.2, 0.0], [0.2, 0.5], [0.7, 0.0], [math.nan, 0.0]], dtype=torch.float64)
    kept = Archive.of(problem, x)
    assert kept.x.tolist() == [[0.2, 0.0], [0.7, 0.0]]
    assert len(kept.joined(kept).points) == 2


@pytest.mark.parametrize(
    ("problem", "settings", "said"),
    [
        ("two-task-toy", {}, "no box to explore"),
        ("zdt1", {"algorithm": "nsga9"}, "unknown algorithm 'nsga9'"),
        ("zdt1", {"shares": (0.8, 0.4)}, "add up to at most 1"),
        ("zdt1", {"evaluations": 10}, "too few"),
        ("zdt1", {"rule": rules.get("mgda")}, "follows no preference"),
    ],
)
def test_what_cannot_be_done_is_refused(problem, settings, said):
    settings = {"rule": SMOOTH, **settings}
    with pytest.raises(InputError, match=said):
        hybrid(problems.get(problem), **settings)


def test_a_point_far_behind_the_front_does_not_stretch_its_units():
    """Better by 1e-30 in one loss, it is not dominated, and a range of 14 would leave all rays of use in one corner.

    What it costs is at most one cell of the stretched range.
    """
    t = torch.linspace(0, 1, 50, dtype=torch.float64)
    points = torch.cat([torch.stack([t, 1 - t], dim=-1), torch.tensor([[-1e-30, 14.0]], dtype=torch.float64)])
    _, span = Archive(points, points).units()
    assert ((span <= 1) & (span >= 1 - 14 / GRID)).all()


def test_evolution_alone_is_filled_and_spreads_more_points_for_four_losses():
    found = hybrid(problems.get("dtlz2", n_tasks=4), SMOOTH, n=30, evaluations=3_000, shares=(0.0, 0.5))
    assert found.evaluations[:2] == (0, 1_500)  # three generations of MANY_LOSSES.population
    assert len(found.traced) == 0
    assert len(found.filled) == 30
