"""Attempts to break what takes a tensor: matrices that are no Gramian, shapes that do not fit, and what is no tensor at all."""

import numpy as np
import pytest
import torch

from moo_mtl import Balancer, Task, Trainer, certify, fronts, problems, rules, solvers, trace
from moo_mtl.certificate import estimate
from moo_mtl.data import Examples
from moo_mtl.errors import InputError, RunError
from moo_mtl.models import MultiHead
from moo_mtl.plotting.values import array
from moo_mtl.statistics import compare, gather

SOLVERS = {
    "min_norm": solvers.min_norm,
    "dualproj": solvers.dualproj,
    "upgrad": solvers.upgrad,
    "nash": solvers.nash,
    "fairgrad": lambda gramian, **options: solvers.fairgrad(gramian, 2.0, **options),
    "cagrad": lambda gramian, **options: solvers.cagrad(gramian, 0.4, **options),
    "conicgrad": lambda gramian, **options: solvers.conicgrad(gramian, 0.3, **options),
    "aligned": solvers.aligned,
    "config": solvers.config,
    "imtl_g": solvers.imtl_g,
    "certify": certify,
}
SIZES = [(2, ()), (2, (9,)), (3, ()), (3, (9,)), (5, (2,)), (7, ()), (12, (9,)), (65, ())]  # each has a path of its own


def gramians(K, batch):
    rows = torch.randn(*batch, K, K + 1, generator=torch.Generator().manual_seed(K), dtype=torch.float64)
    G = rows @ rows.mT
    return (G + G.mT) / 2


