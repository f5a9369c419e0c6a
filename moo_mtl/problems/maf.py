"""The first five MaF problems: inverted, convex and badly scaled relatives of DTLZ for many losses."""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl.problems.dtlz import (
    bowl,
    convex_bend,
    dimension,
    linear,
    linear_position,
    rugged,
    scalable,
    sphere,
    sphere_position,
)
from moo_mtl.problems.problem import Problem, box
from moo_mtl.problems.registry import problem
from moo_mtl.problems.sampling import beyond, cube

CITE = (
    "Cheng et al., A Benchmark Test Suite for Evolutionary Many-Objective Optimization, Complex and Intelligent Systems, 2017"
)


@problem("maf1", cite=CITE)
def maf1(n_tasks: int = 3, n_dim: int | None = None) -> Problem:
    """Inverted flat front; LibMOON's version is half of it."""
    return scalable("maf1", n_tasks, n_dim, lambda x: 1 - linear(x), bowl, unit=linear_position)


@problem("maf2", cite=CITE)
def maf2(n_tasks: int = 3, n_dim: int | None = None) -> Problem:
    """The middle part of a sphere, with a distance of its own for every loss."""
    n = dimension("maf2", n_tasks, n_dim, 9)
    width = (n - n_tasks + 1) // n_tasks
    widths = [width] * (n_tasks - 1) + [n - n_tasks + 1 - width * (n_tasks - 1)]

    def middle(x: Tensor) -> Tensor:
        return x / 2 + 0.25

    def evaluate(x: Tensor) -> Tensor:
        parts = middle(x[..., n_tasks - 1 :]).split(widths, dim=-1)
        distances = torch.cat([bowl(part) for part in parts], dim=-1)
        return (1 + distances) * sphere(middle(x[..., : n_tasks - 1]))

    def pareto_set(count: int) -> Tensor:
        return torch.cat([cube(count, n_tasks - 1), torch.full((count, n - n_tasks + 1), 0.5, dtype=torch.float64)], dim=-1)

    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * (n_tasks - 1)).reshape(-1, n_tasks - 1)
    extremes = sphere(middle(corners))
    ideal, nadir = extremes.amin(dim=0), extremes.amax(dim=0)
    return Problem(
        name="maf2",
        n_tasks=n_tasks,
        n_dim=n,
        evaluate=evaluate,
        bounds=box(0.0, 1.0, n),
        exact_set=pareto_set,
        ref_point=beyond(ideal, nadir),
        ideal=ideal,
        nadir=nadir,
    )


@problem("maf3", cite=CITE)
def maf3(n_tasks: int = 3, n_dim: int | None = None) -> Problem:
    """Convex front behind DTLZ3's local ones."""
    bend = convex_bend(n_tasks)
    return scalable("maf3", n_tasks, n_dim, sphere, rugged, unit=sphere_position, bend=bend)


@problem("maf4", cite=CITE)
def maf4(n_tasks: int = 3, n_dim: int | None = None) -> Problem:
    """Inverted sphere behind local fronts; loss k is in units of 2^k."""
    return scalable(
        "maf4",
        n_tasks,
        n_dim,
        lambda x: 1 - sphere(x),
        rugged,
        unit=sphere_position,
        bend=lambda f: f * torch.arange(1, n_tasks + 1, device=f.device).exp2().to(f.dtype),
    )


@problem("maf5", cite=CITE + "; without the fourth power that its report prints, as in the authors' PlatEMO")
def maf5(n_tasks: int = 3, n_dim: int | None = None, alpha: float = 100.0) -> Problem:
    """DTLZ4 with loss k in units of 2^(K - k + 1)."""
    return scalable(
        "maf5",
        n_tasks,
        n_dim,
        lambda x: sphere(x.pow(alpha)),
        bowl,
        unit=lambda p: sphere_position(p).pow(1 / alpha),
        bend=lambda f: f * torch.arange(n_tasks, 0, -1, device=f.device).exp2().to(f.dtype),
    )
