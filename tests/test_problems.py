"""What every problem promises: shapes, gradients, fronts, and a registry that refuses slips."""

import sys
from dataclasses import replace
from inspect import signature

import pytest
import torch

from moo_mtl import problems
from moo_mtl.errors import InputError
from moo_mtl.problems import Problem, from_function


def those(kept=lambda problem: True):
    """All problems with a property, at their default sizes."""
    found = [(name, problems.get(name)) for name in problems.NAMES]
    return pytest.mark.parametrize("problem", [pytest.param(one, id=name) for name, one in found if kept(one)])


EVERY = those()
WITH_CLOSED_FORM = those(lambda problem: problem.exact_jacobian is not None or problem.exact_differentiate is not None)
WITH_FRONT = those(lambda problem: problem.exact_front is not None or problem.exact_set is not None)


def interior(problem, *batch, seed=0):
    """Points inside the box (or a normal cloud), away from its walls, up to a seventh of the way from the Pareto set."""
    generator = torch.Generator().manual_seed(seed)
    if problem.bounds is None:
        return 3 * torch.randn(*batch, problem.n_dim, generator=generator, dtype=torch.float64)
    lower, upper = problem.bounds
    x = lower + (upper - lower) * (0.05 + 0.9 * torch.rand(*batch, problem.n_dim, generator=generator, dtype=torch.float64))
    if problem.exact_set is None or not batch:
        return x
    optimal = problem.pareto_set(max(batch[-1], 2))[: batch[-1]]
    nearness = torch.logspace(-0.85, 0, batch[-1], dtype=torch.float64).unsqueeze(-1)
    return optimal + nearness * (x - optimal)


def close(actual, expected, tolerance):
    """Largest difference relative to the largest entry of what is expected."""
    scale = expected.abs().max().clamp(min=1e-300)
    assert ((actual - expected).abs().max() / scale).item() <= tolerance


@EVERY
def test_shapes_and_dtypes(problem):
    for batch in ((), (4,), (2, 3), (0,)):
        for dtype in (torch.float32, torch.float64):
            x = interior(problem, *batch).to(dtype)
            losses, jacobian = problem.differentiate(x)
            assert losses.shape == (*batch, problem.n_tasks)
            assert jacobian.shape == (*batch, problem.n_tasks, problem.n_dim)
            assert losses.dtype == jacobian.dtype == dtype
            assert not losses.requires_grad


@EVERY
def test_members_of_a_batch_do_not_see_each_other(problem):
    x = interior(problem, 5)
    together = problem.evaluate(x)
    alone = torch.stack([problem.evaluate(one) for one in x])
    close(together, alone, 1e-14)


@EVERY
def test_gradients_equal_central_differences(problem):
    x = interior(problem, 6)
    jacobian = problem.jacobian(x)
    width = 1.0 if problem.bounds is None else problem.bounds[1] - problem.bounds[0]
    steps = 1e-6 * width * torch.eye(problem.n_dim, dtype=torch.float64)
    ahead, behind = (problem.evaluate(x.unsqueeze(-2) + sign * steps) for sign in (1, -1))
    differences = ((ahead - behind) / (2 * steps.diagonal().unsqueeze(-1))).mT * width
    rounding = 1e-9 * problem.evaluate(x).abs().amax(dim=0)
    error = (jacobian * width - differences).abs().amax(dim=(0, -1))
    assert (error <= 1e-6 * (jacobian * width).abs().amax(dim=(0, -1)) + rounding).all()


@WITH_CLOSED_FORM
def test_closed_form_gradients_equal_autograd(problem):
    x = torch.cat([interior(problem, 500), torch.zeros(1, problem.n_dim, dtype=torch.float64)])
    losses, jacobian = problem.differentiate(x)
    close(losses, problem.evaluate(x), 1e-14)
    close(jacobian, replace(problem, exact_jacobian=None, exact_differentiate=None).jacobian(x), 1e-14)
    close(problem.jacobian(x), jacobian, 0)


@WITH_FRONT
def test_front_is_the_image_of_the_set_and_none_of_it_dominated(problem):
    front = problem.front(97)
    assert front.dtype == torch.float64
    assert front.shape == (97, problem.n_tasks)
    slack = 1e-9 * (front.amax(dim=0) - front.amin(dim=0)).clamp(min=1e-12)
    better = (front.unsqueeze(0) <= front.unsqueeze(1) - slack).all(dim=-1)
    assert not better.any()
    if problem.exact_set is not None:
        close(problem.evaluate(problem.pareto_set(97)), front, 1e-9)
        if problem.bounds is not None:
            lower, upper = problem.bounds
            assert ((problem.pareto_set(97) >= lower) & (problem.pareto_set(97) <= upper)).all()


@WITH_FRONT
def test_no_random_point_dominates_the_front(problem):
    front = problem.front(200)
    losses = problem.evaluate(interior(problem, 2_000, seed=1))
    slack = 1e-9 * (front.amax(dim=0) - front.amin(dim=0)).clamp(min=1e-12)
    assert not (losses.unsqueeze(0) <= front.unsqueeze(1) - slack).all(dim=-1).any()


