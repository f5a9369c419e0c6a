r"""How fast the distance to Pareto-stationarity falls on smooth problems, convex and not.

The gradients of an episode are the centres of two problems: :math:`h_k(x) = \tfrac12 (x - c_k)^\top A (x - c_k)` with the
eigenvalues of A between 0.1 and 1, and, not convex, Fonseca's :math:`s (1 - \exp(-h_k(x) / s))`. Both are run as one batch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl import properties
from moo_mtl.problems import Problem
from moo_mtl.properties import Property
from moo_mtl.theory.episode import told
from moo_mtl.theory.families import REGULAR
from moo_mtl.theory.law import Law
from moo_mtl.theory.measure import Case
from moo_mtl.tracing import trace

STEPS = 250
SHARE = 0.05  # of the distance to stationarity at the start
CONVEX, NONCONVEX = 0, 1


class Approach(NamedTuple):
    """Stationarity along a run, on the convex problems and on the others.

    Attributes:
        steps: ``[R]``.
        distance: smallest upper bound so far, relative to the start's, ``[R, 2, ...]``.
        rate: p of the fit distance ~ steps^-p over the last three quarters of the run, ``[2, ...]``.
    """

    steps: Tensor
    distance: Tensor
    rate: Tensor


@lru_cache(maxsize=2)  # two laws read one run
def approach(case: Case) -> Approach:
    """Descend with steps :math:`\\eta / \\sqrt t`, the first a quarter of the longest distance between start and centres."""
    centres = case.story.rows[0]
    problem = _both(centres)
    starts = torch.zeros((2, *centres.shape[:-2], centres.shape[-1]), dtype=torch.float64)
    preferences = case.story.preference.expand(2, *case.story.preference.shape)
    losses, rows = problem.differentiate(starts)
    noise = case.story.noise[:1, None].expand(1, 2, *case.story.noise.shape[1:])
    first = case.story._replace(
        losses=losses[None],
        after=losses[None],
        rows=rows[None],
        left=rows[None],
        right=rows[None],
        noise=noise,
        preference=preferences,
    )
    length = told(case.rule, first).directions[0].norm(dim=-1)
    reach = centres.norm(dim=-1).amax(dim=-1)
    lr = float((0.25 * reach / length.clamp(min=1e-300)).median())
    run = trace(
        problem,
        case.rule,
        starts,
        steps=STEPS,
        lr=lambda step: lr / step**0.5,
        preferences=preferences,
        paired=True,
        record_every=10,
        epoch_steps=100,
    )
    upper = torch.as_tensor(run.upper).cummin(dim=0).values
    distance = upper / upper[:1].clamp(min=1e-300)
    steps = torch.as_tensor(run.steps, dtype=torch.float64)
    late = len(steps) // 4
    x, y = steps[late:].log(), distance[late:].clamp(min=1e-12).log()
    x = (x - x.mean()).reshape(-1, *(1,) * (y.dim() - 1))
    return Approach(steps, distance, -(x * (y - y.mean(dim=0))).sum(dim=0) / x.square().sum())


def _both(centres: Tensor) -> Problem:
    """Both problems at once: points ``[2, ..., D]``, the convex one first."""
    K, D = centres.shape[-2:]
    curvature = torch.logspace(-1, 0, D, dtype=torch.float64)
    scale = (centres.square() * curvature).sum(dim=-1).amax(dim=-1, keepdim=True)

    def differentiate(x: Tensor) -> tuple[Tensor, Tensor]:
        offset = x[..., None, :] - centres
        slope = curvature * offset
        half = (slope * offset).sum(dim=-1) / 2
        flat = torch.exp(-half[NONCONVEX] / scale)
        losses = torch.stack([half[CONVEX], scale * (1 - flat)]) + 0.01 * scale  # above zero, for rules that divide by losses
        return losses, torch.stack([slope[CONVEX], flat[..., None] * slope[NONCONVEX]])

    return Problem("centres", K, D, lambda x: differentiate(x)[0], exact_differentiate=differentiate)


def _law(property: Property, kind: int) -> Law:
    def left(case: Case) -> Tensor:
        return (approach(case).distance[-1, kind] - SHARE).clamp(min=0)[None]

    family = {"gaussian": REGULAR["gaussian"]}
    return Law(property, left, family, steps=1, tasks=(3,), copies=15, searched=False, by_hand=False)


LAWS = (_law(properties.converges_if_convex, CONVEX), _law(properties.converges_if_smooth, NONCONVEX))
