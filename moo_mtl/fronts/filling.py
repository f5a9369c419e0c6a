r"""Filling the holes of a front: new preferences where it is thin, followed from the points that are nearest.

A ray is asked for where the holes are widest: through the middle of two neighbours that are far apart, and along every
direction of a lattice that no point is near. Its start is predicted from the two points that serve it best, and corrected by
a few steps of a rule, in which each variable moves in units of what it differs by between those two: what changes along the
front moves, and what does not (the distance of ZDT4 or DTLZ3, in a narrow valley) stays where it was found.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.fronts.archive import Archive
from moo_mtl.fronts.directions import at_least
from moo_mtl.fronts.units import in_units
from moo_mtl.observation import Needs
from moo_mtl.problems.problem import Problem
from moo_mtl.rules.rule import Rule
from moo_mtl.tracing import trace

CLOSEST = 1e-3  # smallest share of a loss in a ray: some rules divide by it
BESIDE = 5.0  # how much a point's distance from a ray counts against its distance along it
FLOOR = 0.005  # every variable moves by this share of what the one that moves most does
LONGEST = 0.05  # a step, in shares of the box
MARGIN = 1.2  # no hole is looked for beyond it, in units of the front
LOOKS = 3  # points on each way, at least, that may be kept
_BLOCK = 4_000_000  # distances held in memory at a time


class Filled(NamedTuple):
    """What was found, and how many evaluations it took: a step on N points counts N (1 + K)."""

    archive: Archive
    evaluations: int


def fill(
    problem: Problem,
    archive: Archive,
    rule: Rule[Any],
    *,
    n: int,
    evaluations: int,
    steps: int = 15,
    reach: float = 1.0,
    progress: Callable[[Archive], None] | None = None,
) -> Filled:
    """Ask for new points where the archive has the widest holes, until the evaluations are used up or no hole is left.

    Args:
        problem: with a box.
        archive: at least two points.
        rule: takes its preference as a ray from the ideal point: smooth modified Tchebycheff is fastest, since it has no kink
            at its solution; modified Tchebycheff, PBI and PMGDA do as well.
        n: directions of the lattice, at least; and as many rays in three rounds.
        evaluations: at most so many.
        steps: of the rule for each ray.
        reach: length of the first steps, in units of the difference of two neighbours.
        progress: called with what there is after each round.

    Raises:
        InputError: the problem has no box, or the rule follows no preference.
        NonFiniteError: as in ``trace``.
    """
    if problem.bounds is None:
        raise InputError(f"fill: problem {problem.name!r} has no box to measure steps by")
    if Needs.PREFERENCE not in rule.needs:
        raise InputError(f"fill: rule {rule.name!r} follows no preference; take pbi, modified-tchebycheff or pmgda")
    K, spent = problem.n_tasks, 0
    price = (1 + steps) * (1 + K) + 1  # of a ray: its way, and the middle of its two points
    lattice, asked = at_least(n, K), torch.zeros(0, K, dtype=torch.float64)
    while len(archive.points) > 1:
        room = min(-(-n // 3), (evaluations - spent) // price)
        ideal, span = archive.units()
        points = (archive.points - ideal) / span
        before = _rays(asked / span)
        rays, holes = _wanted(points[(points <= MARGIN).all(dim=-1)], before, _rays(lattice))
        order = holes.argsort(descending=True)[:room]
        rays = rays[order[holes[order] > 1e-6]]
        if len(rays) == 0:
            break
        asked = torch.cat([asked, rays * span])  # in the problem's own units, since those of the archive change
        archive = archive.joined(_followed(problem, archive, rule, rays, steps, reach))
        spent += price * len(rays)
        if progress is not None:
            progress(archive)
    return Filled(archive, spent)


def _followed(problem: Problem, archive: Archive, rule: Rule[Any], rays: Tensor, steps: int, reach: float) -> Archive:
    """What is found from the two points that serve each ray best."""
    ideal, span = archive.units()
    own, enter, leave = in_units(replace(problem, ideal=ideal, nadir=ideal + span))
    points, u = (archive.points - ideal) / span, enter(archive.x).clamp(0, 1)
    best, second = _serving(points, rays)
    middle = (u[best] + u[second]) / 2
    with torch.no_grad():
        better = _cost(own.evaluate(middle), rays) < _cost(points[best], rays)
    apart = (u[best] - u[second]).abs()
    scale = reach * (apart + FLOOR * apart.amax(dim=-1, keepdim=True))
    path = trace(
        own,
        rule,
        torch.where(better[:, None], middle, u[best]),
        steps=steps,
        lr=lambda step: (1 + math.cos(math.pi * step / (steps + 1))) / 2,
        scale=scale.clamp(max=LONGEST),
        optimizer="adam",
        betas=(0.9, 0.9),
        preferences=rays,
        paired=True,
        record_every=max(1, steps // LOOKS),
        certify_every=0,
    )
    return Archive.of(problem, leave(path.x).flatten(0, 1))


def _wanted(points: Tensor, asked: Tensor, lattice: Tensor) -> tuple[Tensor, Tensor]:
    """Rays that may be asked for, ``[M, K]``, and the width of the hole that each would halve, ``[M]``."""
    middles, gaps = gabriel(points, 4 * (points.shape[-1] - 1))
    through = _rays(middles)
    gaps = torch.minimum(gaps, 2 * _least_distance(through, asked) * middles.norm(dim=-1))
    holes = 2 * _least_distance(lattice, torch.cat([_rays(points), asked]))
    return torch.cat([through, lattice]), torch.cat([gaps, holes])


def gabriel(points: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """Middles ``[M, K]`` and lengths ``[M]`` of the gaps between points: of the pairs whose ball holds no other point.

    Args:
        points: ``[N, K]``.
        neighbours: a pair is looked at if one is among so many nearest of the other.

    Source: Gabriel and Sokal, A New Statistical Approach to Geographic Variation Analysis, Systematic Zoology 18, 1969.
    """
    n = len(points)
    index = torch.arange(n, device=points.device)
    nearest = []
    for block in index.split(max(1, _BLOCK // n)):
        distance = torch.cdist(points[block], points)
        distance[torch.arange(len(block), device=points.device), block] = torch.inf
        nearest.append(distance.topk(min(neighbours, n - 1), largest=False).indices)
    others = torch.cat(nearest)
    pairs = torch.stack([index[:, None].expand_as(others), others], dim=-1).flatten(0, 1).sort(dim=-1).values.unique(dim=0)
    first, second = points[pairs[:, 0]], points[pairs[:, 1]]
    middles, lengths = (first + second) / 2, (first - second).norm(dim=-1)
    empty = _least_distance(middles, points) >= lengths / 2 * (1 - 1e-9)
    return middles[empty], lengths[empty]


def _serving(points: Tensor, rays: Tensor) -> tuple[Tensor, Tensor]:
    """The point of least cost for each ray, and the next one no closer to it than the ray is: across a hole, its other side."""
    pairs = []
    for block in rays.split(max(1, _BLOCK // points.numel())):
        cost = _cost(points, block[:, None, :])
        best = cost.argmin(dim=-1)
        chosen = points[best]
        off = chosen - (chosen * block).sum(dim=-1, keepdim=True) * block
        behind = torch.cdist(chosen, points) < off.norm(dim=-1, keepdim=True)
        behind[torch.arange(len(best), device=points.device), best] = True
        pairs.append((best, cost.masked_fill(behind, torch.inf).argmin(dim=-1)))
    best, second = (torch.cat(side) for side in zip(*pairs, strict=True))
    return best, second


def _cost(points: Tensor, rays: Tensor) -> Tensor:
    """Distance along unit rays, and ``BESIDE`` times the distance from them."""
    along = (points * rays).sum(dim=-1)
    off = (points.square().sum(dim=-1) - along.square()).clamp(min=0).sqrt()
    return (along + BESIDE * off).nan_to_num(nan=torch.inf)


def _least_distance(points: Tensor, others: Tensor) -> Tensor:
    """To the nearest of the others, ``[M]``; infinite if there is none."""
    if len(others) == 0:
        return torch.full_like(points[:, 0], torch.inf)
    return torch.cat([torch.cdist(block, others).amin(dim=-1) for block in points.split(max(1, _BLOCK // len(others)))])


def _rays(points: Tensor) -> Tensor:
    """Unit directions from the ideal point at 0, none closer to a side than ``CLOSEST``."""
    inside = points / points.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(points.dtype).tiny)
    inside = inside.clamp(min=CLOSEST)
    return inside / inside.norm(dim=-1, keepdim=True)
