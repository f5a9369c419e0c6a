"""The certificate brackets the distance to stationarity: for anybody's weights, within a box, and from half-batches."""

import numpy as np
import pytest
import torch

from moo_mtl import certify, solvers
from moo_mtl.certificate import estimate, with_heads
from moo_mtl.errors import InputError
from tests.oracles import gramian
from tests.samplers import GEOMETRIES, MOVING, generic, six_decades, strongly_stationary, weakly_stationary, zero_row


def distance(rows, at_bounds=None):
    """dist(0, hull of the rows + normals of the active bounds), stated in CVXPY."""
    import cvxpy as cp

    w, normal = cp.Variable(len(rows)), cp.Variable(rows.shape[1])
    side = np.zeros(rows.shape[1]) if at_bounds is None else at_bounds
    constraints = [w >= 0, cp.sum(w) == 1, cp.multiply(side == 0, normal) == 0, cp.multiply(side, normal) >= 0]
    problem = cp.Problem(cp.Minimize(cp.norm(rows.T @ w + normal)), constraints)
    problem.solve(solver=cp.CLARABEL)
    return problem.value


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_brackets_the_exact_distance_for_any_weights(geometry):
    G = gramian(GEOMETRIES[geometry](batch=(30,), tasks=4, dim=6))
    exact = certify(G)
    theirs = certify(G, weights=torch.rand(30, 4, generator=torch.Generator().manual_seed(1)))
    scale = G.diagonal(dim1=-2, dim2=-1).amax(dim=-1).sqrt()
    assert (theirs.lower <= exact.upper + 1e-7 * scale).all()
    assert (theirs.upper >= exact.lower - 1e-7 * scale).all()
    assert (exact.lower <= exact.upper).all()
    torch.testing.assert_close(exact.gap, exact.upper - exact.lower)


@pytest.mark.parametrize("geometry", MOVING)
def test_exact_weights_close_the_gap(geometry):
    rows = GEOMETRIES[geometry](batch=(10,), tasks=4, dim=6)
    exact = certify(gramian(rows))
    assert (exact.gap <= 1e-9 * exact.upper).all()
    assert (exact.status == "bounded").all()
    for J, upper in zip(rows[:2].numpy(), exact.upper[:2], strict=True):
        assert upper.item() == pytest.approx(distance(J), rel=1e-5)


@pytest.mark.parametrize("geometry", [strongly_stationary, weakly_stationary, zero_row])
def test_stationary_points_are_called_so(geometry):
    rows = geometry(batch=(20,), tasks=4, dim=6)
    certificate = certify(gramian(rows))
    assert (certificate.status == "stationary").all()
    assert (certify(gramian(rows), rows=rows).upper <= 1e-7 * rows.norm(dim=-1).amax(dim=-1)).all()


