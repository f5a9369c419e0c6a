"""Graphs of different sizes in one value: a batch holds exactly the graphs that were asked for."""

import numpy as np
import pytest
import torch
from torch import nn

from moo_mtl import data, rules
from moo_mtl.data import Dataset, Examples, Graphs, Target
from moo_mtl.data.molecules import ELEMENTS, molecules
from moo_mtl.errors import InputError
from moo_mtl.training import Trainer, tasks_of
from tests.test_data import files


def random_graphs(n=7, seed=0):
    """Graphs of 1 to 5 nodes, each node and edge with a number of its own; one graph has no edge."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 6, (n,), generator=generator)
    sizes[2] = 1
    first = sizes.cumsum(0) - sizes
    edges = [
        torch.stack(
            [first[k] + torch.randint(int(sizes[k]), (2,), generator=generator) for _ in range(2 * int(sizes[k] > 1))], 1
        )
        for k in range(n)
        if sizes[k] > 1
    ]
    joined = torch.cat(edges, dim=1)
    numbers = torch.arange(float(joined.shape[1]))[:, None]
    return Graphs(torch.arange(float(sizes.sum()))[:, None], joined, numbers, torch.arange(n).repeat_interleave(sizes), n)


def alone(graphs, k):
    """What belongs to one graph, found by looking at every node: features of nodes, and of edges with both their ends."""
    nodes = graphs.nodes[graphs.graph == k].flatten().tolist()
    own = (graphs.graph[graphs.edges[0]] == k).nonzero().flatten().tolist()
    ends = [
        (graphs.nodes[graphs.edges[0, e]].item(), graphs.nodes[graphs.edges[1, e]].item(), graphs.bonds[e].item()) for e in own
    ]
    return nodes, ends


@pytest.mark.parametrize(
    "index", [torch.tensor([3, 0, 2, 3]), slice(1, 6, 2), torch.tensor([True, False] * 3 + [True]), torch.tensor([], dtype=int)]
)
def test_a_batch_holds_the_graphs_that_were_asked_for(index):
    graphs = random_graphs()
    batch, wanted = graphs[index], torch.arange(len(graphs))[index].tolist()
    assert len(batch) == len(wanted)
    assert [alone(batch, place) for place in range(len(batch))] == [alone(graphs, k) for k in wanted]


def test_all_graphs_in_their_order_are_the_same_value():
    graphs = random_graphs()
    same = graphs[:]
    for part in ("nodes", "edges", "bonds", "graph"):
        assert torch.equal(getattr(same, part), getattr(graphs, part))


def test_examples_of_graphs_are_moved_with_their_targets():
    examples = Examples(random_graphs(), {"t": torch.arange(7.0)})
    batch = examples[torch.tensor([4, 1])].to(dtype=torch.float64)
    assert batch.inputs.nodes.dtype == batch.inputs.bonds.dtype == batch.targets["t"].dtype == torch.float64
    assert batch.inputs.edges.dtype == torch.int64
    assert len(examples) == 7
    assert batch.targets["t"].tolist() == [4, 1]


class Sums(nn.Module):
    """Features of a graph: the sums over its nodes, after one round of messages."""

    def __init__(self, width):
        super().__init__()
        self.trunk, self.head = nn.Linear(width, 8), nn.Linear(8, 1)

    def forward(self, graphs):
        sender, receiver = graphs.edges
        received = torch.zeros_like(graphs.nodes).index_add(0, receiver, graphs.nodes[sender])
        features = self.trunk(torch.cat([graphs.nodes, received], dim=1)).relu()
        pooled = features.new_zeros(len(graphs), 8).index_add(0, graphs.graph, features)
        return {"t": self.head(pooled).flatten()}


def test_a_message_passing_network_is_trained_on_batches():
    graphs = random_graphs(n=64, seed=1)
    degree = torch.bincount(graphs.graph[graphs.edges[0]], minlength=64).float()
    splits = dict(zip(("train", "validation", "test"), torch.arange(64).split([48, 8, 8]), strict=True))
    graphs = Graphs(torch.ones_like(graphs.nodes), graphs.edges, graphs.bonds, graphs.graph, 64)
    dataset = Dataset("g", Examples(graphs, {"t": degree}), splits, (Target("t", "regression"),))
    torch.manual_seed(0)
    trainer = Trainer(Sums(2), tasks_of(dataset), rules.get("equal"), epochs=60, batch_size=16, lr=0.02)
    before = trainer.score(dataset.train).losses.item()
    trainer.fit(dataset.train, dataset.validation)
    assert trainer.score(dataset.train).losses.item() < 0.1 * before
    with pytest.raises(InputError, match="reads tensors, and g holds graphs"):
        dataset.tensor_inputs("mlp")


def test_molecules_by_hand():
    """Formaldehyde (C=O, two hydrogens on C) and hydrogen cyanide (C#N) in padded arrays."""
    bonds = np.zeros((2, 3, 3), np.uint8)
    bonds[0, 0, 1] = bonds[0, 1, 0] = 2
    bonds[1, 0, 1] = bonds[1, 1, 0] = 3
    found = molecules(
        {
            "atomic_number": np.array([[6, 8, 0], [6, 7, 0]], np.uint8),
            "num_h": np.array([[2, 0, 0], [1, 0, 0]], np.uint8),
            "formal_charge": np.zeros((2, 3), np.int8),
            "bond": bonds,
        }
    )
    assert ELEMENTS == (6, 7, 8, 9)
    assert found.nodes.tolist() == [[1, 0, 0, 0, 2, 0], [0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0]]
    assert found.edges.tolist() == [[0, 1, 2, 3], [1, 0, 3, 2]]
    assert found.bonds.tolist() == [[0, 1, 0, 0]] * 2 + [[0, 0, 1, 0]] * 2
    assert found.graph.tolist() == [0, 0, 1, 1]


@files
def test_graphs_and_fingerprints_of_qm9_are_of_the_same_molecules():
    flat, graphs = data.get("qm9"), data.get("qm9-graphs")
    assert all(torch.equal(flat.splits[part], graphs.splits[part]) for part in flat.splits)
    assert all(torch.equal(flat.examples.targets[task.name], graphs.examples.targets[task.name]) for task in flat.tasks)
    nodes, owner = graphs.examples.inputs.nodes, graphs.examples.inputs.graph
    carbons = torch.zeros(len(graphs.examples)).index_add(0, owner, nodes[:, 0])
    assert torch.corrcoef(torch.stack([carbons, flat.examples.inputs[:, 1]]))[0, 1] > 0.9999
