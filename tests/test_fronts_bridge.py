"""pymoo both ways, and reference fronts from every source."""

import gzip
import sys

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from moo_mtl import fronts, problems
from moo_mtl.errors import DataError, InputError, RunError


@pytest.mark.parametrize("name", ["zdt1", "dtlz2", "re24", "uf8"])
def test_to_pymoo_evaluates_values_gradients_and_the_front(name):
    problem = problems.get(name)
    theirs = fronts.to_pymoo(problem)
    x = torch.lerp(*problem.bounds, torch.rand(6, problem.n_dim, dtype=torch.float64))
    losses, rows = theirs.evaluate(x.numpy(), return_values_of=["F", "dF"])
    np.testing.assert_array_equal(losses, problem.evaluate(x))
    np.testing.assert_array_equal(rows, problem.jacobian(x))
    assert theirs.name() == name
    known = problem.exact_set is not None
    assert (theirs.pareto_front() is not None) == (theirs.pareto_set() is not None) == known


def test_a_population_is_one_call():
    calls = []

    def f(x):
        calls.append(x.shape)
        return x**2

    problem = problems.from_function(f, n_tasks=2, n_dim=2, bounds=(-1, 1))
    fronts.to_pymoo(problem).evaluate(np.zeros((50, 2)))
    assert calls == [(50, 2)]


def test_to_pymoo_needs_a_box():
    with pytest.raises(InputError, match="has no box"):
        fronts.to_pymoo(problems.get("ewq"))
    with pytest.raises(InputError, match="box of its own"):
        fronts.to_pymoo(problems.get("zdt1"), bounds=(0, 1))
    assert fronts.to_pymoo(problems.get("ewq"), bounds=(-4, 4)).xu.tolist() == [4, 4]


def test_nsga2_finds_the_front_of_ours():
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.optimize import minimize

    problem = problems.get("zdt1", n_dim=5)
    result = minimize(fronts.to_pymoo(problem), NSGA2(pop_size=40), ("n_gen", 120), seed=1)
    assert fronts.igd_plus(torch.as_tensor(result.F), problem.front(200)) < 0.02


@pytest.mark.parametrize("name", ["zdt1", "zdt3", "dtlz2", "dtlz7"])
def test_from_pymoo_has_our_values_and_gradients(name):
    from pymoo.problems.many.dtlz import DTLZ2, DTLZ7
    from pymoo.problems.multi.zdt import ZDT1, ZDT3

    ours = problems.get(name)
    theirs = {"zdt1": ZDT1, "zdt3": ZDT3, "dtlz2": DTLZ2, "dtlz7": DTLZ7}[name](n_var=ours.n_dim)
    problem = fronts.from_pymoo(theirs)
    x = torch.lerp(*ours.bounds, 0.05 + 0.9 * torch.rand(2, 5, ours.n_dim, dtype=torch.float64))
    assert_close(problem.evaluate(x), ours.evaluate(x))
    assert_close(problem.jacobian(x), ours.jacobian(x))
    assert_close(problem.bounds, ours.bounds)
    assert problem.evaluate(x.float()).dtype == torch.float32


def test_from_pymoo_elementwise():
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.gradient import toolbox

    class Bowls(ElementwiseProblem):
        def __init__(self):
            super().__init__(n_var=2, n_obj=2, xl=-1, xu=1)

        def _evaluate(self, x, out, *args, **kwargs):
            out["F"] = toolbox.array([(x[0] - 1) ** 2 + x[1] ** 2, (x[0] + 1) ** 2 + x[1] ** 2])

    problem = fronts.from_pymoo(Bowls())
    x = torch.tensor([[0.5, 0.25]], dtype=torch.float64)
    assert_close(problem.jacobian(x), torch.tensor([[[-1.0, 0.5], [3.0, 0.5]]], dtype=torch.float64))


def test_from_pymoo_refuses_what_it_cannot_differentiate_unless_there_is_a_twin():
    from pymoo.core.problem import Problem

    class Opaque(Problem):
        def __init__(self):
            super().__init__(n_var=2, n_obj=2, xl=-1, xu=1)

        def _evaluate(self, x, out, *args, **kwargs):
            out["F"] = np.array([[float(a) ** 2, float(b) ** 2] for a, b in np.asarray(getattr(x, "_value", x))])

    with pytest.raises(InputError, match="twin="):
        fronts.from_pymoo(Opaque())
    ours = problems.from_function(torch.square, n_tasks=2, n_dim=2)
    twin = fronts.from_pymoo(Opaque(), twin=ours)
    assert twin.name == "Opaque"
    assert twin.bounds[1].tolist() == [1, 1]
    with pytest.raises(InputError, match="differs from Opaque"):
        fronts.from_pymoo(Opaque(), twin=problems.from_function(torch.sin, n_tasks=2, n_dim=2))
    with pytest.raises(InputError, match="needs K = 2"):
        fronts.from_pymoo(Opaque(), twin=problems.get("zdt1"))