def with_entry(G, i, j, entry):
    """One entry of the last member, as a multiple of the product of two lengths."""
    G = G.clone()
    last = G.reshape(-1, *G.shape[-2:])[-1]
    last[i, j] = entry * (last[i, i] * last[j, j]).sqrt()
    return G


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("K", "batch"), SIZES)
@pytest.mark.parametrize("name", SOLVERS)
def test_what_is_no_gramian_is_refused(name, K, batch, masked):
    """Whichever path answers: a mirror image that differs, an entry above two lengths, a square below zero."""
    G = gramians(K, batch)
    options = {"present": torch.ones(*batch, K, dtype=torch.bool)} if masked else {}
    jacobian = torch.randn(*batch, K, K, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    negative = G.clone()
    negative[..., -1, -1] = -negative[..., 0, 0]
    zeros = torch.zeros_like(G)
    zeros[..., 0, 1] = zeros[..., 1, 0] = 1.0
    for wrong, sentence in (
        (jacobian, "expected a symmetric matrix; pass J @ J.mT"),
        (with_entry(G, -1, 0, 0.9), "expected a symmetric matrix"),
        (with_entry(with_entry(G, -1, 0, 1.1), 0, -1, 1.1), "above the product of two lengths"),
        (negative, "above the product|expected a squared length"),
        (zeros, "above the product"),
    ):
        with pytest.raises(InputError, match=sentence):
            SOLVERS[name](wrong, **options)


@pytest.mark.parametrize(("K", "batch"), SIZES)
@pytest.mark.parametrize("name", SOLVERS)
def test_rounding_is_not_refused(name, K, batch):
    """Mirror images that differ in the last digits of float32, equal gradients, and lengths that rounding made negative."""
    G = gramians(K, batch)
    noise = torch.randn(G.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    rows = torch.ones(*batch, K, 3, dtype=torch.float64) / 3
    shortest = G.clone()
    shortest[..., 0, :] = shortest[..., :, 0] = 0.0
    shortest[..., 0, 0] = -1e-17
    for right in (G * (1 + 1e-6 * noise), (rows @ rows.mT) * (1 + 1e-15 * noise), shortest, G.float(), G * 1e-280):
        SOLVERS[name](right)


def test_half_precision_has_its_own_rounding():
    G = gramians(4, (50,))
    for narrow in (torch.float16, torch.bfloat16):
        certify((G / 32).to(narrow) * (1 + torch.finfo(narrow).eps))


@pytest.mark.parametrize("held", [torch.nan, 7.0])
def test_an_absent_task_may_hold_anything(held):
    G = gramians(3, (4,))
    present = torch.tensor([True, True, False])
    expected = solvers.min_norm(G, present=present)
    G[:, 2] = held
    torch.testing.assert_close(solvers.min_norm(G, present=present), expected)


def test_the_estimate_takes_products_of_two_batches():
    """They are not symmetric, and the squares on their diagonal may be negative."""
    cross = torch.tensor([[-1.0, 2.0], [0.5, 3.0]], dtype=torch.float64)
    assert estimate(cross, torch.tensor([1.0, 0.0], dtype=torch.float64)).upper == -1.0


@pytest.mark.parametrize("name", ["min_norm", "dualproj", "certify"])
def test_batches_that_do_not_fit_are_refused(name):
    with pytest.raises(InputError, match=r"present: found batch \[2\], expected that of the Gramians, \[9\]"):
        SOLVERS[name](gramians(3, (9,)), present=torch.ones(2, 3, dtype=torch.bool))
    wrong = torch.ones(2, 3, dtype=torch.float64)
    with pytest.raises(InputError, match=r"found batch \[2\], expected that of the Gramians, \[9\]"):
        solvers.dualproj(gramians(3, (9,)), wrong)
    with pytest.raises(InputError, match=r"weights: found shape \[2, 3\] for Gramians of batch \[\]"):
        certify(gramians(3, ()), weights=wrong)


NUMBERS = {"fairgrad": solvers.fairgrad, "cagrad": solvers.cagrad, "conicgrad": solvers.conicgrad}


@pytest.mark.parametrize("found", ["0.4", None, [0.4], 0.4j, torch.tensor(0.4), np.ones(2)])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_hyper_parameter_that_is_no_number(name, found):
    with pytest.raises(InputError, match=rf"{name}: .* is a {type(found).__name__}, expected a number"):
        NUMBERS[name](gramians(3, ()), found)
    NUMBERS[name](gramians(3, ()), np.float32(0.4))


@pytest.mark.parametrize("batch", [(), (9,)])
@pytest.mark.parametrize("found", [[0.5, 0.25, 0.25], np.ones(3), "equal", torch.ones(3).to_sparse(), torch.ones(3) * 1j])
def test_a_preference_that_is_no_tensor_of_real_numbers(found, batch):
    for solve in (solvers.dualproj, solvers.upgrad, solvers.config, solvers.aligned):
        with pytest.raises(InputError, match=r"preference(: | is a)"):
            solve(gramians(3, batch), found)


@pytest.mark.parametrize("name", SOLVERS)
def test_sparse_gramians_are_refused(name):
    with pytest.raises(InputError, match=r"sparse tensor, expected a dense one; pass its .to_dense\(\)"):
        SOLVERS[name](gramians(3, ()).to_sparse())


@pytest.mark.parametrize("what", ["rows", "at_bounds"])
@pytest.mark.parametrize("found", [[[1.0, 0.0]] * 3, np.ones((3, 2)), "here", 1.0])
def test_a_certificate_reads_tensors(what, found):
    options = {"rows": torch.ones(3, 2, dtype=torch.float64), what: found}
    with pytest.raises(InputError, match=rf"certify: {what} is a .*, expected a tensor"):
        certify(gramians(3, ()), **options)


@pytest.mark.parametrize(
    "found",
    [3, [1], lambda w: 3, lambda w: None, lambda w: [3], lambda w: w >= 0],
    ids=["3", "[1]", "=3", "=None", "=[3]", "="],
)
def test_constraints_that_are_none(found):
    pytest.importorskip("cvxpy")
    with pytest.raises(InputError, match=r"extra_constraints .*, expected a function of the CVXPY variable"):
        solvers.min_norm(gramians(3, ()), backend="cvxpy", extra_constraints=found)


def test_names_that_are_no_names():
    with pytest.raises(InputError, match="unknown scale 3; known: "):
        solvers.aligned(gramians(3, ()), scale=3)


def points(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


AGAINST = {name: getattr(fronts, name) for name in ("igd", "igd_plus", "gd_plus", "epsilon", "spread", "hypervolume")}
ALONE = {
    **{name: getattr(fronts, name) for name in ("spacing", "sparsity", "min_distance", "soft_min_distance", "non_dominated")},
    **{
        name: lambda given, name=name: getattr(fronts, name)(given, points(20, 2))
        for name in ("inner_product", "angle", "pbi", "igd", "igd_plus", "gd_plus", "epsilon", "spread")
    },
    "hypervolume": lambda given: fronts.hypervolume(given, points(2) + 1),
    "delta_m": lambda given: fronts.delta_m(given, points(2), [True, False]),
}
NO_POINTS = [[[0.1, 0.2]] * 20, np.ones((20, 2)), None, "front", 1.0, torch.tensor(1.0), points(20, 2).to_sparse()]


@pytest.mark.parametrize("found", NO_POINTS, ids=lambda found: type(found).__name__)
@pytest.mark.parametrize("name", ALONE)
def test_indicators_take_points(name, found):
    with pytest.raises(InputError):
        ALONE[name](found)
    if name != "delta_m":
        for other in (points(20, 2).long(), points(20, 2) > 0.5, points(20, 2) * 1j, points(20)):
            with pytest.raises(InputError, match="expected"):
                ALONE[name](other)


@pytest.mark.parametrize("found", [*NO_POINTS, points(0, 2), points(4, 30, 2), points(30, 3), points(30, 2) * 1j])
@pytest.mark.parametrize("name", AGAINST)
def test_indicators_take_a_front(name, found):
    with pytest.raises(InputError):
        AGAINST[name](points(20, 2), found)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("lr", [None, [0.1], "0.1", torch.tensor(0.1), torch.ones(4), -1.0, lambda step: None, lambda: 0.1]),
        ("betas", [0.9, (0.9,), ("a", "b"), None, (2, 3)]),
        ("clip", ["1", [1], -1.0, float("nan")]),
        ("until", ["1", [1], -1.0, float("nan")]),
        ("gradient_noise", ["1", None, [0.1], -1.0]),
        ("preferences", ["many", object()]),
        ("scale", ["many", object()]),
        ("device", ["gpu", "no-such-device"]),
        ("steps", ["3", None, 3.5, -1]),
    ],
)
def test_a_trace_refuses_what_is_no_number_of_the_kind(key, values):
    for value in values:
        options = {"steps": 2, "lr": 0.1, key: value}
        with pytest.raises(InputError):
            trace(problems.get("two-task-toy"), rules.get("mgda"), points(3, 2), **options)


def test_a_trace_refuses_complex_starts():
    with pytest.raises(InputError, match="starts are complex"):
        trace(problems.get("two-task-toy"), rules.get("mgda"), points(3, 2) * 1j, steps=2, lr=0.1)


@pytest.mark.parametrize("found", [-1, "3", 2.5, None, True])
@pytest.mark.parametrize("name", ["zdt1", "dtlz2", "two-task-toy"])
def test_numbers_of_points(name, found):
    for sample in (problems.get(name).front, problems.get(name).pareto_set, lambda n: fronts.directions.evenly(n, 2)):
        if found is not True or sample.__name__ != "<lambda>":
            with pytest.raises(InputError, match=r"must be an? .* of at least"):
                sample(found)


def test_problems_of_ones_own_that_are_none():
    for f, options in (
        (3, {}),
        (None, {}),
        (torch.sum, {"bounds": 3}),
        (torch.sum, {"bounds": (1, 2, 3)}),
        (torch.sum, {"ref_point": "a"}),
    ):
        with pytest.raises(InputError, match=r"expected a function|bounds must be two|ref_point: found a str"):
            problems.from_function(f, n_tasks=2, n_dim=3, **options)
    for name in (3, None):
        with pytest.raises(InputError, match="expected a name such as"):
            problems.get(name)


def test_a_balancer_refuses_what_it_cannot_use():
    model = torch.nn.Linear(2, 2)
    for options in ({"every": "1"}, {"every": None}, {"every": 1.5}, {"certify_every": "1"}, {"certify_every": -1}):
        with pytest.raises(InputError, match="must be a whole number of at least"):
            Balancer(rules.get("mgda"), model, **options)
    for state in (None, 3, "state", [1]):
        with pytest.raises(InputError, match=r"expected what Balancer\.state_dict gave"):
            Balancer(rules.get("mgda"), model).load_state_dict(state)
    with pytest.raises(InputError, match=r"scaler is a str, expected a torch\.amp\.GradScaler"):
        Balancer(rules.get("mgda"), model).backward(model(torch.ones(2)).square(), scaler="yes")
    for options, sentence in (
        ({"present": torch.ones(1, 2, dtype=torch.bool)}, r"present has shape \[1, 2\], and the losses have \[2\]"),
        ({"counts": "many"}, "counts: found a str, expected numbers"),
    ):
        with pytest.raises(InputError, match=sentence):
            Balancer(rules.get("mgda"), model).backward(model(torch.ones(2)).square(), **options)
    with pytest.raises(InputError, match="the losses are complex"):
        Balancer(rules.get("mgda"), model).backward(model(torch.ones(2)) * 1j)


def test_groups_and_single_parameters():
    first, second = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    with pytest.raises(InputError, match="groups is a int, expected a list of modules"):
        Balancer(rules.get("mgda"), [first, second], groups=3)
    losses = torch.stack([(first - second).square().sum() + 1, (first + second).square().sum()])
    balancer = Balancer(rules.get("mgda"), [first, second], groups=[first, second])  # a parameter is a group of one
    assert balancer.backward(losses).weights.shape == (2, 2)
    assert len(Balancer(rules.get("mgda"), first).shared) == 1


def test_indicators_and_directions_of_nothing_and_of_names():
    with pytest.raises(InputError, match="sparsity is of gaps between points"):
        fronts.sparsity(points(0, 2))
    with pytest.raises(InputError, match="preferences are complex"):
        fronts.inner_product(points(3, 2), points(3, 2) * 1j)
    with pytest.raises(InputError, match="seed is a str"):
        fronts.directions.random(3, 2, seed="a")


def test_figures_are_of_numbers():
    for found in (None, "front", points(5, 2) * 1j):
        with pytest.raises(InputError, match="expected numbers to draw"):
            array(found)
    assert array(points(5, 2).bfloat16()).shape == (5, 2)


@pytest.mark.parametrize("name", ["zdt1", "dtlz2", "two-task-toy", "re21"])
def test_jacobians_are_of_points(name):
    problem = problems.get(name)
    x = points(3, problem.n_dim)
    for found in (x.tolist(), x.numpy(), None, "x", x.long(), x * 1j, x.to_sparse(), x[:, :1], x.sum()):
        with pytest.raises(InputError, match=r"expected a tensor|of floats|sparse"):
            problem.jacobian(found)


def test_no_runs_have_no_comparison(tmp_path):
    with pytest.raises(RunError, match="no finished run lies below"):
        gather(str(tmp_path))
    with pytest.raises(InputError, match="there are no runs"):
        compare([])


INPUTS = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
TARGETS = {"size": INPUTS[:, 0], "sign": (INPUTS[:, 1] > 0).float()}
TASKS = (Task("size", "squared-error"), Task("sign", "binary-cross-entropy"))


def fitted(*, model=None, tasks=TASKS, train=None, **settings):
    net = MultiHead(torch.nn.Linear(3, 4), {"size": torch.nn.Linear(4, 1), "sign": torch.nn.Linear(4, 1)})
    trainer = Trainer(net if model is None else model, tasks, rules.get("mgda"), **{"epochs": 1, "lr": 0.1} | settings)
    return trainer.fit(Examples(INPUTS, TARGETS) if train is None else train)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"model": "lenet"}, "model is a str, expected a torch.nn.Module"),
        ({"tasks": ["size", "sign"]}, r"tasks holds 'size', expected Task\(name, loss\)"),
        ({"epochs": "3"}, "epochs must be a whole number, found '3'"),
        ({"epochs": 1.5}, "epochs must be a whole number, found 1.5"),
        ({"batch_size": "8"}, "batch_size must be a whole number"),
        ({"seed": "a"}, "seed must be a whole number"),
        ({"lr": "0.1"}, "lr must be positive, found '0.1'"),
        ({"clip": "1"}, "clip must be positive"),
        ({"until": [1.0]}, "until must be positive"),
        ({"optimizer": torch.optim.Adam([torch.nn.Parameter(torch.ones(1))])}, "optimizer is an Adam that has its parameters"),
        ({"scheduler": "cosine"}, "scheduler is 'cosine', expected a function of the optimiser"),
        ({"preference": "ab"}, "preference: found a str, expected numbers"),
        ({"device": "gpu"}, "device 'gpu' cannot be used here"),
        ({"dtype": "float32"}, "dtype is 'float32', expected one of floating-point numbers"),
        ({"dtype": torch.int32}, "dtype is torch.int32"),
        ({"train": 3}, "the data are a int, expected Examples or a loader"),
        ({"train": []}, "the data are empty"),
        ({"train": Examples(INPUTS, TARGETS | {"size": INPUTS[:5, 0]})}, "task 'size' has 5 targets, and there are 20 inputs"),
        ({"train": Examples(INPUTS, TARGETS | {"size": INPUTS[:, :1]})}, r"shape \[20, 1\], .* drop their last dimension"),
        ({"train": Examples(INPUTS, TARGETS | {"sign": INPUTS})}, r"shape \[20, 3\], .* output \[20\]; give targets of that"),
    ],
)
def test_a_trainer_refuses_what_it_cannot_use(wrong, sentence):
    with pytest.raises(InputError, match=sentence):
        fitted(**wrong)


def test_numbers_of_numpy_and_a_single_task_are_taken():
    history = fitted(tasks=TASKS[0], epochs=np.int64(2), batch_size=np.int64(8), every=np.int64(1), lr=np.float32(0.1))
    assert history.losses.shape[0] == 2


def test_tasks_and_compositions_that_are_none():
    with pytest.raises(InputError, match="loss is the class MSELoss, expected an instance"):
        Task("size", torch.nn.MSELoss)
    with pytest.raises(InputError, match="metrics is 'mae', expected a list of them"):
        Task("size", "squared-error", "mae")
    with pytest.raises(InputError, match="a network needs at least one head"):
        MultiHead(torch.nn.Linear(3, 4), [torch.nn.Linear(4, 1)])
    no_solver = rules.compose(rules.losses.log())
    with pytest.raises(InputError, match="slot log gave no weights"):
        trace(problems.get("two-task-toy", scale=0.1), no_solver, points(3, 2), steps=1, lr=0.1)
