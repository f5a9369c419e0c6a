"""Values and gradients against implementations that share no line with ours."""

import inspect

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from moo_mtl import fronts, problems
from tests.re_values import AUTHORS

PYMOO = {
    **{f"zdt{i}": {} for i in (1, 2, 3, 4, 6)},
    **{f"dtlz{i}": {"n_obj": 3} for i in range(1, 8)},
    "inverted-dtlz1": {"n_obj": 4},
    "convex-dtlz2": {"n_obj": 5},
    "kursawe": {},
}


def points(problem, n=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lower, upper = problem.bounds
    return lower + (upper - lower) * torch.rand(n, problem.n_dim, generator=generator, dtype=torch.float64)


def theirs(name, n_obj, problem):
    """pymoo's problem of the same sizes."""
    from pymoo.problems.many import dtlz
    from pymoo.problems.multi import kursawe, zdt

    title = {"inverted-dtlz1": "InvertedDTLZ1", "convex-dtlz2": "ConvexDTLZ2", "kursawe": "Kursawe"}.get(name, name.upper())
    factory = next(getattr(module, title) for module in (zdt, dtlz, kursawe) if hasattr(module, title))
    accepted = inspect.signature(factory).parameters
    sizes = {"n_var": problem.n_dim, **({"n_obj": n_obj} if n_obj else {})}
    return factory(**{key: value for key, value in sizes.items() if key in accepted})


@pytest.mark.parametrize("name", PYMOO)
def test_values_equal_pymoo(name):
    n_obj = PYMOO[name].get("n_obj")
    problem = problems.get(name, **({"n_tasks": n_obj} if n_obj else {}))
    pymoo = theirs(name, n_obj, problem)
    assert (pymoo.n_var, pymoo.n_obj) == (problem.n_dim, problem.n_tasks)
    np.testing.assert_allclose(pymoo.xl, problem.bounds[0])
    np.testing.assert_allclose(pymoo.xu, problem.bounds[1])
    x = points(problem)
    np.testing.assert_allclose(problem.evaluate(x), pymoo.evaluate(x.numpy(), return_values_of=["F"]), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", [*(f"zdt{i}" for i in (1, 2, 3, 4, 6)), *(f"dtlz{i}" for i in (1, 2, 3, 4))])
def test_fronts_are_pymoos(name):
    """Every point of pymoo's front lies among ours, which is dense; and none of ours is better or worse than theirs."""
    problem = problems.get(name)
    known = torch.from_numpy(theirs(name, PYMOO[name].get("n_obj"), problem).pareto_front())
    ours = problem.front(4_000)
    assert fronts.igd(ours, known) < (0.02 if problem.n_tasks == 3 else 5e-4)
    assert fronts.epsilon(torch.cat([ours, known]), ours) == 0
    assert fronts.epsilon(ours, known).abs() < (0.05 if problem.n_tasks == 3 else 2e-3)


@pytest.mark.parametrize("n_tasks", [2, 3, 5, 10])
@pytest.mark.parametrize("name", [f"dtlz{i}" for i in range(1, 8)])
def test_any_number_of_tasks_equals_pymoo(name, n_tasks):
    problem = problems.get(name, n_tasks=n_tasks)
    x = points(problem, 20)
    expected = theirs(name, n_tasks, problem).evaluate(x.numpy(), return_values_of=["F"])
    np.testing.assert_allclose(problem.evaluate(x), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", [f"uf{i}" for i in range(1, 11)])
def test_uf_values_equal_the_report_written_out(name):
    """The CEC 2009 report, one variable at a time in plain Python floats."""
    problem = problems.get(name, n_dim=13)
    for x in points(problem, 20):
        np.testing.assert_allclose(problem.evaluate(x), _uf(int(name[2:]), [None, *x.tolist()], 13), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", sorted(AUTHORS))
def test_re_values_equal_the_authors(name):
    problem = problems.get(name)
    lower, upper = problem.bounds
    i = torch.arange(problem.n_dim)
    x = torch.stack(
        [lower + (upper - lower) * (0.31 + 0.07 * i.double()), lower + (upper - lower) * (0.83 - 0.09 * i.double())]
    )
    scale = np.abs(AUTHORS[name]).max(axis=0)
    np.testing.assert_allclose(
        problem.evaluate(x).numpy() / np.maximum(scale, 1e-300), AUTHORS[name] / np.maximum(scale, 1e-300), atol=1e-12
    )


@pytest.mark.parametrize("name", ["re21", "re24", "re32", "re33", "re34", "re37", "re61"])
def test_re_ideal_points_are_the_minima_of_each_loss(name):
    """Each published ideal value is reached by minimising that loss alone, and not passed."""
    problem = problems.get(name)
    lower, upper = problem.bounds
    starts = torch.cat([points(problem, 4_000), torch.cartesian_prod(*torch.stack([lower, upper]).T)])
    values = problem.evaluate(starts)
    for k in range(problem.n_tasks):
        best = starts[values[:, k].argmin()]
        unit = (upper - lower).numpy()

        def loss(z, k=k, unit=unit):
            x = (lower + torch.from_numpy(unit * z)).clamp(lower, upper)
            losses, jacobian = problem.differentiate(x)
            return losses[k].item(), jacobian[k].numpy() * unit

        found = minimize(loss, (best - lower).numpy() / unit, jac=True, bounds=[(0, 1)] * problem.n_dim, tol=1e-14)
        lowest = min(found.fun, values[:, k].min().item())
        span = (problem.nadir - problem.ideal)[k].item()
        assert (lowest - problem.ideal[k].item()) / span == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize("name", ["vlmop1", "vlmop3", "fonseca", "kursawe", "two-task-toy"])
def test_gradients_equal_complex_steps(name):
    """The imaginary part of f(x + ih)/h has no cancellation, so that agreement is to rounding."""
    problem = problems.get(name)
    if problem.bounds is None:
        x = 4 * torch.randn(20, problem.n_dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    else:
        x = points(problem, 20, seed=1)
    numpy = COMPLEX[name](problem)
    expected = np.stack(
        [numpy(x.numpy() + 1e-30j * np.eye(problem.n_dim)[i]).imag / 1e-30 for i in range(problem.n_dim)], axis=-1
    )
    scale = np.abs(expected).max(axis=(0, 2), keepdims=True)
    np.testing.assert_allclose(problem.jacobian(x).numpy() / scale, expected / scale, atol=1e-13)


def _uf(number, x, n):
    from math import cos, exp, pi, prod, sin, sqrt

    three = number >= 8
    if number == 2:
        best = {
            j: (0.3 * x[1] ** 2 * cos(24 * pi * x[1] + 4 * j * pi / n) + 0.6 * x[1])
            * (cos if j % 2 else sin)(6 * pi * x[1] + j * pi / n)
            for j in range(2, n + 1)
        }
    elif number == 3:
        best = {j: x[1] ** (0.5 * (1 + 3 * (j - 2) / (n - 2))) for j in range(2, n + 1)}
    elif three:
        best = {j: 2 * x[2] * sin(2 * pi * x[1] + j * pi / n) for j in range(3, n + 1)}
    else:
        best = {j: sin(6 * pi * x[1] + j * pi / n) for j in range(2, n + 1)}
    y = {j: x[j] - best[j] for j in best}
    if three:
        groups = [[j for j in y if (j - 1) % 3 == 0], [j for j in y if (j - 2) % 3 == 0], [j for j in y if j % 3 == 0]]
    else:
        groups = [[j for j in y if j % 2 == 1], [j for j in y if j % 2 == 0]]
    single = {
        4: lambda t: abs(t) / (1 + exp(2 * abs(t))),
        5: lambda t: 2 * t * t - cos(4 * pi * t) + 1,
        10: lambda t: 4 * t * t - cos(8 * pi * t) + 1,
    }.get(number, lambda t: t * t)
    if number in (3, 6):
        far = [
            2 / len(g) * (4 * sum(y[j] ** 2 for j in g) - 2 * prod(cos(20 * y[j] * pi / sqrt(j)) for j in g) + 2)
            for g in groups
        ]
    else:
        far = [2 / len(g) * sum(single(y[j]) for j in g) for g in groups]
    t = x[1]
    if number in (1, 2, 3):
        near = [t, 1 - sqrt(t)]
    elif number == 4:
        near = [t, 1 - t * t]
    elif number == 5:
        near = [t + (1 / 20 + 0.1) * abs(sin(20 * pi * t)), 1 - t + (1 / 20 + 0.1) * abs(sin(20 * pi * t))]
    elif number == 6:
        bump = max(0, 2 * (1 / 4 + 0.1) * sin(4 * pi * t))
        near = [t + bump, 1 - t + bump]
    elif number == 7:
        near = [t**0.2, 1 - t**0.2]
    elif number == 9:
        ridge = max(0, 1.1 * (1 - 4 * (2 * t - 1) ** 2))
        near = [0.5 * (ridge + 2 * t) * x[2], 0.5 * (ridge - 2 * t + 2) * x[2], 1 - x[2]]
    else:
        near = [cos(t * pi / 2) * cos(x[2] * pi / 2), cos(t * pi / 2) * sin(x[2] * pi / 2), sin(t * pi / 2)]
    return [a + b for a, b in zip(near, far, strict=True)]


def _pair(scale, transform):
    def problem_in_numpy(problem):
        c = np.full(problem.n_dim, 1 / np.sqrt(problem.n_dim))
        return lambda x: np.stack([transform(((x - s * c) ** 2).sum(-1) / scale) for s in (1, -1)], axis=-1)

    return problem_in_numpy


def _toy(problem):
    def f(x):
        a, b = x[..., 0], x[..., 1]

        def valley(r):
            return np.where(np.abs(r) < 5e-6, np.log(5e-6), np.log(r * np.sign(r.real) + (r == 0))) + 6

        u, v = np.where(b.real > 0, np.tanh(b / 2), 0), np.where(b.real < 0, np.tanh(-b / 2), 0)
        p = [valley(-a / 2 - 3.5 + np.tanh(b)), valley(-a / 2 + 3.5 - np.tanh(b))]
        q = [((a - c) ** 2 + 0.1 * (b + 8) ** 2) / 10 - 20 for c in (7, -7)]
        return np.stack([s * (u * p[k] + v * q[k]) for k, s in enumerate((0.1, 1.0))], axis=-1)

    return f


def _kursawe(problem):
    def f(x):
        first = sum(-10 * np.exp(-0.2 * np.sqrt(x[..., i] ** 2 + x[..., i + 1] ** 2)) for i in range(2))
        return np.stack([first, ((x * np.sign(x.real)) ** 0.8 + 5 * np.sin(x**3)).sum(-1)], axis=-1)

    return f


def _viennet(problem):
    def f(x):
        a, b = x[..., 0], x[..., 1]
        r = a * a + b * b
        rows = [0.5 * r + np.sin(r), (3 * a - 2 * b + 4) ** 2 / 8 + (a - b + 1) ** 2 / 27 + 15, 1 / (r + 1) - 1.1 * np.exp(-r)]
        return np.stack(rows, axis=-1)

    return f


COMPLEX = {
    "vlmop1": _pair(4, lambda r: r),
    "fonseca": _pair(1, lambda r: 1 - np.exp(-r)),
    "vlmop3": _viennet,
    "kursawe": _kursawe,
    "two-task-toy": _toy,
}
