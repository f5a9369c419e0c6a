"""Small networks of every build that an engine has to take apart: name -> (trunk parameters, losses)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Build = tuple[list[nn.Parameter], Callable[[], Tensor]]
TASKS, BATCH = 3, 6


def _with_heads(trunk: nn.Module, width: int, inputs: Tensor) -> Build:
    trunk.double()
    heads = nn.ModuleList(nn.Linear(width, 2) for _ in range(TASKS)).double()
    targets = torch.randn(TASKS, inputs.shape[0], 2, dtype=torch.float64)

    def losses() -> Tensor:
        torch.manual_seed(11)  # the same dropout masks for every engine
        z = trunk(inputs)
        return torch.stack([(head(z) - target).square().mean() for head, target in zip(heads, targets, strict=True)])

    return list(trunk.parameters()), losses


def mlp() -> Build:
    trunk = nn.Sequential(nn.Linear(5, 40), nn.Tanh(), nn.Linear(40, 30, bias=False), nn.ReLU(inplace=True), nn.Linear(30, 4))
    return _with_heads(trunk, 4, torch.randn(BATCH, 5, dtype=torch.float64))


def lenet() -> Build:
    trunk = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 7), nn.ReLU()
    )
    return _with_heads(trunk, 7, torch.randn(BATCH, 1, 8, 8, dtype=torch.float64))


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout2d(0.3),
            nn.Conv2d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


def resnet() -> Build:
    trunk = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), Residual(4), Residual(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    return _with_heads(trunk, 4, torch.randn(BATCH, 2, 7, 7, dtype=torch.float64))


class Last(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(3, 5, num_layers=2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(x)[0][:, -1]


def gru() -> Build:
    return _with_heads(Last(), 5, torch.randn(BATCH, 4, 3, dtype=torch.float64))


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(13, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.table(x)).mean(dim=1)


def transformer() -> Build:
    return _with_heads(Words(), 8, torch.randint(0, 13, (BATCH, 5)))


class Messages(nn.Module):
    """Two rounds of messages on a ring of nodes, with one weight used in both rounds."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.send = nn.Linear(3, 6), nn.Linear(6, 6)
        ring = torch.eye(5, dtype=torch.float64).roll(1, dims=0)
        self.register_buffer("neighbours", (ring + ring.T) / 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.enter(x))
        for _ in range(2):
            h = torch.tanh(h + self.neighbours @ self.send(h))
        return h.mean(dim=1)


def graph_network() -> Build:
    return _with_heads(Messages(), 6, torch.randn(BATCH, 5, 3, dtype=torch.float64))


class Tied(nn.Module):
    """An autoencoder-like trunk whose decoder is its encoder's transpose."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(6, 9)
        self.bias = nn.Parameter(torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(nn.functional.linear(torch.tanh(self.encode(x)), self.encode.weight.T, self.bias))


def tied() -> Build:
    return _with_heads(Tied(), 6, torch.randn(BATCH, 6, dtype=torch.float64))


def partly_reached() -> Build:
    """A trunk parameter that one task alone uses, one that nobody uses, and a task that stops at an early layer."""
    first, second, side, idle = (nn.Linear(5, 30).double() for _ in range(4))
    second, side = nn.Linear(30, 4).double(), nn.Linear(30, 2).double()
    heads = nn.ModuleList([nn.Linear(4, 2), nn.Linear(4, 2), nn.Linear(30, 2)]).double()
    x = torch.randn(BATCH, 5, dtype=torch.float64)

    def losses() -> Tensor:
        hidden = torch.tanh(first(x))
        z = torch.tanh(second(hidden))
        out = [heads[0](z), heads[1](z) + side(hidden), heads[2](hidden)]
        return torch.stack([(y - 1).square().mean() for y in out])

    return [p for layer in (first, second, side, idle) for p in layer.parameters()], losses


def own_in_the_common_part() -> Build:
    """The trunk's last layer serves all tasks but is not declared as shared: it is balanced by nobody."""
    trunk = nn.Sequential(nn.Linear(5, 30), nn.Tanh(), nn.Linear(30, 4), nn.Tanh())
    parameters, losses = _with_heads(trunk, 4, torch.randn(BATCH, 5, dtype=torch.float64))
    return parameters[:2], losses


def losses_of_one_tensor() -> Build:
    """No heads at all: every loss is an entry of one output."""
    trunk = nn.Sequential(nn.Linear(5, 30), nn.Tanh(), nn.Linear(30, TASKS)).double()
    x = torch.randn(BATCH, 5, dtype=torch.float64)
    return list(trunk.parameters()), lambda: trunk(x).square().mean(dim=0)


def tied_head() -> Build:
    """A layer of the trunk serves, transposed, as one task's head, and another's head is no parameter at all."""
    trunk = nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 4), nn.Tanh()).double()
    head = nn.Linear(4, 2).double()
    x = torch.randn(BATCH, 5, dtype=torch.float64)

    def losses() -> Tensor:
        z = trunk(x)
        return torch.stack([head(z).square().mean(), (z @ trunk[2].weight).square().mean(), (z - 1).square().mean()])

    return list(trunk.parameters()), losses


def tied_own() -> Build:
    """The same with a layer that is not declared as shared."""
    parameters, losses = tied_head()
    return parameters[:2], losses


def widened() -> Build:
    """Heads that broadcast what the trunk gives, twice, and one that reads it as it is."""
    trunk = nn.Sequential(nn.Linear(5, 30), nn.Tanh(), nn.Linear(30, 1)).double()
    left, right = (nn.Parameter(torch.randn(1, 3, dtype=torch.float64)) for _ in range(2))
    x = torch.randn(BATCH, 5, dtype=torch.float64)

    def losses() -> Tensor:
        z = trunk(x)
        return torch.stack([(z * left + z).square().mean(), (right + z).exp().mean(), (z - 1).square().mean()])

    return list(trunk.parameters()), losses


NETWORKS: dict[str, Callable[[], Build]] = {
    build.__name__: build
    for build in (
        mlp,
        lenet,
        resnet,
        gru,
        transformer,
        graph_network,
        tied,
        partly_reached,
        own_in_the_common_part,
        losses_of_one_tensor,
        tied_head,
        tied_own,
        widened,
    )
}
