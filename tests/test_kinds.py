"""Drivers carry every kind of rule, and know none of them."""

import pytest
import torch

from moo_mtl import Balancer, Needs, problems, trace
from tests.kinds import Equal, Famo, FrankWolfe, GradVac, Hypervolume, MinNorm, MoDo, PCGrad, Tchebycheff, every_kind

STARTS = torch.tensor([[0.3, -0.2, 0.5], [1.0, 0.4, -0.7], [-0.6, 0.9, 0.1]], dtype=torch.float64)


def pair(x):
    """Two bowls with minima apart, never below 0.5."""
    centre = torch.tensor([1.0, 0.0, 0.0], dtype=x.dtype)
    return torch.stack([0.5 + (x - centre).square().sum(-1), 0.5 + 2 * (x + centre).square().sum(-1)], dim=-1)


PAIR = problems.from_function(pair, n_tasks=2, n_dim=3)


class Point(torch.nn.Module):
    """The trunk of a model whose only parameter is the point itself; ``batch`` stacks several."""

    def __init__(self, x):
        super().__init__()
        self.x = torch.nn.Parameter(x.clone())


def preference_for(rule):
    return torch.tensor([0.3, 0.7], dtype=torch.float64) if Needs.PREFERENCE in rule.needs else None


@pytest.mark.parametrize("rule", every_kind(), ids=lambda rule: rule.name)
def test_trace_and_balancer_take_the_same_steps(rule):
    """The Balancer on stacked points, stepped by hand, is the trajectory of ``trace``: same numbers, same random draws."""
    steps, lr = 20, 0.05
    preferences = preference_for(rule)
    path = trace(PAIR, rule, STARTS, steps=steps, lr=lr, preferences=preferences, seed=3)
    trunk = Point(STARTS)
    balancer = Balancer(rule, trunk, seed=3)
    for _ in range(steps):
        losses = pair(trunk.x)
        independent = (pair(trunk.x),) if Needs.CROSS in rule.needs else ()
        balancer.backward(losses, independent=independent, preference=preferences)
        with torch.no_grad():
            trunk.x -= lr * trunk.x.grad
        balancer.observe(pair(trunk.x).detach())
    torch.testing.assert_close(trunk.x.detach(), path.x[-1], rtol=1e-12, atol=1e-12)
    assert (path.losses[-1] - path.losses[0]).abs().max() > 1e-2, "the rule moved nothing, so the comparison says nothing"


def test_population_members_see_each_other_and_others_do_not():
    wide = trace(PAIR, Hypervolume(), STARTS, steps=5, lr=0.02).x[-1]
    narrow = trace(PAIR, Hypervolume(), STARTS[:2], steps=5, lr=0.02).x[-1]
    assert (wide[:2] - narrow).abs().max() > 1e-3
    for rule in (PCGrad(), Famo(), MoDo(), GradVac(), FrankWolfe()):
        wide = trace(PAIR, rule, STARTS, steps=5, lr=0.02).x[-1]
        narrow = trace(PAIR, rule, STARTS[:2], steps=5, lr=0.02).x[-1]
        torch.testing.assert_close(wide[:2], narrow, rtol=1e-12, atol=0)


def test_absent_task_gets_no_weight_and_no_gradient():
    trunk = Point(STARTS[0])
    report = Balancer(Equal(), trunk).backward(pair(trunk.x), present=torch.tensor([True, False]))
    assert report.weights.tolist() == [1.0, 0.0]
    (alone,) = torch.autograd.grad(pair(trunk.x)[0], trunk.x)
    torch.testing.assert_close(trunk.x.grad, alone, rtol=0, atol=0)


def test_groups_are_a_batch_axis():
    """GradVac on two groups is GradVac on each group by itself."""
    first, second = Point(STARTS[0]), Point(STARTS[1])
    balancer = Balancer(GradVac(), [first.x, second.x], groups=[[first.x], [second.x]])
    singles = []
    for _ in range(3):
        report = balancer.backward(pair(first.x) + pair(second.x))
        singles.append(report.weights)
    for place, trunk in enumerate((first, second)):
        alone = Balancer(GradVac(), trunk)
        for step in range(3):
            weights = alone.backward(pair(trunk.x)).weights
            torch.testing.assert_close(singles[step][place], weights, rtol=1e-12, atol=0)
    assert report.weights.shape == (2, 2)


def test_products_alone_give_the_min_norm_point():
    path = trace(PAIR, FrankWolfe(), STARTS, steps=10, lr=0.05)
    exact = trace(PAIR, MinNorm(), STARTS, steps=10, lr=0.05)
    torch.testing.assert_close(path.x[-1], exact.x[-1], rtol=0, atol=1e-8)


def test_cross_gramian_of_independent_batches_differs_from_the_gramian():
    noisy = trace(PAIR, MoDo(), STARTS, steps=5, lr=0.05, gradient_noise=0.5, seed=1)
    again = trace(PAIR, MoDo(), STARTS, steps=5, lr=0.05, gradient_noise=0.5, seed=1)
    other = trace(PAIR, MoDo(), STARTS, steps=5, lr=0.05, gradient_noise=0.5, seed=2)
    assert torch.equal(noisy.x, again.x)
    assert not torch.equal(noisy.x, other.x)


def test_each_preference_is_tried_from_each_start():
    preferences = torch.tensor([[0.2, 0.8], [0.8, 0.2]], dtype=torch.float64)
    path = trace(PAIR, Tchebycheff(), STARTS, steps=10, lr=0.05, preferences=preferences)
    assert path.x.shape == (11, 2, 3, 3)
    alone = trace(PAIR, Tchebycheff(), STARTS[1], steps=10, lr=0.05, preferences=preferences[1])
    torch.testing.assert_close(path.x[:, 1, 1], alone.x, rtol=1e-12, atol=0)
