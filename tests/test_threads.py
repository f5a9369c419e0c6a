"""What does not depend on the number of threads, to the last bit: solvers of up to 64 tasks, and traces.

A batch has more than 32,768 numbers, from which on torch shares an operation among threads. Networks are another matter: two
threads add up a matrix product in another order, and nothing is promised.
"""

import inspect

import pytest
import torch

from moo_mtl import Needs, problems, rules, trace
from moo_mtl.rules import ZOO
from tests.fuzz_solvers import SOLVERS, gramians

NUMBERS = 40_000


@pytest.fixture
def with_threads():
    """Calls a function with so many threads."""
    before = torch.get_num_threads()

    def call(threads, function, *arguments, **settings):
        torch.set_num_threads(threads)
        assert torch.get_num_threads() == threads
        return function(*arguments, **settings)

    yield call
    torch.set_num_threads(before)


def assert_same_bits(one, two, parts):
    for part in parts:
        ours, theirs = getattr(one, part), getattr(two, part)
        assert torch.equal(ours.isnan(), theirs.isnan()), part
        assert torch.equal(ours.nan_to_num(), theirs.nan_to_num()), part


@pytest.mark.parametrize("tasks", [2, 3, 12, 64])
@pytest.mark.parametrize("name", SOLVERS)
def test_solvers(name, tasks, with_threads):
    members = 20 if tasks == 64 else NUMBERS // tasks**2
    gramian = gramians(torch.Generator().manual_seed(tasks), members, tasks)
    one, two = (with_threads(threads, SOLVERS[name], gramian) for threads in (1, 2))
    assert_same_bits(one, two, ("weights", "value", "gap", "converged"))


@pytest.mark.parametrize("name", ZOO)
def test_traces_by_every_rule(name, with_threads):
    recipe = ZOO[name]
    problem = problems.get("quadratic", n_tasks=max(2, recipe.min_tasks), n_dim=8)
    bound = {"lower_bound": problem.lower_bound} if "lower_bound" in inspect.signature(recipe.factory).parameters else {}
    rule = rules.get(name, **bound)
    assert_trace_is_the_same(problem, rule, with_threads)


@pytest.mark.parametrize("name", problems.NAMES)
def test_traces_on_every_problem(name, with_threads):
    assert_trace_is_the_same(problems.get(name), rules.mgda(), with_threads)


def assert_trace_is_the_same(problem, rule, with_threads):
    members = 4 if Needs.POPULATION in rule.needs else 1
    shape = (NUMBERS // problem.n_dim // members + 1, *([members] if members > 1 else []), problem.n_dim)
    low, high = problem.bounds if problem.bounds is not None else (torch.tensor(-1.0), torch.tensor(1.0))
    starts = low + (high - low) * torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    preference = torch.full((*shape[:-1], problem.n_tasks), 1 / problem.n_tasks, dtype=torch.float64)
    settings = {
        "steps": 2,
        "lr": 1e-3,
        "optimizer": "adam",
        "gradient_noise": 0.1,
        "epoch_steps": 2,
        "preferences": preference,
        "paired": True,
    }
    one, two = (with_threads(threads, trace, problem, rule, starts, **settings) for threads in (1, 2))
    assert_same_bits(one, two, ("x", "losses", "weights", "lower", "upper", "converged", "status"))
