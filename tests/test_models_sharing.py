"""What networks share is what several tasks reach, and every exact engine finds the same gradients in them."""

import pytest
import torch

from moo_mtl import Balancer, models, rules
from moo_mtl.data import Dataset, Examples, Target
from moo_mtl.data.graphs import Graphs
from moo_mtl.errors import InputError
from moo_mtl.models import shared_parameters
from moo_mtl.training import Trainer, tasks_of

FLAT = (Target("a", "regression"), Target("b", "classes", 4), Target("c", "binary"))
DENSE = (Target("classes", "classes", 3, dense=True), Target("depth", "depth", dense=True))
SPLITS = {part: torch.arange(6) for part in ("train", "validation", "test")}


def flat(*shape):
    targets = {"a": torch.randn(6), "b": torch.arange(6) % 4, "c": (torch.arange(6) % 2).float()}
    return Dataset("made", Examples(torch.randn(6, *shape), targets), SPLITS, FLAT)


def dense(height=8, width=12):
    targets = {"classes": torch.randint(0, 3, (6, height, width)), "depth": torch.rand(6, 1, height, width)}
    return Dataset("made", Examples(torch.randn(6, 2, height, width), targets), SPLITS, DENSE)


def molecules():
    """Six rings of 3 to 8 nodes, and one of them with a node that no edge reaches."""
    sizes = [3, 4, 5, 6, 7, 8]
    starts = [sum(sizes[:n]) for n in range(6)]
    ring = [[(start + i, start + (i + 1) % size) for i in range(size)] for start, size in zip(starts, sizes, strict=True)]
    edges = torch.tensor([pair for one in ring for pair in one]).T
    graph = torch.tensor([n for n, size in enumerate(sizes) for _ in range(size)] + [5])
    nodes = torch.randn(len(graph), 3)
    inputs = Graphs(nodes, edges, torch.randn(edges.shape[1], 2), graph, 6)
    return Dataset("rings", Examples(inputs, flat(1).examples.targets), SPLITS, FLAT)


# name -> data and parameters that keep it small
NETWORKS = {
    "mlp": lambda: (flat(5), {"widths": [7, 6]}),
    "resnet18": lambda: (flat(2, 8, 8), {"width": 2}),
    "segnet": lambda: (dense(), {"widths": [3, 4]}),
    "gnn": lambda: (molecules(), {"width": 4, "rounds": 2}),
    "mmoe": lambda: (flat(5), {"experts": 3, "widths": [6, 4]}),
    "cgc": lambda: (flat(5), {"experts": 2, "own": 1, "widths": [6, 4]}),
    "ple": lambda: (flat(5), {"experts": 1, "own": 2, "widths": [4], "levels": 3}),
    "cross-stitch": lambda: (flat(5), {"widths": [6, 4]}),
    "mtan": lambda: (flat(1, 8, 8), {"width": 2}),
}


def built(name):
    torch.manual_seed(0)
    dataset, parameters = NETWORKS[name]()
    return dataset, models.get(name, dataset, seed=1, **parameters).double()


def losses(network, dataset):
    batch = dataset.train.to(dtype=torch.float64)
    outputs = network(batch.inputs)
    return [task.mean_loss(outputs[task.output], batch.targets[task.name]) for task in tasks_of(dataset)]


@pytest.mark.parametrize("name", NETWORKS)
def test_shared_is_what_several_tasks_reach(name):
    dataset, network = built(name)
    parameters, shared = list(network.parameters()), {id(parameter) for parameter in shared_parameters(network)}
    reached = [torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in losses(network, dataset)]
    for place, parameter in enumerate(parameters):
        tasks = sum(found[place] is not None for found in reached)
        assert tasks >= 1, "a parameter that no task uses"
        assert (tasks > 1) == (id(parameter) in shared)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("rule", ["upgrad", "db-mtl"])
def test_every_exact_engine_writes_the_same_gradients(name, rule):
    written = {}
    for engine in ("looped", "vmapped", "gramian", "auto"):
        if rule == "db-mtl" and engine == "gramian":
            continue  # it keeps rows
        dataset, network = built(name)
        Balancer(rules.get(rule), shared_parameters(network), engine=engine).backward(torch.stack(losses(network, dataset)))
        written[engine] = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
    for engine, gradient in written.items():
        torch.testing.assert_close(gradient, written["looped"], rtol=1e-10, atol=1e-12, msg=lambda m, e=engine: f"{e}: {m}")


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_trains(name):
    dataset, network = built(name)
    history = Trainer(network, tasks_of(dataset), rules.get("equal"), epochs=8, lr=3e-3).fit(dataset.train)
    assert history.losses[-1].sum() < history.losses[0].sum()


def test_a_graph_is_read_without_regard_to_its_neighbours_in_the_batch():
    dataset, network = built("gnn")
    graphs = dataset.train.inputs.to(dtype=torch.float64)
    together = network(graphs)["a"]
    alone = torch.cat([network(graphs[torch.tensor([n])])["a"] for n in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


def test_a_renamed_node_changes_nothing():
    dataset, network = built("gnn")
    graphs = dataset.train.inputs.to(dtype=torch.float64)
    order = torch.cat(
        [start + torch.randperm(size) for start, size in zip([0, 3, 7, 12, 18, 25], [3, 4, 5, 6, 7, 9], strict=True)]
    )
    renamed = Graphs(graphs.nodes[order], order.argsort()[graphs.edges], graphs.bonds, graphs.graph, 6)
    torch.testing.assert_close(network(renamed)["b"], network(graphs)["b"], rtol=1e-12, atol=1e-12)


def test_what_the_decoder_doubles_is_what_the_encoder_halved():
    from moo_mtl.models.segnet import doubled, halved

    x = torch.randn(2, 3, 4, 6)
    largest, place = halved(x)
    pooled, index = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    torch.testing.assert_close(largest, pooled)
    torch.testing.assert_close(doubled(largest, place), torch.nn.functional.max_unpool2d(pooled, index, 2))


def test_one_level_of_experts_by_hand():
    dataset, network = built("mmoe")
    level, x = network.levels[0], dataset.train.inputs.double()
    gate = torch.softmax(x @ level.gates[1].weight.T + level.gates[1].bias, dim=1)
    mixture = sum(gate[:, n, None] * expert(x) for n, expert in enumerate(level.shared))
    torch.testing.assert_close(network(x)["b"], network.heads[1](mixture))


@pytest.mark.parametrize(
    ("name", "data", "parameters", "message"),
    [
        ("resnet18", lambda: flat(5), {}, "wants images"),
        ("resnet18", lambda: flat(1, 8, 8), {"stem": "huge"}, "stem"),
        ("segnet", lambda: flat(1, 8, 8), {}, "do not ask so: a, b, c"),
        ("segnet", lambda: dense(8, 10), {"widths": [3, 4]}, "cannot be"),
        ("gnn", lambda: flat(5), {}, "wants graphs"),
        ("gnn", molecules, {"rounds": 0}, "must be positive"),
        ("mmoe", lambda: flat(5), {"experts": 0}, "numbers of experts"),
        ("cgc", lambda: flat(5), {"own": 0}, "numbers of experts"),
        ("ple", lambda: flat(5), {"levels": 0}, "number of levels"),
        ("cross-stitch", lambda: flat(5), {"own": 1.5}, "share in"),
        ("cross-stitch", lambda: flat(5), {"widths": []}, "widths must be"),
    ],
)
def test_what_does_not_fit_is_refused(name, data, parameters, message):
    with pytest.raises(InputError, match=message):
        models.get(name, data(), **parameters)
