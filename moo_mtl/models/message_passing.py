"""Message passing on graphs, in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moo_mtl.data.dataset import Dataset
from moo_mtl.data.graphs import Graphs
from moo_mtl.errors import InputError
from moo_mtl.models.multi_head import MultiHead


def gnn(dataset: Dataset, width: int = 64, rounds: int = 3) -> MultiHead:
    """A shared message-passing network for graphs, and a head of two layers for each task.

    Args:
        dataset: whose inputs are ``Graphs``.
        width: of a node's state.
        rounds: of messages; the same layers serve in each.

    Raises:
        InputError: inputs that are not graphs, or a number below 1.

    Source: Gilmer, Schoenholz, Riley, Vinyals and Dahl, Neural Message Passing for Quantum Chemistry, ICML 2017,
        arXiv 1704.01212; here a message is gated by its bond, and a graph is read by the sum and the mean of its nodes.
    """
    if min(width, rounds) < 1:
        raise InputError(f"gnn: width and rounds must be positive, found {width} and {rounds}")
    graphs = dataset.examples.inputs
    if not isinstance(graphs, Graphs):
        raise InputError(f"gnn wants graphs, and the inputs of {dataset.name} are a tensor; take one of the other networks")
    trunk = MessagePassing(graphs.nodes.shape[1], graphs.bonds.shape[1], width, rounds)
    heads = {
        task.output: nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, task.n_outputs))
        for task in dataset.tasks
    }
    return MultiHead(trunk, heads)


class MessagePassing(nn.Module):
    r"""Features of whole graphs from those of nodes and bonds.

    .. math:: m_v = \sum_{u \to v} \tanh(A\, b_{uv}) \odot B\, h_u, \qquad h_v \leftarrow \mathrm{GRU}(m_v, h_v)

    Args:
        n_node: features of a node.
        n_bond: features of an edge.
        width: of the states :math:`h`.
        rounds: how often messages are sent.
    """

    def __init__(self, n_node: int, n_bond: int, width: int, rounds: int) -> None:
        super().__init__()
        self.enter = nn.Linear(n_node, width)
        self.gate, self.send = nn.Linear(n_bond, width), nn.Linear(width, width)
        self.renew = nn.GRUCell(width, width)
        self.rounds = rounds

    def forward(self, graphs: Graphs) -> Tensor:
        """N graphs to ``[N, 2 width]``: the sum and the mean of the nodes' states."""
        source, target = graphs.edges
        state, gate = torch.relu(self.enter(graphs.nodes)), torch.tanh(self.gate(graphs.bonds))
        for _ in range(self.rounds):
            arriving = torch.zeros_like(state).index_add(0, target, gate * self.send(state)[source])
            state = self.renew(arriving, state)
        total = state.new_zeros(len(graphs), state.shape[1]).index_add(0, graphs.graph, state)
        count = torch.bincount(graphs.graph, minlength=len(graphs)).clamp(min=1).to(state)
        return torch.cat([total, total / count[:, None]], dim=1)
