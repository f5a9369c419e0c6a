"""The DTLZ problems for any number of losses, and their inverted and convex relatives."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from moo_mtl.problems.power import power
from moo_mtl.problems.problem import Problem, box, size
from moo_mtl.problems.registry import problem
from moo_mtl.problems.sampling import along, beyond, cube, records, shares, simplex

CITE = "Deb, Thiele, Laumanns and Zitzler, Scalable Test Problems for Evolutionary Multiobjective Optimization, 2005"
INVERTED = "Jain and Deb, NSGA-III part II, IEEE Transactions on Evolutionary Computation 18(4), 2014"
CONVEX = "Deb and Jain, NSGA-III part I, IEEE Transactions on Evolutionary Computation 18(4), 2014"


@problem("dtlz1", cite=CITE)
def dtlz1(n_tasks: int = 3, n_dim: int | None = None) -> Problem:
    r"""Flat front :math:`\sum f = 1/2` behind :math:`11^k - 1` local ones; D = K + 4 by default."""
    return scalable("dtlz1", n_tasks, n_dim, lambda x: linear(x) / 2, rugged, extra=4, unit=linear_position)


@problem("dtlz2", cite=CITE)
def dtlz2(n_tasks: int = 3, n_dim: int | None = None) -> Problem:
    """Spherical front; D = K + 9 by default."""
    return scalable("dtlz2", n_tasks, n_dim, sphere, bowl, unit=sphere_position)


@problem("dtlz3", cite=CITE)
def dtlz3(n_tasks: int = 3, n_dim: int | None = None) -> Problem:
    """Spherical front behind :math:`3^k - 1` local ones; D = K + 9 by default."""
    return scalable("dtlz3", n_tasks, n_dim, sphere, rugged, unit=sphere_position)


@problem("dtlz4", cite=CITE)
def dtlz4(n_tasks: int = 3, n_dim: int | None = None, alpha: float = 100.0) -> Problem:
    r"""DTLZ2 with positions :math:`x^\alpha`: most of the box maps to the edges of the front, where gradients vanish."""
    return scalable(
        "dtlz4",
        n_tasks,
        n_dim,
        lambda x: sphere(x.pow(alpha)),
        bowl,
        unit=lambda p: sphere_position(p).pow(1 / alpha),
    )


@problem("dtlz5", cite=CITE)
def dtlz5(n_tasks: int = 3, n_dim: int | None = None) -> Problem:
    """The front is a curve for K up to 3; beyond, further optimal points are known to exist, so none is given."""
    return _degenerate("dtlz5", n_tasks, n_dim, bowl, 0.5)


@problem("dtlz6", cite=CITE)
def dtlz6(n_tasks: int = 3, n_dim: int | None = None) -> Problem:
    """DTLZ5 with the distance :math:`\\sum x^{0.1}`, whose infinite slope on the front is cut (see ``power``)."""
    return _degenerate("dtlz6", n_tasks, n_dim, lambda rest: power(rest, 0.1).sum(dim=-1, keepdim=True), 0.0)


@problem("dtlz7", cite=CITE)
def dtlz7(n_tasks: int = 3, n_dim: int | None = None) -> Problem:
    r"""Front in :math:`2^{K-1}` pieces; D = K + 19 by default.

    On the front :math:`f_K = 2K - \sum_i \psi(f_i)` with :math:`\psi(t) = t (1 + \sin 3 \pi t)`: a point is optimal
    if, and only if, each :math:`f_i` is a record of psi.
    """
    n = dimension("dtlz7", n_tasks, n_dim, 19)

    def evaluate(x: Tensor) -> Tensor:
        first, g = x[..., : n_tasks - 1], 1 + 9 * x[..., n_tasks - 1 :].mean(dim=-1, keepdim=True)
        last = (1 + g) * n_tasks - (first * (1 + torch.sin(3 * torch.pi * first))).sum(dim=-1, keepdim=True)
        return torch.cat([first, last], dim=-1)

    def pareto_set(count: int) -> Tensor:
        first = along(_dtlz7_pieces(), cube(count, n_tasks - 1))
        return torch.cat([first, torch.zeros(count, n - n_tasks + 1, dtype=torch.float64)], dim=-1)

    end = _dtlz7_pieces()[-1, 1]
    lowest = 2 * n_tasks - (n_tasks - 1) * end * (1 + torch.sin(3 * torch.pi * end))
    ideal = torch.cat([torch.zeros(n_tasks - 1, dtype=torch.float64), lowest.reshape(1)])
    nadir = torch.cat([end.expand(n_tasks - 1), torch.full((1,), 2.0 * n_tasks, dtype=torch.float64)])
    return Problem(
        name="dtlz7",
        n_tasks=n_tasks,
        n_dim=n,
        evaluate=evaluate,
        bounds=box(0.0, 1.0, n),
        exact_set=pareto_set,
        ref_point=beyond(ideal, nadir),
        ideal=ideal,
        nadir=nadir,
    )


@problem("inverted-dtlz1", cite=INVERTED)
def inverted_dtlz1(n_tasks: int = 3, n_dim: int | None = None) -> Problem:
    """DTLZ1 seen from behind: a triangle that stands on its tip."""
    return scalable(
        "inverted-dtlz1",
        n_tasks,
        n_dim,
        lambda x: (1 - linear(x)) / 2,
        rugged,
        extra=4,
        unit=linear_position,
    )


@problem("inverted-dtlz2", cite=INVERTED)
def inverted_dtlz2(n_tasks: int = 3, n_dim: int | None = None) -> Problem:
    """DTLZ2 seen from behind: a convex front whose extremes are far apart."""
    return scalable(
        "inverted-dtlz2",
        n_tasks,
        n_dim,
        lambda x: 1 - sphere(x),
        bowl,
        unit=sphere_position,
    )


@problem("convex-dtlz2", cite=CONVEX)
def convex_dtlz2(n_tasks: int = 3, n_dim: int | None = None) -> Problem:
    """DTLZ2's losses to the fourth power, the last one squared: a convex front."""
    bend = convex_bend(n_tasks)
    return scalable("convex-dtlz2", n_tasks, n_dim, sphere, bowl, unit=sphere_position, bend=bend)


