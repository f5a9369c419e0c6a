"""Programs over the simplex beside SciPy's HiGHS, and beside the min-norm solver."""

from fractions import Fraction

import pytest
import torch
from scipy.optimize import linprog

from moo_mtl.solvers import min_norm
from moo_mtl.solvers.simplex_program import _solve as interior_point
from moo_mtl.solvers.simplex_program import simplex_program


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 2), (3, 4), (8, 9), (20, 21)])
def test_linear_programs_reach_the_optimum_of_highs(n, m):
    members = 10
    c, A = normal(members, n), normal(members, m, n, seed=1)
    b = A.mean(dim=-1) - normal(members, m, seed=2).abs()
    found = simplex_program(c, above=(A, b))
    assert found.converged.all()
    assert ((A @ found.weights[..., None]).squeeze(-1) >= b - 1e-9).all()
    for member in range(members):
        exact = linprog(c[member].numpy(), A_ub=-A[member].numpy(), b_ub=-b[member].numpy(), A_eq=[[1.0] * n], b_eq=[1.0])
        assert found.value[member].item() == pytest.approx(exact.fun, abs=1e-9)


def test_infeasible_programs_are_not_converged():
    each_above_half = (torch.eye(3, dtype=torch.float64), torch.full((3,), 0.6, dtype=torch.float64))
    assert not simplex_program(normal(3), above=each_above_half).converged


@pytest.mark.parametrize("decades", [0, 3])
def test_quadratic_programs_are_the_min_norm_point(decades):
    rows = normal(20, 6, 9) * 10 ** (decades * torch.rand(20, 6, 1, generator=torch.Generator().manual_seed(3)).double())
    G = rows @ rows.mT
    found = simplex_program(torch.zeros(20, 6, dtype=torch.float64), G)
    assert found.converged.all()
    torch.testing.assert_close(found.weights, min_norm(G).weights, rtol=0, atol=1e-7)


def test_absent_variables_are_left_out():
    c, A = normal(4), normal(5, 4, seed=1)
    b = A[:, :3].mean(dim=-1) - 0.5
    present = torch.tensor([True, True, True, False])
    whole, part = simplex_program(c, above=(A, b), present=present), simplex_program(c[:3], above=(A[:, :3], b))
    assert whole.weights[3] == 0
    torch.testing.assert_close(whole.weights[:3], part.weights, rtol=0, atol=1e-9)


def by_vertices(c, A, b):
    """The linear program over (s, 1 - s) in exact fractions: the best feasible end, of the segment or of an inequality."""
    c, A, b = (list(map(Fraction, c)), [list(map(Fraction, row)) for row in A], list(map(Fraction, b)))
    ends = [Fraction(0), Fraction(1)]
    ends += [(low - right) / (left - right) for (left, right), low in zip(A, b, strict=True) if left != right]
    feasible = [
        s
        for s in ends
        if 0 <= s <= 1 and all(left * s + right * (1 - s) >= low for (left, right), low in zip(A, b, strict=True))
    ]
    return min(feasible, key=lambda s: (c[0] - c[1]) * s) if feasible else None


def two_variables(members, m, decades=0.0):
    c, A, b = normal(members, 2), normal(members, m, 2, seed=1), 0.5 * normal(members, m, seed=2)
    size = 10 ** (decades * normal(members, m, seed=3))
    return c, A * size[..., None], b * size


@pytest.mark.parametrize("decades", [0.0, 4.0])
@pytest.mark.parametrize("m", [1, 3])
def test_two_variables_are_an_exact_vertex(m, decades):
    c, A, b = two_variables(300, m, decades)
    found = simplex_program(c, above=(A, b))
    exact = [by_vertices(*member) for member in zip(c.tolist(), A.tolist(), b.tolist(), strict=True)]
    solvable = torch.tensor([s is not None for s in exact])
    assert 0.1 < solvable.double().mean() < 0.95
    assert torch.equal(found.converged, solvable)
    for weights, s in zip(found.weights[solvable].tolist(), (s for s in exact if s is not None), strict=True):
        assert weights == pytest.approx([float(s), float(1 - s)], abs=1e-12)


@pytest.mark.parametrize("curved", [False, True])
def test_two_variables_agree_with_the_interior_point(curved):
    c, A, b = two_variables(300, 3)
    rows = normal(300, 2, 4, seed=4)
    Q = rows @ rows.mT if curved else None
    found = simplex_program(c, Q, above=(A, b))
    everything = torch.ones(300, 2, dtype=torch.bool)
    x, _, converged = interior_point(c, torch.zeros(300, 2, 2).double() if Q is None else Q, A, b, everything, everything[0])
    assert torch.equal(found.converged, converged)
    torch.testing.assert_close(found.weights[converged], x[converged], rtol=0, atol=1e-6)


def test_two_variables_keep_small_digits():
    """Lengths six decades apart: the min-norm point of orthogonal rows is (1e-12, 1) / (1 + 1e-12)."""
    G = torch.diag_embed(torch.tensor([[1.0, 1e-12], [1e-12, 1.0]], dtype=torch.float64))
    found = simplex_program(torch.zeros(2, 2, dtype=torch.float64), G)
    small = 1e-12 / (1 + 1e-12)
    expected = torch.tensor([[small, 1 - small], [1 - small, small]], dtype=torch.float64)
    assert found.converged.all()
    torch.testing.assert_close(found.weights, expected, rtol=1e-14, atol=0)


def test_of_several_solutions_of_two_variables_the_middle():
    found = simplex_program(torch.ones(2), above=(torch.tensor([[1.0, 0.0]]), torch.tensor([0.5])))
    torch.testing.assert_close(found.weights, torch.tensor([0.75, 0.25], dtype=torch.float64))


@pytest.mark.parametrize("present", [[True, False], [False, True]])
def test_one_variable_of_two(present):
    A, b = torch.tensor([[1.0, -1.0], [0.0, 0.0]]), torch.tensor([-2.0, -torch.inf])
    found = simplex_program(normal(2), above=(A, b), present=torch.tensor(present))
    assert found.converged
    assert found.weights.tolist() == [float(here) for here in present]
    beyond = simplex_program(normal(2), above=(A, torch.tensor([1.5, -torch.inf])), present=torch.tensor(present))
    assert not beyond.converged