@EVERY
def test_known_points(problem):
    assert problem.name
    assert problem.cite
    if problem.starts is not None:
        assert problem.starts.shape[1:] == (problem.n_dim,)
    if problem.bounds is not None:
        assert (problem.bounds[0] < problem.bounds[1]).all()
    for known in (problem.ideal, problem.nadir, problem.ref_point, problem.lower_bound):
        assert known is None or (known.shape == (problem.n_tasks,) and known.dtype == torch.float64)
    if problem.exact_front is not None or problem.exact_set is not None:
        front = problem.front(500)
        span = (front.amax(dim=0) - front.amin(dim=0)).clamp(min=1e-9)
        assert problem.ideal is not None
        assert ((front >= problem.ideal - 1e-9 * span) & (front <= problem.nadir + 1e-9 * span)).all()
        assert (problem.ref_point >= problem.nadir).all()
    if problem.lower_bound is not None:
        assert (problem.evaluate(interior(problem, 2_000)) > problem.lower_bound).all()


def test_unknown_names_and_parameters():
    with pytest.raises(InputError, match="did you mean 'two-task-toy'"):
        problems.get("two-task-to")
    with pytest.raises(InputError, match="did you mean 'scale'"):
        problems.get("two-task-toy", scal=1.0)
    with pytest.raises(InputError, match="did you mean 'nash-mtl'"):
        problems.get("two-task-toy", starts="nash")


@pytest.mark.parametrize("name", [n for n in problems.NAMES if "n_dim" in signature(problems.REGISTRY[n].factory).parameters])
def test_sizes_that_cannot_be(name):
    with pytest.raises(InputError, match="n_dim must be an integer of at least"):
        problems.get(name, n_dim=0)
    for wrong in (2.5, True, "3"):
        with pytest.raises(InputError, match="n_dim: expected an integer, found"):
            problems.get(name, n_dim=wrong)


def test_the_toy_needs_a_positive_scale():
    with pytest.raises(InputError, match="scale must be positive"):
        problems.get("two-task-toy", scale=0.0)


@EVERY
def test_constants_follow_the_argument_to_its_device(problem):
    """Meta tensors meet no constant left on the CPU; and a second dtype is not served from the first one's place."""
    x = torch.empty(3, problem.n_dim, device="meta")
    assert problem.evaluate(x).device.type == "meta"
    assert problem.jacobian(x).shape == (3, problem.n_tasks, problem.n_dim)


def test_own_problems(tmp_path, monkeypatch):
    (tmp_path / "own_problem.py").write_text(
        "from moo_mtl.problems import from_function\n"
        "def f(x):\n    return (x**2)[..., :2]\n"
        "def make(power=2):\n    return from_function(lambda x: x.abs()**power, n_tasks=2, n_dim=2)\n"
        "def sized(width):\n    return from_function(lambda x: x**2, n_tasks=width, n_dim=width)\n"
        "ready = make()\n"
        "number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    x = torch.tensor([1.0, -2.0])
    assert problems.get("own_problem:ready").evaluate(x).tolist() == [1, 4]
    assert problems.get("own_problem:make", power=3).evaluate(x).tolist() == [1, 8]
    assert problems.get("own_problem:sized", width=2).n_tasks == 2
    plain = problems.get("own_problem:f", n_tasks=2, n_dim=2, bounds=[[-1, -1], [2, 3]])
    assert plain.bounds[1].tolist() == [2, 3]
    assert plain.name == "own_problem:f"
    for name, parameters, message in (
        ("own_problem:f", {"n_tasks": 2}, "missing n_dim"),
        ("own_problem:f", {"n_tasks": 2, "n_dim": 2, "bound": 1}, "did you mean 'bounds'"),
        ("own_problem:make", {"pwer": 3}, "did you mean 'power'"),
        ("own_problem:ready", {"power": 3}, "takes no parameters"),
        ("own_problem:number", {}, "is a int"),
    ):
        with pytest.raises(InputError, match=message):
            problems.get(name, **parameters)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_tasks": 0, "n_dim": 2}, "n_tasks must be an integer of at least 1"),
        ({"n_tasks": 2, "n_dim": 2.0}, "n_dim must be an integer of at least 1"),
        ({"n_tasks": 2, "n_dim": 2, "bounds": ([0, 0, 0], 1)}, "must be one number or 2"),
        ({"n_tasks": 2, "n_dim": 2, "bounds": ([0, 2], 1)}, "below its upper"),
        ({"n_tasks": 2, "n_dim": 2, "ref_point": [1, 2, 3]}, "ref_point must be"),
    ],
)
def test_from_function_refuses(arguments, message):
    with pytest.raises(InputError, match=message):
        from_function(torch.square, **arguments)


def test_losses_of_a_wrong_shape_or_kind_are_named():
    with pytest.raises(InputError, match=r"x\[\.\.\., i\]"):
        from_function(lambda x: torch.stack([x[0], x[1]]), n_tasks=2, n_dim=2).evaluate(torch.zeros(5, 2))
    with pytest.raises(InputError, match="found tuple"):
        from_function(lambda x: (x, x), n_tasks=2, n_dim=2).evaluate(torch.zeros(2))
    with pytest.raises(InputError, match="without a gradient"):
        from_function(lambda x: x.detach() ** 2, n_tasks=2, n_dim=2).jacobian(torch.zeros(2))


def test_a_problem_without_a_front_says_so():
    plain = Problem("plain", 2, 2, torch.square)
    with pytest.raises(InputError, match=r"fronts\.reference"):
        plain.front(3)
    with pytest.raises(InputError, match="no exact Pareto set"):
        plain.pareto_set(3)
