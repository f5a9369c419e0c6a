"""What the design problems of the RE suite have in common: rounded variables, violations, and the authors' points.

Constraints are part of the last loss, as the sum of their violations: it is 0 on feasible designs, so its gradient is 0
there and has kinks at the border. Variables that must be integers or come from a catalogue are rounded inside the
losses, as the suite's authors do; the gradient is taken with the rounded value held fixed, hence 0 along such a
variable. Gradient steps then leave it where it starts: cover its values by the starts, or explore them by an
evolutionary search first.

Ideal and nadir points and stored fronts are the authors'. The fronts are read from ``$MOO_MTL_DATA/re_fronts`` when
``fronts.reference`` asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from moo_mtl.problems.problem import Problem, box, vector
from moo_mtl.problems.sampling import beyond

SUITE = "Tanabe and Ishibuchi, An Easy-to-use Real-world Multi-objective Optimization Problem Suite, 2020, arXiv 2009.12867"


def violation(*limits: Tensor) -> Tensor:
    """Sum of violations of constraints written as ``limit >= 0``."""
    return torch.stack(limits).clamp(max=0).neg().sum(dim=0)


def rounded(x: Tensor) -> Tensor:
    """The nearest integer, half to even; a constant for gradients."""
    return x.detach().round()


def nearest(x: Tensor, catalogue: Sequence[float]) -> Tensor:
    """The nearest entry of a catalogue, the first of two as near; a constant for gradients."""
    entries = torch.tensor(catalogue, dtype=x.dtype, device=x.device)
    return entries[(x.detach().unsqueeze(-1) - entries).abs().argmin(dim=-1)]


def design(
    name: str,
    losses: Callable[..., list[Tensor]],
    lower: Sequence[float],
    upper: Sequence[float],
    ideal: Sequence[float],
    nadir: Sequence[float],
) -> Problem:
    """A problem from its losses of single variables, its box, and the authors' ideal and nadir points."""
    best, worst = vector(*ideal), vector(*nadir)

    def evaluate(x: Tensor) -> Tensor:
        return torch.stack(losses(*x.unbind(dim=-1)), dim=-1) + 0 * x.sum(dim=-1, keepdim=True)  # integers have gradients: 0

    return Problem(
        name=name,
        n_tasks=len(best),
        n_dim=len(lower),
        evaluate=evaluate,
        bounds=box(lower, upper, len(lower), name),
        ref_point=beyond(best, worst),
        ideal=best,
        nadir=worst,
    )
