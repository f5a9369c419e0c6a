"""Many graphs as one: the nodes of all, the edges between them, and whose node is whose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Graphs:
    """N graphs of different sizes; a batch of them is the same kind of value.

    It stands where a network's inputs are a tensor: it has a length, it is indexed by graphs, and it is moved. What a
    message-passing network needs is in its attributes, without padding.

    >>> pair = Graphs(torch.zeros(5, 2), torch.tensor([[0, 3], [1, 4]]), torch.ones(2, 1), torch.tensor([0, 0, 0, 1, 1]), 2)
    >>> pair[torch.tensor([1, 1])].edges.tolist()
    [[0, 2], [1, 3]]

    Attributes:
        nodes: features, ``[V, F]``.
        edges: from which node to which, ``[2, E]``; sorted by graph.
        bonds: features of the edges, ``[E, B]``.
        graph: whose node it is, ``[V]`` in ``0 .. N - 1``; not decreasing.
        n_graphs: N.
    """

    nodes: Tensor
    edges: Tensor
    bonds: Tensor
    graph: Tensor
    n_graphs: int

    def __len__(self) -> int:
        return self.n_graphs

    def __getitem__(self, index: Tensor | slice) -> Graphs:
        """The graphs that an index tensor or a slice names, numbered anew."""
        chosen = torch.arange(self.n_graphs, device=self.device)[index]
        first_node, first_edge = self._starts[0][chosen], self._starts[1][chosen]
        n_nodes, n_edges = self._counts[0][chosen], self._counts[1][chosen]
        nodes, edges = _ranges(first_node, n_nodes), _ranges(first_edge, n_edges)
        shift = n_nodes.cumsum(0) - n_nodes - first_node  # where a graph's nodes now begin, less where they did
        return Graphs(
            self.nodes[nodes],
            self.edges[:, edges] + shift.repeat_interleave(n_edges),
            self.bonds[edges],
            torch.arange(len(chosen), device=self.device).repeat_interleave(n_nodes),
            len(chosen),
        )

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Graphs:
        """On another device; features in another dtype."""
        features = (part.to(device=device, dtype=dtype) for part in (self.nodes, self.bonds))
        nodes, bonds = features
        return Graphs(nodes, self.edges.to(device), bonds, self.graph.to(device), self.n_graphs)

    @property
    def device(self) -> torch.device:
        return self.nodes.device

    @cached_property
    def _counts(self) -> tuple[Tensor, Tensor]:
        """Nodes and edges of each graph."""
        return (
            torch.bincount(self.graph, minlength=self.n_graphs),
            torch.bincount(self.graph[self.edges[0]], minlength=self.n_graphs),
        )

    @cached_property
    def _starts(self) -> tuple[Tensor, Tensor]:
        """Where each graph's nodes and edges begin."""
        n_nodes, n_edges = self._counts
        return n_nodes.cumsum(0) - n_nodes, n_edges.cumsum(0) - n_edges


def _ranges(starts: Tensor, lengths: Tensor) -> Tensor:
    """``start, start + 1, ..., start + length - 1`` of each range, one after the other."""
    places = torch.arange(int(lengths.sum()), device=starts.device)
    return places + (starts - lengths.cumsum(0) + lengths).repeat_interleave(lengths)