def test_from_pymoo_refuses_constraints():
    from pymoo.problems.multi.bnh import BNH

    with pytest.raises(InputError, match="constraints"):
        fronts.from_pymoo(BNH())


def test_there_and_back():
    ours = problems.get("re24")
    back = fronts.from_pymoo(fronts.to_pymoo(ours), twin=ours)
    x = torch.lerp(*ours.bounds, torch.rand(4, 2, dtype=torch.float64))
    assert_close(back.jacobian(x), ours.jacobian(x))


def test_exact_fronts_come_first(tmp_path, monkeypatch):
    monkeypatch.setenv("MOO_MTL_DATA", str(tmp_path))
    found = fronts.reference(problems.get("zdt2"), n=7)
    assert found.source == "exact"
    assert found.points.shape == (7, 2)


def test_stored_fronts_are_read_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("MOO_MTL_DATA", str(tmp_path))
    path = tmp_path / "re_fronts" / "reference_points_RE21.dat.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(b"1 2\n2 1\n3 3\n"))
    found = fronts.reference(problems.get("re21"))
    assert found.source == "stored"
    assert found.points.tolist() == [[1, 2], [2, 1]]
    path.write_bytes(gzip.compress(b"1 2 3\n"))
    with pytest.raises(DataError, match="rows of 2 losses"):
        fronts.reference(problems.get("re21"))
    path.write_bytes(b"not gzip")
    with pytest.raises(DataError, match="cannot be read"):
        fronts.reference(problems.get("re21"))


def test_traced_fronts_are_kept_with_their_settings(tmp_path, monkeypatch):
    monkeypatch.delenv("MOO_MTL_DATA", raising=False)
    problem, few = problems.get("re24"), {"population": 20, "generations": 10, "cache": tmp_path}
    first = fronts.reference(problem, **few)
    assert first.source == "traced"
    assert fronts.non_dominated(first.points).all()
    monkeypatch.setattr(sys.modules["moo_mtl.fronts.reference"], "trace_by_pymoo", None)  # would fail: the file must serve
    assert torch.equal(fronts.reference(problem, **few).points, first.points)
    monkeypatch.undo()
    monkeypatch.delenv("MOO_MTL_DATA", raising=False)
    fronts.reference(problem, **few, seed=2)
    fronts.reference(problems.get("zdt1"), "nsga3", **few)
    assert len(list(tmp_path.iterdir())) == 3
    damaged = next(tmp_path.glob("zdt1*"))
    damaged.write_bytes(b"damaged")
    with pytest.raises(DataError, match="delete it"):
        fronts.reference(problems.get("zdt1"), "nsga3", **few)


def test_reference_refuses(tmp_path, monkeypatch):
    monkeypatch.delenv("MOO_MTL_DATA", raising=False)  # a stored front would need no cache
    with pytest.raises(InputError, match="did you mean 'nsga2'"):
        fronts.reference(problems.get("zdt1"), "nsga22")
    with pytest.raises(InputError, match="has no box"):
        fronts.reference(problems.get("ewq"), "nsga2", cache=tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(RunError, match="choose another with cache="):
        fronts.reference(problems.get("re24"), population=10, generations=2, cache=blocked / "below")


@pytest.mark.parametrize("algorithm", ["nsga2", "nsga3", "unsga3", "moead", "smsemoa", "spea2", "rvea"])
def test_every_algorithm_runs(algorithm, tmp_path):
    found = fronts.reference(problems.get("dtlz2", n_dim=4), algorithm, population=12, generations=3, cache=tmp_path)
    assert found.points.shape[1] == 3


def test_algorithms_that_need_more_than_a_size_run_on_ours():
    """Reference points for R-NSGA-III, one loss for CMA-ES."""
    from pymoo.algorithms.moo.rnsga3 import RNSGA3
    from pymoo.algorithms.soo.nonconvex.cmaes import CMAES
    from pymoo.optimize import minimize

    plain = problems.get("zdt1", n_dim=3)
    near = RNSGA3(ref_points=np.array([[0.3, 0.4], [0.8, 0.1]]), pop_per_ref_point=8, mu=0.1)
    found = minimize(fronts.to_pymoo(plain), near, ("n_gen", 40), seed=1)
    assert fronts.gd_plus(torch.as_tensor(found.F), plain.front(200)) < 0.05
    bowl = problems.from_function(lambda x: (x - 0.3).square().sum(-1, keepdim=True), n_tasks=1, n_dim=3, bounds=(0, 1))
    best = minimize(fronts.to_pymoo(bowl), CMAES(x0=np.full(3, 0.8)), ("n_evals", 400), seed=1)
    np.testing.assert_allclose(best.X, 0.3, atol=1e-3)
