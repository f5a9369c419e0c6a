"""An adversary: episodes moved so that a violation grows.

Episodes are maps of normal numbers, so an adversary moves those: uphill along the gradient, where the rule's own derivatives
are those of its violation (checked against differences), otherwise by CMA-ES, whose population is one batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from moo_mtl.rules.rule import Rule
from moo_mtl.theory.episode import Episode, Renaming, drawn, normals_wanted
from moo_mtl.theory.families import Family
from moo_mtl.theory.law import Law
from moo_mtl.theory.measure import Case

CLIMBS, CLIMB_STEPS, CLIMB_RATE = 24, 16, 0.1
GENERATIONS, POPULATION = 12, 16


class Found(NamedTuple):
    """The end of a search.

    Attributes:
        worst: largest violation met.
        normals: where, ``[1, ..., N]``.
        cases: how many episodes were looked at.
        method: ``"gradient"`` or ``"cma-es"``.
    """

    worst: float
    normals: Tensor
    cases: int
    method: str


class Hunt(NamedTuple):
    """A violation as a function of normal numbers ``[B, ..., N]``."""

    law: Law
    rule: Rule[Any]
    family: Family
    K: int
    D: int
    steps: int
    renaming: Renaming | None = None
    first: int = 0

    def episode(self, normals: Tensor) -> Episode:
        return drawn(self.rule, self.family, normals, self.K, self.D, self.steps)

    def violation(self, normals: Tensor) -> Tensor:
        """The worst over steps (and fellows), ``[B]``."""
        found = self.law.measured(Case(self.rule, self.episode(normals), self.renaming, self.first))
        return found.movedim(1, 0).flatten(1).amax(dim=1)


def search(hunt: Hunt, *, seed: int = 0) -> Found:
    """The worst case an adversary finds."""
    generator = torch.Generator().manual_seed(seed)
    wanted = normals_wanted(hunt.rule, hunt.K, hunt.D, hunt.steps)
    start = torch.randn(CLIMBS, *wanted, generator=generator, dtype=torch.float64)
    return climb(hunt, start) if differentiable(hunt, start[:4]) else evolve(hunt, start, seed)


def differentiable(hunt: Hunt, at: Tensor) -> bool:
    """Whether automatic differentiation through the rule gives the slope of the violation, by central differences."""
    slope, values = _gradient(hunt.violation, at)
    if slope is None or not bool((values > 0).any()):
        return False
    generator = torch.Generator().manual_seed(1)
    way = torch.randn(at.shape, generator=generator, dtype=torch.float64)
    step = 1e-6
    with torch.no_grad():
        measured = (hunt.violation(at + step * way) - hunt.violation(at - step * way)) / (2 * step)
    told = (slope * way).flatten(1).sum(dim=1)
    scale = torch.maximum(measured.abs(), told.abs())
    return bool(((told - measured).abs() <= 1e-3 * scale + 1e-6).all()) and bool((scale > 0).any())


def climb(hunt: Hunt, start: Tensor) -> Found:
    """Steps of one length uphill, from many starts at once."""
    normals = start.clone()
    best, place = torch.full(start.shape[:1], -math.inf, dtype=torch.float64), start.clone()
    for _ in range(CLIMB_STEPS):
        slope, values = _gradient(hunt.violation, normals)
        better = values > best
        best = torch.where(better, values, best)
        place = torch.where(better.reshape(-1, *(1,) * (normals.dim() - 1)), normals, place)
        if slope is None:
            break
        length = slope.flatten(1).norm(dim=1).clamp(min=1e-300).reshape(-1, *(1,) * (normals.dim() - 1))
        normals = (normals + CLIMB_RATE * math.sqrt(normals[0].numel()) * slope.nan_to_num() / length).clamp(-6, 6)
    top = int(best.nan_to_num(nan=-math.inf).argmax())
    return Found(float(best[top]), place[top : top + 1], CLIMBS * CLIMB_STEPS, "gradient")


def evolve(hunt: Hunt, start: Tensor, seed: int) -> Found:
    """CMA-ES from the worst of the starts."""
    import cma

    shape = start.shape[1:]
    with torch.no_grad():
        first = hunt.violation(start).nan_to_num()
        top = int(first.argmax())
        best, place = float(first[top]), start[top]
        options = {"popsize": POPULATION, "seed": seed + 1, "verbose": -9, "bounds": [-6, 6], "maxiter": GENERATIONS}
        options["CMA_diagonal"] = place.numel() > 40
        strategy = cma.CMAEvolutionStrategy(place.flatten().numpy().clip(-5.9, 5.9), 0.7, options)
        cases = len(start)
        for _ in range(GENERATIONS):
            asked = strategy.ask()
            normals = torch.tensor([list(one) for one in asked], dtype=torch.float64).unflatten(1, shape)
            values = hunt.violation(normals).nan_to_num()
            cases += len(asked)
            if float(values.max()) > best:
                best, place = float(values.max()), normals[int(values.argmax())]
            # Logarithms, because a violation that holds is rounding and grows by orders of magnitude where it does not.
            strategy.tell(asked, (-(values + 1e-18).log()).tolist())
            if best > hunt.law.bounds[1]:
                break
    return Found(best, place[None], cases, "cma-es")


def _gradient(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor | None, Tensor]:
    moving = at.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        values = function(moving)
        if not values.requires_grad:
            return None, values.detach()
        try:
            (slope,) = torch.autograd.grad(values.sum(), moving, allow_unused=True)
        except RuntimeError:  # the rule's own arithmetic cannot be differentiated
            return None, values.detach()
    return slope, values.detach()
