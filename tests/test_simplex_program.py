"""Programs over the simplex beside SciPy's HiGHS, and beside the min-norm solver."""

import pytest
import torch
from scipy.optimize import linprog

from moo_mtl.solvers import min_norm
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
