"""Published claims about two small problems of the UPGrad paper: where rules stop, and which of them let a loss rise."""

import functools

import pytest
import torch
from torch.testing import assert_close

from moo_mtl import problems, rules, trace

# Multipliers of the learning rate under the paper's protocol. Its "Mean" averages; weights of `equal` are 1.
RATES = {"nash-mtl": 2, "imtl-g": 2, "graddrop": 0.5, "pcgrad": 0.5, "equal": 0.5}
PARAMETERS = {"cagrad": {"c": 0.5}}
PROTOCOL = {"ewq": (0.075, 50), "cqf": (0.05, 500)}  # learning rate, steps


@functools.cache
def trajectory(problem, rule):
    lr, steps = PROTOCOL[problem]
    chosen = problems.get(problem)
    return trace(
        chosen, rules.get(rule, **PARAMETERS.get(rule, {})), chosen.starts, steps=steps, lr=lr * RATES.get(rule, 1), seed=0
    )


def slopes(problem, path):
    """Rate at which each loss falls along the rule's direction, ``[T, S, K]``: negative if it rises.

    In units of the lengths that the direction is added up from: on the Pareto set they cancel, and the sum is rounding.
    """
    rows = problems.get(problem).jacobian(path.x)
    norms = rows.norm(dim=-1)
    direction = (path.weights.unsqueeze(-2) @ rows).squeeze(-2)
    return (rows @ direction.unsqueeze(-1)).squeeze(-1) / (norms * (path.weights.abs() * norms).sum(dim=-1, keepdim=True))


@pytest.mark.parametrize("rule", ["equal", "upgrad", "dualproj", "pcgrad"])
def test_ewq_rules_that_project_shrink_every_coordinate_alike(rule):
    """Its gradients never conflict, so a projection onto the dual cone leaves the mean: x_t = 0.925^t x_0, on the way to 0."""
    path = trajectory("ewq", rule)
    powers = 0.925 ** torch.arange(51, dtype=torch.float64)
    assert_close(path.x, powers[:, None, None] * path.x[0], rtol=1e-10, atol=1e-12)


def test_ewq_mgda_never_leaves_an_axis():
    assert torch.equal(trajectory("ewq", "mgda").x[-1, 1], torch.tensor([0.0, -3.0], dtype=torch.float64))


def test_ewq_cagrad_never_leaves_an_axis_from_c_1_on():
    """Its weaker constraint then allows no step at all, while below 1 the mean pulls it off."""
    problem = problems.get("ewq")
    start = problem.starts[1]
    still, moved = (trace(problem, rules.get("cagrad", c=c), start, steps=50, lr=0.075).x[-1] for c in (1.0, 0.9))
    assert torch.equal(still, start)
    assert moved.norm() < 0.1


@pytest.mark.parametrize("rule", ["mgda", "nash-mtl", "aligned-mtl"])
def test_ewq_some_rules_stop_on_an_axis(rule):
    """Where they stop, one gradient is 0: Pareto-stationary, as the certificate says, and yet far from the only optimum."""
    path = trajectory("ewq", rule)
    stopped = path.x[-1].norm(dim=-1) > 0.7
    assert stopped.any()
    optimal = trajectory("ewq", "upgrad").x[-1].norm(dim=-1)
    assert (optimal < 0.12).all()
    onto_axis = path.x[-1].abs().amin(dim=-1)
    assert (onto_axis[stopped] < 0.3).all()
    assert (path.upper[-1][stopped] < 0.6).all()


def test_cqf_gradients_nearly_oppose_at_the_centre():
    """The paper states a cosine of about -0.925."""
    first, second = problems.get("cqf").jacobian(torch.zeros(2, dtype=torch.float64))
    assert_close(torch.cosine_similarity(first, second, dim=0).item(), -0.925, rtol=0, atol=5e-4)


@pytest.mark.parametrize("rule", ["mgda", "dualproj", "nash-mtl", "upgrad"])
def test_cqf_rules_said_not_to_conflict_never_do(rule):
    assert slopes("cqf", trajectory("cqf", rule)).min() > -1e-12


@pytest.mark.parametrize("rule", ["equal", "graddrop", "cagrad", "rlw", "aligned-mtl"])
def test_cqf_rules_said_to_conflict_do(rule):
    path = trajectory("cqf", rule)
    assert slopes("cqf", path).min() < -1e-2
    assert path.losses.diff(dim=0).max() > 1e-3  # and a loss does rise


def test_cqf_imtl_g_does_not_conflict_with_two_tasks():
    r"""The paper lists it among those that do. But with K = 2 its direction bisects the gradients:
    :math:`g_1^\top d = \lVert g_1 \rVert^2 \lVert g_2 \rVert (1 + \cos) / (\lVert g_1 \rVert + \lVert g_2 \rVert) \ge 0`."""
    path = trajectory("cqf", "imtl-g")
    assert slopes("cqf", path).min() > -1e-12
    assert path.losses.diff(dim=0).max() <= 1e-9


def test_cqf_mean_and_upgrad_end_on_the_pareto_set():
    """From its end a longer run reaches the closed-form Pareto set; UPGrad from three starts within the paper's 500 steps."""
    problem = problems.get("cqf")
    exact = problem.pareto_set(20_001)
    ends = trace(problem, rules.get("equal"), problem.starts, steps=20_000, lr=0.05, record_every=20_000).x[-1]
    assert torch.cdist(ends, exact).amin(dim=-1).max() < 1e-3
    near = torch.cdist(trajectory("cqf", "upgrad").x[-1], exact).amin(dim=-1)
    assert (near < 0.1).all(), near