def scalable(
    name: str,
    n_tasks: int,
    n_dim: int | None,
    shape: Callable[[Tensor], Tensor],
    distance: Callable[[Tensor], Tensor],
    *,
    unit: Callable[[Tensor], Tensor],
    extra: int = 9,
    bend: Callable[[Tensor], Tensor] = lambda f: f,
) -> Problem:
    """Losses ``bend((1 + g) shape(x_1 .. x_{K-1}))``: K - 1 positions along the front, the other variables set its distance g.

    D is K + ``extra`` where it is not given. ``unit`` takes points of the simplex to positions, so that every family has its
    front from the same points; the optimum of the distance is one half in every variable.

    Raises:
        InputError: K is below 2 or D below K.
    """
    width = dimension(name, n_tasks, n_dim, extra)

    def evaluate(x: Tensor) -> Tensor:
        return bend((1 + distance(x[..., n_tasks - 1 :])) * shape(x[..., : n_tasks - 1]))

    def pareto_set(n: int) -> Tensor:
        positions = unit(simplex(n, n_tasks))
        return torch.cat([positions, torch.full((n, width - n_tasks + 1), 0.5, dtype=torch.float64)], dim=-1)

    def front(n: int) -> Tensor:
        return bend(shape(unit(simplex(n, n_tasks))))

    corners = front(n_tasks)
    ideal, nadir = corners.amin(dim=0), corners.amax(dim=0)
    return Problem(
        name=name,
        n_tasks=n_tasks,
        n_dim=width,
        evaluate=evaluate,
        bounds=box(0.0, 1.0, width),
        exact_front=front,
        exact_set=pareto_set,
        ref_point=beyond(ideal, nadir),
        ideal=ideal,
        nadir=nadir,
    )


def sphere(x: Tensor) -> Tensor:
    """Positions ``[..., K - 1]`` in the cube to points of the unit sphere's first orthant, ``[..., K]``."""
    angle = x * (torch.pi / 2)
    return _unfold(torch.cos(angle), torch.sin(angle))


