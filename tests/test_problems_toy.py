"""The toys' own facts: published values, curves and corner cases."""

import math

import pytest
import torch
from torch.testing import assert_close

from moo_mtl import problems


def cosines(problem, x):
    first, second = problem.jacobian(x).unbind(dim=-2)
    return torch.nn.functional.cosine_similarity(first, second, dim=-1)


def test_toy_front_as_published():
    toy = problems.get("two-task-toy", scale=1.0)
    x = torch.tensor([(a, -8.3552) for a in (-7, -3.5, 0, 3.5, 7)], dtype=torch.float64)
    published = [(-0.3986, -19.9893), (-8.9695, -18.7649), (-15.0916, -15.0916), (-18.7649, -8.9695), (-19.9893, -0.3986)]
    assert_close(toy.evaluate(x), torch.tensor(published, dtype=torch.float64), atol=6e-5, rtol=0)
    ends = toy.pareto_set(2)
    assert_close(ends, torch.tensor([(-7, -8.4345), (7, -8.4345)], dtype=torch.float64), atol=6e-4, rtol=0)
    assert_close(toy.evaluate(ends)[1, 0].item(), -19.98943, atol=6e-6, rtol=0)
    assert_close(toy.pareto_set(3)[1], torch.tensor([0, -8.3549], dtype=torch.float64), atol=3e-4, rtol=0)
    assert_close(toy.front(3)[1].mean().item(), -15.09164, atol=6e-6, rtol=0)


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e-6])
def test_toy_gradients_oppose_on_the_set_to_rounding(scale):
    toy = problems.get("two-task-toy", scale=scale)
    rows = toy.jacobian(toy.pareto_set(101)[1:-1])
    unit = rows / rows.norm(dim=-1, keepdim=True)
    assert unit.sum(dim=-2).norm(dim=-1).max() < 1e-13
    assert_close(toy.lower_bound, torch.tensor([-21 * scale, -21], dtype=torch.float64))


def test_toy_gates_and_floor():
    toy = problems.get("two-task-toy", scale=1.0)
    origin = torch.zeros(2, dtype=torch.float64)
    # both gates have slope one half at b = 0: p - q over two, p = log(3.5) + 6, q = (49 + 6.4)/10 - 20
    expected = (math.log(3.5) + 6 - (5.54 - 20)) / 2
    assert_close(toy.jacobian(origin), torch.tensor([[0, expected], [0, expected]], dtype=torch.float64))
    valley = torch.tensor([2 * math.tanh(3) - 7, 3], dtype=torch.float64)  # the argument of the first logarithm is 0
    height = 6 + math.log(5e-6)
    assert_close(toy.evaluate(valley)[0].item(), math.tanh(1.5) * height)
    assert_close(toy.jacobian(valley)[0], torch.tensor([0, (1 - math.tanh(1.5) ** 2) / 2 * height], dtype=torch.float64))


def test_toy_starts_by_source():
    assert problems.get("two-task-toy").starts.tolist() == [[-8.5, 7.5], [0, 0], [9, 9], [-7.5, -0.5], [9, -1]]
    assert len(problems.get("two-task-toy", starts="cagrad").starts) == 3
    assert [10.0, -8.0] in problems.get("two-task-toy", starts="cagrad-paper").starts.tolist()


def test_ewq_gradient_descent_decays_by_the_published_factor():
    ewq = problems.get("ewq")
    x = ewq.starts
    for _ in range(50):
        x = x - 0.075 * ewq.jacobian(x).mean(dim=-2)
    assert_close(x, 0.925**50 * ewq.starts)


def test_cqf_conflict_at_the_origin():
    assert_close(cosines(problems.get("cqf"), torch.zeros(2, dtype=torch.float64)).item(), -0.925, atol=5e-4, rtol=0)


@pytest.mark.parametrize("name", ["cqf", "fonseca"])
def test_gradients_oppose_on_the_set(name):
    problem = problems.get(name)
    assert_close(cosines(problem, problem.pareto_set(51)[1:-1]), -torch.ones(49, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_dim", [1, 2, 100])
def test_fonseca_front_does_not_depend_on_the_dimension(n_dim):
    problem = problems.get("fonseca", n_dim=n_dim)
    assert_close(problem.front(11), problems.get("fonseca").front(11))
    f = problem.front(2)
    assert_close(f, torch.tensor([[0, 1 - math.exp(-4)], [1 - math.exp(-4), 0]], dtype=torch.float64))
