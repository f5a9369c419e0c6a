"""Evolution first, gradients after: what the polish may and may not do."""

import pytest
import torch

from moo_mtl import fronts, problems, rules
from moo_mtl.errors import InputError
from moo_mtl.fronts import hybrid


@pytest.fixture(scope="module")
def zdt4():
    """Behind its many local fronts gradients alone do not find the one that counts."""
    settings = {"population": 40, "generations": 120, "steps": 60, "lr": lambda step: 1e-4 * (1 - step / 61)}
    return hybrid(problems.get("zdt4", n_dim=5), rules.get("mgda"), **settings)


def test_no_member_is_worse_than_it_was_and_the_population_is_better(zdt4):
    problem = problems.get("zdt4", n_dim=5)
    before, after = zdt4.explored.points, zdt4.polished.points
    assert (after <= before + 1e-12).all()
    front = problem.front(500)
    assert fronts.gd_plus(after, front) < 0.2 * fronts.gd_plus(before, front)
    assert fronts.hypervolume(after, problem.ref_point) > fronts.hypervolume(before, problem.ref_point)


def test_every_point_comes_with_its_certificate(zdt4):
    problem = problems.get("zdt4", n_dim=5)
    assert zdt4.polished.upper.isfinite().all()
    assert zdt4.polished.upper.median() < 0.3 * zdt4.explored.upper.median()
    assert torch.equal(problem.evaluate(zdt4.polished.x), zdt4.polished.points)


def test_evaluations_are_counted(zdt4):
    assert zdt4.evaluations == (40 * 120, 60 * 40 * 3)


def test_what_cannot_be_explored_is_refused():
    with pytest.raises(InputError, match="no box to explore"):
        hybrid(problems.get("two-task-toy"), rules.get("mgda"))
    with pytest.raises(InputError, match="unknown algorithm 'nsga9'"):
        hybrid(problems.get("zdt1"), rules.get("mgda"), "nsga9")
