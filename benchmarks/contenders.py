"""Models, and who takes the gradients of their K losses: every engine, torchjd, LibMTL."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.peers import libmtl_rule
from moo_mtl import Balancer, rules, solvers
from moo_mtl.engines.products import products

MODELS = ("lenet", "mlp-256", "mlp-32", "resnet", "transformer", "gnn")
TASKS = (2, 5, 10, 40)
ENGINES = ("looped", "vmapped", "gramian", "features", "products", "auto")
PRODUCT = "one product"
BY_HAND = "LibMTL's loop"
PEERS = ("LibMTL", "torchjd", "torchjd chunk=1", "torchjd autogram")


class Residual(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.skip = nn.Identity() if before == after else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.skip(x))


class Block(nn.Module):
    """A transformer block over 32 tokens, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(1000, 64)
        self.block = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        mixed: Tensor = self.block(self.embedding(tokens))
        return mixed.mean(dim=1)


class Molecules(nn.Module):
    """Three rounds of messages over dense adjacencies of 20 nodes; nodes carry 16 features, and the last 20 the edges."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(16, 64)
        self.rounds = nn.ModuleList(nn.Linear(128, 64) for _ in range(3))

    def forward(self, graphs: Tensor) -> Tensor:
        nodes, edges = torch.relu(self.enter(graphs[..., :16])), graphs[..., 16:]
        for update in self.rounds:
            nodes = torch.relu(update(torch.cat([nodes, edges @ nodes], dim=-1)))
        return nodes.mean(dim=1)


def trunk_of(model: str) -> tuple[nn.Module, Tensor, int]:
    """A trunk, a batch for it, and the width of its features."""
    if model == "lenet":
        convolutions = nn.Sequential(
            nn.Conv2d(1, 10, 9), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(10, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(500, 50), nn.ReLU(),
        )  # fmt: skip
        return convolutions, torch.randn(256, 1, 36, 36), 50
    if model.startswith("mlp"):
        layers = nn.Sequential(nn.Linear(256, 600), nn.ReLU(), nn.Linear(600, 600), nn.ReLU(), nn.Linear(600, 600), nn.ReLU())
        return layers, torch.randn(int(model.split("-")[1]), 256), 600
    if model == "resnet":
        residual = nn.Sequential(
            nn.Conv2d(3, 64, 3, 1, 1), nn.BatchNorm2d(64), nn.ReLU(), Residual(64, 64, 1), Residual(64, 128, 2),
            Residual(128, 256, 2), Residual(256, 256, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        return residual, torch.randn(32, 3, 16, 16), 256
    if model == "transformer":
        return Block(), torch.randint(0, 1000, (32, 32)), 64
    return Molecules(), torch.cat([torch.randn(64, 20, 16), (torch.rand(64, 20, 20) < 0.15).float()], dim=-1), 64


class Case:
    """A trunk with K heads and a batch."""

    def __init__(self, model: str, n_tasks: int) -> None:
        torch.manual_seed(0)
        self.trunk, self.inputs, width = trunk_of(model)
        self.heads = nn.ModuleList(nn.Linear(width, 10) for _ in range(n_tasks))
        self.optimizer = torch.optim.SGD((*self.trunk.parameters(), *self.heads.parameters()), lr=1e-4)
        self.labels = torch.randint(0, 10, (n_tasks, len(self.inputs)))

    def forward(self) -> tuple[Tensor, list[Tensor]]:
        z = self.trunk(self.inputs)
        pairs = zip(self.heads, self.labels, strict=True)
        return z, [nn.functional.cross_entropy(head(z), label) for head, label in pairs]

    def clear(self) -> None:
        for parameter in (*self.trunk.parameters(), *self.heads.parameters()):
            parameter.grad = None


def contender(name: str, case: Case) -> Callable[[Tensor, list[Tensor]], None]:
    """From the features and losses of a forward pass to filled gradients."""
    if name == "floor":
        return lambda z, losses: sum(losses).backward()
    if name in ENGINES:
        balancer = Balancer(rules.mgda(), case.trunk, engine=name, heads="raw")
        return lambda z, losses: balancer.backward(torch.stack(losses)) and None
    if name == PRODUCT:
        return lambda z, losses: _one_product(case, losses)
    if name == BY_HAND:
        return lambda z, losses: _by_hand(case, losses)
    return _libmtl(case) if name == "LibMTL" else _torchjd(name, case)


def _one_product(case: Case, losses: list[Tensor]) -> None:
    """What a certificate of given weights costs; further products of the same step cost less, and no `.grad` is filled."""
    look = products(torch.stack(losses), list(case.trunk.parameters()), list(case.heads.parameters()))
    assert look.product is not None
    look.product(torch.full((len(losses),), 1 / len(losses), dtype=torch.float64))


def _by_hand(case: Case, losses: list[Tensor]) -> None:
    """What LibMTL does (a backward pass per task, rows copied out of `.grad`), with this project's solver."""
    shared = list(case.trunk.parameters())
    rows = torch.zeros(len(losses), sum(p.numel() for p in shared))
    for task, loss in enumerate(losses):
        loss.backward(retain_graph=True)
        rows[task] = torch.cat([p.grad.reshape(-1) for p in shared])
        for p in shared:
            p.grad.zero_()
    weights = solvers.min_norm((rows @ rows.T).double()).weights.float()
    direction = weights @ rows
    for p, part in zip(shared, direction.split([p.numel() for p in shared]), strict=True):
        p.grad = part.view_as(p).clone()


def _libmtl(case: Case) -> Callable[[Tensor, list[Tensor]], None]:
    """LibMTL's own MGDA, with what its trainer would give it: where the shared parameters are, and how they are zeroed."""
    released = libmtl_rule("MGDA")

    class Model(released):  # type: ignore[misc, valid-type]
        def get_share_params(self) -> object:
            return case.trunk.parameters()

        def zero_grad_share_params(self) -> None:
            case.trunk.zero_grad(set_to_none=False)

    model = Model()
    model.task_num, model.device, model.rep_grad = len(case.heads), torch.device("cpu"), False

    def step(z: Tensor, losses: list[Tensor]) -> None:
        model.backward(losses, mgda_gn="none")

    return step


def _torchjd(name: str, case: Case) -> Callable[[Tensor, list[Tensor]], None]:
    from torchjd.aggregation import MGDA
    from torchjd.autojac import jac_to_grad, mtl_backward

    if name == "torchjd autogram":
        from torchjd.aggregation import MGDAWeighting
        from torchjd.autogram import Engine

        engine, weighting = Engine(case.trunk, batch_dim=None), MGDAWeighting()

        def by_gramian(z: Tensor, losses: list[Tensor]) -> None:
            stacked = torch.stack(losses)
            stacked.backward(weighting(engine.compute_gramian(stacked)))

        return by_gramian
    chunk, aggregator = (1 if "chunk" in name else None), MGDA()

    def by_rows(z: Tensor, losses: list[Tensor]) -> None:
        mtl_backward(losses, features=z, parallel_chunk_size=chunk)
        jac_to_grad(case.trunk.parameters(), aggregator)

    return by_rows