def test_gradients_of_any_size():
    rows = generic(batch=(10,), tasks=3, dim=5)
    one = certify(gramian(rows))
    for scale in (1e-30, 1e30, 1e-140, 1e140):
        other = certify(gramian(scale * rows))
        torch.testing.assert_close(other.upper / scale, one.upper, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(other.lower / scale, one.lower, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sampler", [generic, six_decades])
@pytest.mark.parametrize(("tasks", "dim"), [(2, 3), (3, 6), (5, 10), (1, 4)])
def test_within_a_box(sampler, tasks, dim):
    rows = sampler(batch=(40,), tasks=tasks, dim=dim)
    side = torch.randint(-1, 2, (40, dim), generator=torch.Generator().manual_seed(2))
    boxed, free = certify(gramian(rows), rows=rows, at_bounds=side), certify(gramian(rows))
    scale = rows.norm(dim=-1).amax(dim=-1)
    assert (boxed.gap <= 1e-7 * scale).all()  # exact: the lower bound meets the upper one
    assert (boxed.upper <= free.upper + 1e-9 * scale).all()
    for b in range(3):
        expected = distance(rows[b].numpy() / scale[b].item(), side[b].numpy()) * scale[b].item()
        assert boxed.upper[b].item() == pytest.approx(expected, abs=1e-6 * scale[b].item())
    theirs = certify(gramian(rows), rows=rows, at_bounds=side, weights=torch.ones(tasks))
    assert (theirs.lower <= boxed.upper + 1e-12 * scale).all()
    assert (theirs.upper >= boxed.lower - 1e-12 * scale).all()


def test_an_optimum_of_zdt1_is_stationary_only_within_its_box():
    x = torch.zeros(30, dtype=torch.float64)
    x[0] = 0.5
    root = torch.tensor(0.5, dtype=torch.float64).sqrt()
    second = (1 - root / 2) * torch.full((30,), 9 / 29, dtype=torch.float64)  # df2/dx_i = g'(1 - sqrt(x1/g)/2) at g = 1
    second[0] = -1 / (2 * root)
    rows = torch.stack([torch.eye(30, dtype=torch.float64)[0], second])
    side = torch.where(torch.arange(30) > 0, -1, 0)
    assert certify(gramian(rows)).lower > 0.5
    boxed = certify(gramian(rows), rows=rows, at_bounds=side)
    assert boxed.status == "stationary"
    assert boxed.upper < 1e-12


def test_nothing_at_a_bound_changes_nothing():
    rows = generic(batch=(5,), tasks=3, dim=4)
    boxed = certify(gramian(rows), rows=rows, at_bounds=torch.zeros(5, 4))
    torch.testing.assert_close(boxed.upper, certify(gramian(rows)).upper)
    torch.testing.assert_close(boxed.weights, certify(gramian(rows)).weights)


def test_any_rule_can_be_certified():
    G = gramian(GEOMETRIES["non_stationary"](batch=(10,), tasks=4, dim=6))
    exact = certify(G).upper
    for weights in (
        solvers.aligned(G).weights,
        solvers.nash(G).weights,
        1e200 * torch.ones(4, dtype=torch.float64),
        -torch.ones(4),
    ):
        theirs = certify(G, weights=weights)
        torch.testing.assert_close(theirs.weights.sum(dim=-1), torch.ones(10, dtype=torch.float64))
        assert (theirs.lower <= exact * (1 + 1e-12)).all()
        assert (theirs.upper >= exact * (1 - 1e-12)).all()


def test_absent_tasks_are_left_out():
    G = gramian(generic(batch=(5,), tasks=4, dim=6))
    present = torch.tensor([True, True, False, True])
    torch.testing.assert_close(certify(G, present=present).upper, certify(G[:, present][:, :, present]).upper)


def test_what_is_not_finite_is_said_member_by_member():
    G = torch.eye(2, dtype=torch.float64).repeat(3, 1, 1)
    G[1, 0, 0] = torch.nan
    certificate = certify(G)
    assert certificate.status.tolist() == ["bounded", "nonfinite", "bounded"]
    assert certificate.upper[1].isnan()
    assert certify(G[0], weights=torch.tensor([1.0, torch.nan])).status == "nonfinite"
    assert certify(torch.eye(2)).status == "bounded"


def test_half_batches_estimate_without_bias():
    generator = torch.Generator().manual_seed(0)
    rows = strongly_stationary(tasks=3, dim=8)
    weights = solvers.min_norm(gramian(rows)).weights
    noisy = rows + torch.randn(2, 4000, 3, 8, generator=generator, dtype=torch.float64)
    certificate = estimate(noisy[0] @ noisy[1].mT, weights)
    assert (certificate.status == "estimate").all()
    signed = certificate.upper * certificate.upper.abs()
    assert (signed < 0).any()
    plug_in = certify(gramian(noisy[0]), weights=weights).upper.square()
    error = signed.std() / 4000**0.5
    assert signed.mean().abs() < 4 * error  # the true value is 0
    assert plug_in.mean() > 40 * error  # the plug-in value is not


def test_heads_can_only_add():
    G = gramian(strongly_stationary(batch=(10,), tasks=3, dim=5))
    heads = torch.full((3,), 0.25, dtype=torch.float64)
    assert (certify(G).status == "stationary").all()
    both = certify(with_heads(G, heads))
    assert (both.status == "bounded").all()
    assert (both.lower > 0.1).all()


def test_wrong_arguments_are_named():
    G = torch.eye(3, dtype=torch.float64)
    with pytest.raises(InputError, match="needs rows"):
        certify(G, at_bounds=torch.zeros(5))
    with pytest.raises(InputError, match="rows"):
        certify(G, rows=torch.ones(2, 5))
    with pytest.raises(InputError, match="at_bounds"):
        certify(G, rows=torch.ones(3, 5), at_bounds=torch.zeros(4))
    with pytest.raises(InputError, match="weights"):
        certify(G, weights=torch.ones(2))
