"""Every point of an exact Pareto set is certified stationary, with the bounds of its box counted."""

import os
import subprocess
import sys

import pytest
import torch

from moo_mtl import certify, problems
from moo_mtl.box import Box
from moo_mtl.errors import InputError
from moo_mtl.gramian import gramian

KNOWN = [name for name in problems.NAMES if problems.get(name).exact_set is not None]

KINKS = {"uf5"}  # every point of its front is a kink of both losses: no gradient, and no first-order certificate


def certificates(problem, x):
    box = Box.of(problem, "project" if problem.bounds is not None else None, x)
    rows = box.rows(x, problem.jacobian(x))  # without what no task can use, whose slopes may be huge
    return certify(gramian(rows), rows=rows, at_bounds=box.sides(x)), rows


def smooth_points(problem, n):
    """The Pareto set without the points where a slope jumps: the ends of UF6's and UF9's pieces."""
    x = problem.pareto_set(n)
    if problem.name in ("uf6", "uf9"):
        ends = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
        x = x[((x[:, :1] - ends).abs() > 1e-9).all(dim=-1)]
    return x


@pytest.mark.parametrize("name", sorted({*KNOWN} - KINKS))
def test_the_pareto_set_is_certified(name):
    problem = problems.get(name)
    x = smooth_points(problem, 61)
    assert len(x) > 40
    certificate, rows = certificates(problem, x)
    assert rows.isfinite().all()
    assert (certificate.status == "stationary").all()
    longest = rows.norm(dim=-1).amax(dim=-1)
    assert (certificate.upper <= 1e-7 * longest).all()


@pytest.mark.parametrize("name", KNOWN)
def test_points_off_the_set_are_not(name):
    """The certificate is not merely blind: halfway to random points, most are proved non-stationary.

    DTLZ4 and MaF5 raise positions to the power 100, so that gradients truly vanish but near the set.
    """
    problem = problems.get(name)
    generator = torch.Generator().manual_seed(3)
    if problem.bounds is None:
        far = 5 * torch.randn(61, problem.n_dim, generator=generator, dtype=torch.float64)
    else:
        far = torch.lerp(*problem.bounds, torch.rand(61, problem.n_dim, generator=generator, dtype=torch.float64))
    x = torch.lerp(problem.pareto_set(61), far, 0.005 if name in ("dtlz4", "maf5") else 0.5)
    certificate, _ = certificates(problem, x)
    assert ((certificate.lower > 0).numpy() & (certificate.status == "bounded")).mean() > 0.5


def scaled():
    names = [*(name for name in KNOWN if name.startswith(("dtlz", "inverted", "convex", "maf"))), "quadratic"]
    known_to_three = ("dtlz5", "dtlz6")
    return [(name, n_tasks) for name in names for n_tasks in (2, 3, 5, 10) if n_tasks <= 3 or name not in known_to_three]


@pytest.mark.parametrize(("name", "n_tasks"), scaled())
def test_for_any_number_of_tasks(name, n_tasks):
    problem = problems.get(name, n_tasks=n_tasks)
    certificate, _ = certificates(problem, problem.pareto_set(40))
    assert (certificate.status == "stationary").all()


@pytest.mark.parametrize("condition", [1.0, 1e4])
@pytest.mark.parametrize("imbalance", [1.0, 1e6])
@pytest.mark.parametrize(("n_tasks", "angle"), [(2, 5.0), (2, 179.0), (3, 119.0), (5, 90.0)])
def test_quadratics_have_the_angles_and_scales_asked_for(n_tasks, angle, condition, imbalance):
    problem = problems.get("quadratic", n_tasks=n_tasks, n_dim=7, angle=angle, condition=condition, imbalance=imbalance, seed=4)
    rows = problem.jacobian(problem.starts[0])
    lengths = rows.norm(dim=-1)
    assert (lengths.max() / lengths.min()).item() == pytest.approx(imbalance, rel=1e-9)
    unit = rows / lengths.unsqueeze(-1)
    for a in range(n_tasks):
        for b in range(a):
            assert torch.rad2deg(torch.acos(unit[a] @ unit[b])).item() == pytest.approx(angle, abs=1e-6)
    hessian = torch.autograd.functional.hessian(lambda x: problem.evaluate(x)[-1], problem.starts[0])
    values = torch.linalg.eigvalsh(hessian)
    assert (values[-1] / values[0]).item() == pytest.approx(condition, rel=1e-6)
    assert (problem.evaluate(problem.pareto_set(20)) >= 0).all()


def test_quadratics_of_many_variables_return_with_two_threads():
    """MKL's threads never came back from the LU of several matrices with 160 rows and more."""
    program = "import torch; torch.set_num_threads(2); from moo_mtl import problems\n"
    program += "problems.get('quadratic', n_tasks=3, n_dim=200).exact_set(9)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "2"})


def test_quadratics_refuse_impossible_angles():
    for parameters, message in (
        ({"n_tasks": 3, "angle": 120.0}, "between 0 and 120"),
        ({"n_tasks": 2, "angle": 180.0}, "between 0 and 180"),
        ({"n_tasks": 5, "n_dim": 4}, "n_dim must be an integer of at least 5"),
        ({"condition": 0.5}, "at least 1"),
    ):
        with pytest.raises(InputError, match=message):
            problems.get("quadratic", **parameters)


def test_every_pareto_set_has_finite_gradients():
    """Also where the formula's slope is infinite: trajectories projected onto the box must survive there."""
    for name in KNOWN:
        problem = problems.get(name)
        assert problem.jacobian(problem.pareto_set(33)).isfinite().all(), name
        if problem.bounds is not None:
            assert problem.jacobian(torch.stack(problem.bounds)).isfinite().all(), name
