"""Nash and FairGrad over many alphas and six decades of lengths, against Newton's method in sixty digits."""

import mpmath
import pytest
import torch

from moo_mtl import solvers
from tests.oracles import gramian
from tests.samplers import conflicting, low_rank, near_duplicates, non_stationary, rank_one, six_decades, strongly_stationary

ALPHAS = [0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0]


def exact_weights(G, near, alpha):
    """The root of ``(Gw)_k w_k = w_k^(1 - 1/alpha)`` by Newton in log w with sixty digits, from weights near it."""
    with mpmath.workdps(60):
        K, alpha, G = len(near), mpmath.mpf(alpha), mpmath.matrix(G.tolist())
        logs = mpmath.matrix([mpmath.log(mpmath.mpf(w)) for w in near.tolist()])
        for _ in range(100):
            w = [mpmath.exp(x) for x in logs]
            M = mpmath.matrix(K, K)
            for i in range(K):
                for j in range(K):
                    M[i, j] = G[i, j] * w[i] * w[j]
            error = mpmath.matrix([sum(M[i, :]) - w[i] ** (1 - 1 / alpha) for i in range(K)])
            for i in range(K):
                M[i, i] += w[i] ** (1 - 1 / alpha) / alpha
            step = mpmath.lu_solve(M, -error)
            size = max(abs(x) for x in step)
            logs += step * min(1, 1 / size) if size > 0 else step
            if size < mpmath.mpf(10) ** -30:
                return [mpmath.exp(x) for x in logs]
    raise AssertionError("no convergence in sixty digits")


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("geometry", [six_decades, non_stationary, conflicting, near_duplicates])
def test_weights_are_those_of_sixty_digits(geometry, alpha):
    G = gramian(geometry(batch=(100,), tasks=5, dim=8))
    solution = solvers.fairgrad(G, alpha)
    assert solution.converged.all()
    for member in range(0, 100, 20):
        exact = exact_weights(G[member], solution.weights[member], alpha)
        errors = [abs(float(mpmath.mpf(w) / x - 1)) for w, x in zip(solution.weights[member].tolist(), exact, strict=True)]
        assert max(errors) <= max(10 * solution.gap[member].item(), 1e-12)
        assert max(errors) < 1e-7


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("geometry", [strongly_stationary, rank_one])
def test_no_solution_at_stationary_points(geometry, alpha):
    solution = solvers.fairgrad(gramian(geometry(batch=(20,), tasks=4, dim=6)), alpha)
    assert not solution.converged.any()
    assert (solution.weights == 0).all()


def test_rounding_that_hides_the_answer_is_reported():
    """Four rows in a plane: many members are stationary. Whatever is said to be solved is, and what clearly moves is solved."""
    G = gramian(low_rank(batch=(200,), tasks=4, dim=6))
    solution = solvers.nash(G)
    solved = solution.converged
    rates = (G @ solution.weights.unsqueeze(-1)).squeeze(-1) * solution.weights
    torch.testing.assert_close(rates[solved], torch.ones_like(rates[solved]), rtol=1e-6, atol=1e-6)
    nearest = solvers.min_norm(G).value / G.diagonal(dim1=-2, dim2=-1).amax(dim=-1)
    assert (nearest[solved] > 1e-12).all()
    assert solved[nearest > 1e-6].all()