def sphere_position(p: Tensor) -> Tensor:
    """The positions at which ``sphere`` gives ``p / |p|``."""
    flipped = p.flip(-1)
    rest = flipped.square().flip(-1).cumsum(dim=-1).flip(-1).sqrt()  # length of what is left after each coordinate
    return torch.atan2(flipped[..., :-1], rest[..., 1:]) / (torch.pi / 2)


def linear(x: Tensor) -> Tensor:
    """Positions ``[..., K - 1]`` in the cube to points of the simplex, ``[..., K]``."""
    return _unfold(x, 1 - x)


def linear_position(p: Tensor) -> Tensor:
    """The positions at which ``linear`` gives ``p``; where any would do, 0."""
    flipped = p.flip(-1)
    rest = flipped.flip(-1).cumsum(dim=-1).flip(-1)
    return rest[..., 1:] / rest[..., :-1].clamp(min=torch.finfo(p.dtype).tiny)


def rugged(rest: Tensor) -> Tensor:
    """The distance with many local optima, ``[..., k] -> [..., 1]``."""
    offset = rest - 0.5
    waves = (offset.square() - torch.cos(20 * torch.pi * offset)).sum(dim=-1, keepdim=True)
    return 100 * (rest.shape[-1] + waves)


def bowl(rest: Tensor) -> Tensor:
    """The plain distance, ``[..., k] -> [..., 1]``."""
    return (rest - 0.5).square().sum(dim=-1, keepdim=True)


def convex_bend(n_tasks: int) -> Callable[[Tensor], Tensor]:
    """Losses to the fourth power, the last one squared."""
    powers = [4] * (n_tasks - 1) + [2]
    return lambda f: f.pow(torch.tensor(powers, device=f.device))


def _unfold(keep: Tensor, leave: Tensor) -> Tensor:
    one = torch.ones_like(keep[..., :1]) if keep.shape[-1] else torch.ones((*keep.shape[:-1], 1)).to(keep)
    kept = torch.cat([one, keep.cumprod(dim=-1)], dim=-1)
    return (kept * torch.cat([leave, one], dim=-1)).flip(-1)


def _degenerate(name: str, n_tasks: int, n_dim: int | None, distance: Callable[[Tensor], Tensor], optimum: float) -> Problem:
    width = dimension(name, n_tasks, n_dim, 9)

    def evaluate(x: Tensor) -> Tensor:
        g = distance(x[..., n_tasks - 1 :])
        folded = (1 + 2 * g * x[..., 1 : n_tasks - 1]) / (2 * (1 + g))
        return (1 + g) * sphere(torch.cat([x[..., :1], folded], dim=-1))

    def pareto_set(n: int) -> Tensor:
        positions = shares(n).unsqueeze(-1) * torch.eye(1, n_tasks - 1, dtype=torch.float64)
        return torch.cat([positions, torch.full((n, width - n_tasks + 1), optimum, dtype=torch.float64)], dim=-1)

    ends = evaluate(pareto_set(2))
    ideal, nadir = ends.amin(dim=0), ends.amax(dim=0)
    curve = n_tasks <= 3
    return Problem(
        name=name,
        n_tasks=n_tasks,
        n_dim=width,
        evaluate=evaluate,
        bounds=box(0.0, 1.0, width),
        exact_set=pareto_set if curve else None,
        ref_point=beyond(ideal, nadir) if curve else torch.full((n_tasks,), 1.1, dtype=torch.float64),
        ideal=ideal if curve else None,
        nadir=nadir if curve else None,
    )


def dimension(name: str, n_tasks: int, n_dim: int | None, extra: int) -> int:
    """The D asked for, or by default K + ``extra``.

    Raises:
        InputError: K is below 2 or D below K.
    """
    size(name, "n_tasks", n_tasks, 2)
    return n_tasks + extra if n_dim is None else size(name, "n_dim", n_dim, n_tasks)


@cache
def _dtlz7_pieces() -> Tensor:
    return records(lambda t: t * (1 + torch.sin(3 * torch.pi * t)), 0.0, 1.0)
