"""The ZDT problems: two losses, a convex, concave, disconnected, multimodal and biased front."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from moo_mtl.problems.power import power
from moo_mtl.problems.problem import Problem, box, size
from moo_mtl.problems.registry import problem
from moo_mtl.problems.sampling import along, beyond, evenly, records, shares

CITE = "Zitzler, Deb and Thiele, Comparison of Multiobjective Evolutionary Algorithms, Evolutionary Computation 8(2), 2000"


@problem("zdt1", cite=CITE)
def zdt1(n_dim: int = 30) -> Problem:
    r"""Convex front :math:`f_2 = 1 - \sqrt{f_1}`; its slope at :math:`f_1 = 0` is infinite, and cut (see ``power``)."""
    return _zdt("zdt1", n_dim, lambda f, g: g * (1 - power(f / g, 0.5)))


@problem("zdt2", cite=CITE)
def zdt2(n_dim: int = 30) -> Problem:
    r"""Concave front :math:`f_2 = 1 - f_1^2`."""
    return _zdt("zdt2", n_dim, lambda f, g: g * (1 - (f / g).square()))


@problem("zdt3", cite=CITE)
def zdt3(n_dim: int = 30) -> Problem:
    r"""Front in five pieces of :math:`f_2 = 1 - \sqrt{f_1} - f_1 \sin(10 \pi f_1)`."""

    def second(f: Tensor, g: Tensor) -> Tensor:
        return g * (1 - power(f / g, 0.5) - f / g * torch.sin(10 * torch.pi * f))

    return _zdt("zdt3", n_dim, second, first_on_front=lambda n: along(_zdt3_pieces(), shares(n)))


@problem("zdt4", cite=CITE)
def zdt4(n_dim: int = 10) -> Problem:
    r"""ZDT1's front behind :math:`21^{n-1}` local ones."""

    def distance(rest: Tensor) -> Tensor:
        return 1 + 10 * (n_dim - 1) + (rest.square() - 10 * torch.cos(4 * torch.pi * rest)).sum(dim=-1)

    return _zdt("zdt4", n_dim, lambda f, g: g * (1 - power(f / g, 0.5)), distance=distance, reach=5.0)


@problem("zdt6", cite=CITE)
def zdt6(n_dim: int = 10) -> Problem:
    r"""Concave front :math:`f_2 = 1 - f_1^2` from f_1 = 0.28 to 1; the distance's infinite slope there is cut."""

    def distance(rest: Tensor) -> Tensor:
        return 1 + 9 * power(rest.mean(dim=-1), 0.25)

    def first(x: Tensor) -> Tensor:
        return 1 - torch.exp(-4 * x) * torch.sin(6 * torch.pi * x).pow(6)

    end = math.atan(9 * math.pi) / (6 * math.pi)  # the lowest f_1, reached from 1 at x_1 = 0 without a turn
    return _zdt("zdt6", n_dim, lambda f, g: g * (1 - (f / g).square()), first=first, distance=distance, end=end)


def _zdt(
    name: str,
    n_dim: int,
    second: Callable[[Tensor, Tensor], Tensor],
    *,
    first: Callable[[Tensor], Tensor] = lambda x: x,
    distance: Callable[[Tensor], Tensor] = lambda rest: 1 + 9 * rest.mean(dim=-1),
    reach: float = 0.0,
    end: float = 1.0,
    first_on_front: Callable[[int], Tensor] | None = None,
) -> Problem:
    """Losses :math:`(f_1(x_1), h(f_1, g(x_2, \\dots, x_n)))`; on the front the other variables are 0."""
    size(name, "n_dim", n_dim, 2)

    def evaluate(x: Tensor) -> Tensor:
        f, g = first(x[..., 0]), distance(x[..., 1:])
        return torch.stack([f, second(f, g)], dim=-1)

    def curve(t: Tensor) -> Tensor:
        f = first(t)
        return torch.stack([f, second(f, torch.ones_like(f))], dim=-1)

    def pareto_set(n: int) -> Tensor:
        t = evenly(curve, n, 0.0, end) if first_on_front is None else first_on_front(n)
        return torch.cat([t.unsqueeze(-1), torch.zeros(n, n_dim - 1, dtype=torch.float64)], dim=-1)

    front = curve(pareto_set(1_000)[:, 0])
    ideal, nadir = front.amin(dim=0), front.amax(dim=0)
    return Problem(
        name=name,
        n_tasks=2,
        n_dim=n_dim,
        evaluate=evaluate,
        bounds=box([0.0] + [-reach] * (n_dim - 1), [1.0] + [reach or 1.0] * (n_dim - 1), n_dim, name),
        exact_front=lambda n: curve(pareto_set(n)[:, 0]),
        exact_set=pareto_set,
        ref_point=beyond(ideal, nadir),
        ideal=ideal,
        nadir=nadir,
    )


@cache
def _zdt3_pieces() -> Tensor:
    return records(lambda t: t.sqrt() + t * torch.sin(10 * torch.pi * t), 0.0, 1.0)
