"""One small rule of every kind that a driver has to carry, written against the bare contract and without ``compose``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl import Needs, Observation, Rule, Weighing
from moo_mtl.solvers import min_norm, project_simplex


class PCGrad(Rule[tuple[()]]):
    """Random: projects each gradient off those it conflicts with, in an order drawn by the driver."""

    name, needs = "small-pcgrad", Needs.GRAMIAN | Needs.NOISE

    def draws(self, n_tasks: int, n_dim: int) -> int:
        return n_tasks * n_tasks

    def weigh(self, obs: Observation, state: tuple[()]) -> tuple[Weighing, tuple[()]]:
        G, K = obs.gramian, obs.n_tasks
        order = obs.noise.reshape(*obs.batch, K, K).argsort(dim=-1)
        c = torch.eye(K, dtype=G.dtype).expand(*obs.batch, K, K)
        for turn in range(K):
            other = torch.nn.functional.one_hot(order[..., turn], K).to(G.dtype)
            overlap = (c @ G * other).sum(dim=-1)
            size = (G.diagonal(dim1=-2, dim2=-1)[..., None, :] * other).sum(dim=-1)
            itself = (order[..., turn] == torch.arange(K)) | (size == 0)
            c = c - torch.where((overlap < 0) & ~itself, overlap / torch.where(size > 0, size, 1.0), 0.0)[..., None] * other
        return Weighing(c.sum(dim=-2), heads=torch.ones_like(obs.losses)), state


class Logits(NamedTuple):
    logits: Tensor
    before: Tensor


class Famo(Rule[Logits]):
    """Learns from the losses after the step."""

    name, needs = "small-famo", Needs.LOSSES | Needs.AFTER

    def init(self, obs: Observation) -> Logits:
        return Logits(torch.zeros_like(obs.losses), torch.ones_like(obs.losses))

    def weigh(self, obs: Observation, state: Logits) -> tuple[Weighing, Logits]:
        z = torch.softmax(state.logits, dim=-1) / obs.losses
        return Weighing(z / z.sum(dim=-1, keepdim=True)), state._replace(before=obs.losses)

    def observe(self, after: Tensor, state: Logits) -> Logits:
        z = torch.softmax(state.logits, dim=-1)
        change = state.before.log() - after.log()
        gradient = z * (change - (z * change).sum(dim=-1, keepdim=True))
        return state._replace(logits=state.logits - 0.1 * gradient)


class GradDrop(Rule[tuple[()]]):
    """Gives a direction that no weights give: keeps, per coordinate, the gradients of one sign."""

    name, needs = "small-graddrop", Needs.ROWS | Needs.NOISE

    def draws(self, n_tasks: int, n_dim: int) -> int:
        return n_dim

    def weigh(self, obs: Observation, state: tuple[()]) -> tuple[Weighing, tuple[()]]:
        rows = obs.rows
        total = rows.abs().sum(dim=-2)
        purity = torch.where(total > 0, (1 + rows.sum(dim=-2) / total.clamp(min=1e-300)) / 2, 0.5)
        keep = torch.where((purity > obs.noise)[..., None, :], rows > 0, rows < 0)
        return Weighing(keep.to(rows).mean(dim=-1).to(obs.losses), direction=(keep * rows).sum(dim=-2)), state


class MoDo(Rule[Tensor]):
    """Multiplies gradients of independent batches."""

    name, needs = "small-modo", Needs.CROSS

    def init(self, obs: Observation) -> Tensor:
        return torch.full(obs.losses.shape, 1 / obs.n_tasks, dtype=torch.float64)

    def weigh(self, obs: Observation, state: Tensor) -> tuple[Weighing, Tensor]:
        state = project_simplex(state - 0.1 * (obs.cross @ state[..., None]).squeeze(-1))
        return Weighing(state.to(obs.losses)), state


class Tchebycheff(Rule[tuple[()]]):
    """Follows a preference."""

    name, needs = "small-tchebycheff", Needs.LOSSES | Needs.PREFERENCE

    def weigh(self, obs: Observation, state: tuple[()]) -> tuple[Weighing, tuple[()]]:
        weighted = obs.preference * obs.losses
        worst = weighted == weighted.amax(dim=-1, keepdim=True)
        return Weighing(obs.preference * worst / worst.sum(dim=-1, keepdim=True)), state


class Hypervolume(Rule[tuple[()]]):
    """Looks at a population: the gradient of the area that its two-objective losses dominate."""

    name, needs = "small-hypervolume", Needs.LOSSES | Needs.POPULATION
    reference = (4.0, 4.0)

    def weigh(self, obs: Observation, state: tuple[()]) -> tuple[Weighing, tuple[()]]:
        by_first = obs.losses[..., 0].argsort(dim=-1)
        ordered = obs.losses.gather(-2, by_first[..., None].expand_as(obs.losses))
        above = torch.cat([torch.full_like(ordered[..., :1, 1], self.reference[1]), ordered[..., :-1, 1]], dim=-1)
        right = torch.cat([ordered[..., 1:, 0], torch.full_like(ordered[..., :1, 0], self.reference[0])], dim=-1)
        gain = torch.stack([above - ordered[..., 1], right - ordered[..., 0]], dim=-1).clamp(min=0)
        return Weighing(torch.empty_like(gain).scatter(-2, by_first[..., None].expand_as(gain), gain)), state


class Equal(Rule[tuple[()]]):
    """Meets an absent task."""

    name, needs = "small-equal", Needs.LOSSES

    def weigh(self, obs: Observation, state: tuple[()]) -> tuple[Weighing, tuple[()]]:
        return Weighing(obs.mask.to(obs.losses)), state


class GradVac(Rule[Tensor]):
    """Remembers a target cosine per pair, for each group of parameters; two tasks, so that order does not matter."""

    name, needs = "small-gradvac", Needs.GRAMIAN

    def init(self, obs: Observation) -> Tensor:
        return torch.zeros(obs.batch, dtype=torch.float64)

    def weigh(self, obs: Observation, state: Tensor) -> tuple[Weighing, Tensor]:
        first, second = obs.norms.unbind(dim=-1)
        cosine = (obs.gramian[..., 0, 1] / (first * second)).clamp(-1, 1)
        lift = (state * (1 - cosine**2).sqrt() - cosine * (1 - state**2).sqrt()) / (1 - state**2).sqrt()
        lift = torch.where(cosine < state, lift, 0.0)
        weights = torch.stack([1 + lift * second / first, 1 + lift * first / second], dim=-1)
        return Weighing(weights.to(obs.losses), heads=torch.ones_like(obs.losses)), 0.5 * state + 0.5 * cosine


class FrankWolfe(Rule[tuple[()]]):
    """Sees the Gramian only through products with it."""

    name, needs = "small-frank-wolfe", Needs.PRODUCTS

    def weigh(self, obs: Observation, state: tuple[()]) -> tuple[Weighing, tuple[()]]:
        corners = torch.eye(obs.n_tasks, dtype=torch.float64)
        w = torch.full(obs.losses.shape, 1 / obs.n_tasks, dtype=torch.float64)
        for _ in range(200):
            slope = obs.product(w)
            corner = corners[slope.argmin(dim=-1)]
            along = obs.product(corner)
            a, b, c = (w * along).sum(-1), (w * slope).sum(-1), (corner * along).sum(-1)
            size = (b + c - 2 * a).clamp(min=1e-300)
            w = w + ((b - a) / size).clamp(0, 1)[..., None] * (corner - w)
        return Weighing(w.to(obs.losses)), state


class MinNorm(Rule[tuple[()]]):
    """MGDA from the bare contract."""

    name, needs = "small-min-norm", Needs.GRAMIAN

    def weigh(self, obs: Observation, state: tuple[()]) -> tuple[Weighing, tuple[()]]:
        solution = min_norm(obs.gramian, present=obs.present)
        return Weighing(solution.weights.to(obs.losses), gap=solution.gap), state


def every_kind() -> list[Rule]:
    """One of each."""
    return [PCGrad(), Famo(), GradDrop(), MoDo(), Tchebycheff(), Hypervolume(), Equal(), GradVac(), FrankWolfe(), MinNorm()]
