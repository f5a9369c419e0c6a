"""Networks: what is shared, what each head gives, and initial parameters from a seed."""

import pytest
import torch
from torch import nn

from moo_mtl import data, models
from moo_mtl.data import Dataset, Examples, Target
from moo_mtl.errors import InputError
from moo_mtl.models import MultiHead, shared_parameters

TWO = (Target("a", "regression"), Target("b.c", "classes", 4))


def dataset(shape=(3,), tasks=TWO):
    examples = Examples(torch.zeros(6, *shape), {task.name: torch.zeros(6) for task in tasks})
    return Dataset("made", examples, {part: torch.arange(6) for part in ("train", "validation", "test")}, tasks)


@pytest.mark.parametrize(
    ("name", "shape"), [("mlp", (3,)), ("linear", (3,)), ("gates", (2,)), ("lenet", (1, 36, 36)), ("small-lenet", (1, 10, 10))]
)
def test_every_network_gives_an_output_per_task(name, shape):
    made = dataset(shape)
    outputs = models.get(name, made)(torch.randn(5, *shape))
    assert {task: tuple(output.shape) for task, output in outputs.items()} == {"a": (5,), "b.c": (5, 4)}


def test_lenet_is_pareto_mtls():
    network = models.get("lenet", dataset((1, 36, 36), (Target("l", "classes", 10), Target("r", "classes", 10))))
    shapes = [tuple(parameter.shape) for parameter in network.parameters() if parameter.dim() > 1]
    assert shapes == [(10, 1, 9, 9), (20, 10, 5, 5), (50, 500), (10, 50), (10, 50)]


def test_the_gates_network_is_the_task_tensioners():
    network = models.get("gates", data.get("logic-gates"))
    assert [tuple(parameter.shape) for parameter in network.parameters()] == [(2, 2), (2,), (1, 2), (1,), (1, 2), (1,)]
    x = torch.tensor([[0.0, 1.0]])
    w, b, w1, b1, *_ = network.parameters()
    assert torch.allclose(network(x)["xor"], (torch.sigmoid(x @ w.T + b) @ w1.T + b1).squeeze(1))


def test_the_trunk_is_what_is_shared():
    network = models.get("mlp", dataset())
    shared = shared_parameters(network)
    assert {id(parameter) for parameter in shared} == {id(parameter) for parameter in network.trunk.parameters()}
    heads = {id(parameter) for parameter in network.heads.parameters()}
    assert not heads & {id(parameter) for parameter in shared}


def test_a_network_without_a_trunk_shares_everything_that_trains():
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    network[0].weight.requires_grad_(False)
    assert len(shared_parameters(network)) == 3


def test_parameters_depend_on_the_seed_alone():
    made = dataset()
    torch.manual_seed(5)
    one = models.get("mlp", made, seed=3)
    after = torch.rand(1)
    torch.manual_seed(6)
    other = models.get("mlp", made, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    different = models.get("mlp", made, seed=4)
    assert not torch.equal(next(one.parameters()), next(different.parameters()))
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1)), "the global generator was drawn from"


def test_bad_networks_are_refused():
    made = dataset()
    with pytest.raises(InputError, match="did you mean 'lenet'"):
        models.get("lenett", made)
    with pytest.raises(InputError, match="wants images"):
        models.get("lenet", made)
    with pytest.raises(InputError, match="at least 22 x 22"):
        models.get("lenet", dataset((1, 10, 10)))
    with pytest.raises(InputError, match="widths must be positive"):
        models.get("mlp", made, widths=[])
    with pytest.raises(InputError, match="probability"):
        models.get("mlp", made, dropout=1.0)
    with pytest.raises(InputError, match="unknown parameter of network 'mlp'"):
        models.get("mlp", made, width=3)
    with pytest.raises(InputError, match="must return a torch"):
        models.get("tests.test_models:no_network", made)
    with pytest.raises(InputError, match="at least one head"):
        MultiHead(nn.Identity(), {})


def test_a_users_own_network():
    made = dataset()
    assert isinstance(models.get("tests.test_models:own_network", made, width=7).trunk, nn.Linear)


def no_network(dataset):
    return 3


def own_network(dataset, width):
    return MultiHead(nn.Linear(3, width), {task.name: nn.Linear(width, task.n_outputs) for task in dataset.tasks})
