"""The compiled programs and the torch path give the same answers, and what is not proven here is solved there."""

import pytest
import torch

from moo_mtl import solvers
from moo_mtl.solvers import fast
from tests.oracles import gramian, mean_square
from tests.samplers import GEOMETRIES, generic, near_duplicates, six_decades

if not fast.installed():
    pytest.skip("Numba is not installed (pip install moo_mtl[fast])", allow_module_level=True)

PROGRAMS = {
    "min_norm": solvers.min_norm,
    "dualproj": solvers.dualproj,
    "upgrad": solvers.upgrad,
    "cagrad": lambda G: solvers.cagrad(G, 0.4),
}
PARAMETERS = {"cagrad": (0.4,)}


def compiled(name, G):
    """The compiled answers and the indices of the members that are left to the general path."""
    asked = []

    def general(left):
        asked.append(len(left))
        return PROGRAMS[name](left)

    solution = fast.solve(name, G, general, *PARAMETERS.get(name, ()))
    return solution, sum(asked)


@pytest.fixture
def by_torch(monkeypatch):
    """The same programs without the compiled ones."""

    def call(name, G):
        with monkeypatch.context() as patch:
            patch.setattr(fast, "installed", lambda: False)
            return PROGRAMS[name](G)

    return call


@pytest.mark.parametrize("tasks", [2, 3, 5, 8, 20])
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_same_answers_as_the_torch_path(name, geometry, tasks, by_torch):
    if tasks < 3 and geometry == "weakly_stationary":
        pytest.skip("weakly stationary needs three tasks")
    rows = GEOMETRIES[geometry](batch=(20,), tasks=tasks, dim=tasks + 2)
    G = gramian(rows)
    ours, theirs = PROGRAMS[name](G), by_torch(name, G)
    assert ours.converged.all()
    assert theirs.converged.all()
    scale = mean_square(G)
    assert ((ours.value - theirs.value).abs() <= 1e-10 * scale).all()
    d, e = ((s.weights.unsqueeze(-1) * rows).sum(dim=-2) for s in (ours, theirs))  # weights of dependent rows are not unique
    size = (theirs.weights.unsqueeze(-1) * rows).norm(dim=-1).sum(dim=-1) + scale.sqrt()
    assert ((d - e).norm(dim=-1) <= 1e-6 * size).all()


@pytest.mark.parametrize("tasks", [3, 5, 12])
@pytest.mark.parametrize("geometry", [generic, six_decades])
@pytest.mark.parametrize("name", ["min_norm", "dualproj", "upgrad"])
def test_nothing_is_left_of_ordinary_batches(name, geometry, tasks):
    solution, left = compiled(name, gramian(geometry(batch=(500,), tasks=tasks, dim=tasks + 3)))
    assert left == 0
    assert solution.converged.all()


@pytest.mark.parametrize("name", PROGRAMS)
def test_members_that_are_left_do_not_depend_on_each_other(name):
    G = gramian(near_duplicates(batch=(6,), tasks=40, dim=50))
    clean, poisoned = PROGRAMS[name](G), G.clone()
    poisoned[0, 0, 1] = poisoned[0, 1, 0] = torch.inf
    assert torch.equal(PROGRAMS[name](poisoned).weights[1:], clean.weights[1:])


@pytest.mark.parametrize("name", PROGRAMS)
def test_members_that_are_not_proven_are_left(name):
    G = gramian(generic(batch=(6,), tasks=4, dim=7))
    G[1, 0, :] = G[1, :, 0] = 0.0
    G[3, 2, 1] = torch.nan
    G[4, 2, 2] = torch.inf
    solution, left = compiled(name, G)
    assert left >= 3
    assert solution.weights[[3, 4]].isnan().all()
    assert solution.converged.tolist() == [True, True, True, False, False, True]
    alone, _ = compiled(name, G[1])
    torch.testing.assert_close(alone.weights, solution.weights[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", PROGRAMS)
def test_threads_share_a_batch(name):
    G = gramian(generic(batch=(2, 20_000), tasks=5, dim=8))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one, _ = compiled(name, G)
        torch.set_num_threads(3)
        three, _ = compiled(name, G)
    finally:
        torch.set_num_threads(before)
    assert three.weights.shape == (2, 20_000, 5)
    assert all(torch.equal(a, b) for a, b in zip(one, three, strict=True))


@pytest.mark.parametrize("name", PROGRAMS)
def test_transposed_and_empty_batches(name):
    G = gramian(generic(batch=(4, 3), tasks=5, dim=8))
    there = PROGRAMS[name](G.transpose(0, 1))
    torch.testing.assert_close(there.weights, PROGRAMS[name](G).weights.transpose(0, 1))
    assert PROGRAMS[name](G[:0]).weights.shape == (0, 3, 5)
