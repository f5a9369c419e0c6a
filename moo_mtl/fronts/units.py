"""A problem in its own units: variables from 0 to 1 across the box, losses from 0 to 1 across the front."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl.problems.problem import Problem, placed


class InUnits(NamedTuple):
    """A problem in units, and the ways between its variables and the original's, ``[..., D] -> [..., D]``."""

    problem: Problem
    enter: Callable[[Tensor], Tensor]
    leave: Callable[[Tensor], Tensor]


def in_units(problem: Problem, *, inset: float = 0.0) -> InUnits:
    r"""Losses :math:`(f - z) / (\text{nadir} - z)` of :math:`u = (x - l) / (h - l)`; what is not known stays as it is.

    A preference then means the same on a problem in tons and millimetres as on one in shares, and one learning rate fits all
    variables.

    Args:
        problem: any; without a box its variables, without ideal and nadir its losses keep their units.
        inset: the box ends this share of its width before the bounds. Where a variable stands exactly at its bound, others may
            have lost their gradient (DTLZ's cosines vanish there) and would never move again.
    """
    zeros, ones = (torch.full((problem.n_dim,), value, dtype=torch.float64) for value in (0.0, 1.0))
    low, high = problem.bounds or (zeros, ones)
    ideal, span = torch.zeros(problem.n_tasks, dtype=torch.float64), torch.ones(problem.n_tasks, dtype=torch.float64)
    if problem.ideal is not None and problem.nadir is not None:
        ideal, span = problem.ideal, problem.nadir - problem.ideal
        span = torch.where(span > 0, span, 1.0)
    lower, upper, least, unit, slope = map(placed, (low, high, ideal, span, (high - low) / span.unsqueeze(-1)))

    def leave(u: Tensor) -> Tensor:
        return torch.lerp(lower(u), upper(u), u)  # both ends exactly

    def differentiate(u: Tensor) -> tuple[Tensor, Tensor]:
        losses, rows = problem.differentiate(leave(u))
        return (losses - least(u)) / unit(u), rows * slope(u)

    scaled = Problem(
        problem.name,
        problem.n_tasks,
        problem.n_dim,
        evaluate=lambda u: (problem.evaluate(leave(u)) - least(u)) / unit(u),
        exact_differentiate=differentiate,
        bounds=None if problem.bounds is None else (zeros + inset, ones - inset),
    )
    return InUnits(scaled, lambda x: (x - lower(x)) / (upper(x) - lower(x)), leave)
