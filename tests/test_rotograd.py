"""RotoGrad: rotations that turn the tasks' gradients towards each other, and the rule that scales them."""

import pytest
import torch
from torch import nn

from moo_mtl import Balancer, Observation
from moo_mtl.errors import InputError
from moo_mtl.models.rotograd import Rotations
from moo_mtl.rules import compose, scaling, weights


def network(seed=0):
    torch.manual_seed(seed)
    trunk = nn.Sequential(nn.Linear(4, 6), nn.Tanh())
    heads = nn.ModuleDict({task: nn.Linear(6, 1) for task in ("a", "b")})
    x, y = torch.randn(32, 4), {"a": torch.randn(32, 1), "b": torch.randn(32, 1)}
    return trunk, heads, x, y


def losses(trunk, heads, x, y, rotations):
    seen = rotations(trunk(x))
    return {task: (heads[task](seen[task]) - y[task]).square().mean() for task in y}


def test_rotations_start_as_the_identity_and_stay_rotations():
    rotations = Rotations(5, ["a", "b", "c"])
    z = torch.randn(7, 5)
    assert all(torch.equal(seen, z) for seen in rotations(z).values())
    with torch.no_grad():
        rotations.generators.normal_()
    R = rotations.matrices
    torch.testing.assert_close(R @ R.mT, torch.eye(5).expand(3, 5, 5), rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(3), rtol=1e-4, atol=0)


def test_descending_the_rotations_loss_aligns_the_gradients_at_the_features():
    """Two tasks with one target, read through different heads: what keeps their gradients apart is a rotation."""
    trunk, heads, x, y = network()
    y["b"] = y["a"]
    rotations = Rotations(6, ["a", "b"])
    optimizer = torch.optim.SGD(rotations.parameters(), lr=0.05)
    cosines = []
    for _ in range(100):
        z = trunk(x).detach().requires_grad_()
        seen = rotations(z)
        rows = [torch.autograd.grad((heads[t](seen[t]) - y[t]).square().mean(), z, retain_graph=True)[0].flatten() for t in y]
        cosines.append(float(torch.nn.functional.cosine_similarity(*rows, dim=0)))
        optimizer.zero_grad()
        rotations.loss().backward()
        optimizer.step()
    assert cosines[-1] > cosines[0] + 0.5


@pytest.mark.parametrize("engine", ["looped", "features"])
def test_the_network_meets_rotations_as_constants(engine):
    trunk, heads, x, y = network()
    rotations = Rotations(6, ["a", "b"])
    report = Balancer(compose(weights.uniform, scale=scaling.by_progress()), trunk, engine=engine).backward(
        losses(trunk, heads, x, y, rotations)
    )
    assert rotations.generators.grad is None
    assert bool((report.weights > 0).all())
    rotations.loss().backward()
    assert bool(rotations.generators.grad.isfinite().all())


def test_scaled_gradients_have_one_length_led_by_the_slowest_task():
    slot = scaling.by_progress(burn_in=20)
    rule, state = compose(weights.uniform, scale=slot), None
    for step, norms in enumerate(([1.0, 100.0], [0.9, 10.0]), start=1):
        G = torch.diag(torch.tensor(norms, dtype=torch.float64).square())
        obs = Observation(torch.ones(2, dtype=torch.float64), gramian=G, step=step)
        weighing, state = rule.weigh(obs, rule.init(obs) if state is None else state)
        lengths = weighing.weights * torch.tensor(norms, dtype=torch.float64)
        torch.testing.assert_close(lengths[0], lengths[1], rtol=1e-12, atol=0)
    left = torch.tensor([0.9, 0.1], dtype=torch.float64)
    expected = (left * torch.tensor([0.9, 10.0], dtype=torch.float64)).sum() / left.sum()
    torch.testing.assert_close(lengths[0], expected, rtol=1e-12, atol=0)


def test_loss_before_any_backward_pass_says_so():
    with pytest.raises(InputError, match="call loss\\(\\) after the backward pass"):
        Rotations(3, ["a"]).loss()
