"""How long a rule takes, and which learning rates it bears: plain descent on two quadratics, one run a learning rate."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from moo_mtl.errors import NonFiniteError
from moo_mtl.rules.rule import Rule
from moo_mtl.theory.landscape import Landscape, bowls
from moo_mtl.tracing import trace

STEPS = 200
EPSILON = 1e-2  # of the distance to stationarity at the start
RATES = torch.logspace(-3, 1, 25, dtype=torch.float64)


class Pace(NamedTuple):
    """What each learning rate gives.

    Attributes:
        rates: ``[R]``.
        share: of the starts that come to within epsilon of stationarity and are there at the end, ``[R]``.
        steps: median number of steps until then, ``[R]``; NaN where half of the starts never do.
    """

    rates: Tensor
    share: Tensor
    steps: Tensor


def pace(rule: Rule[Any], *, ratio: float = 1.0, condition: float = 10.0) -> Pace:
    """Constant learning rates on ``bowls``; distances are to stationarity of the raw losses."""
    ground = bowls(torch.tensor([ratio], dtype=torch.float64), ratio=ratio, condition=condition)
    found = [_at(rule, ground, float(rate)) for rate in RATES]
    return Pace(RATES, torch.stack([share for share, _ in found]), torch.stack([steps for _, steps in found]))


def _at(rule: Rule[Any], ground: Landscape, rate: float) -> tuple[Tensor, Tensor]:
    never = torch.tensor(torch.nan, dtype=torch.float64)
    try:
        run = trace(
            ground.problem,
            rule,
            ground.starts,
            steps=STEPS,
            lr=rate,
            preferences=torch.full((*ground.starts.shape[:-1], 2), 0.5, dtype=torch.float64),
            paired=True,
            record_every=2,
            epoch_steps=50,
        )
    except NonFiniteError:  # every start diverged
        return torch.zeros((), dtype=torch.float64), never
    upper = torch.as_tensor(run.upper).flatten(1)
    near = upper <= EPSILON * upper[:1]
    there = near[-1] & torch.isfinite(torch.as_tensor(run.losses)[-1].flatten(0, -2)).all(dim=-1)
    first = torch.as_tensor(run.steps, dtype=torch.float64)[near.int().argmax(dim=0)]
    first = torch.where(near.any(dim=0), first, torch.inf)
    middle = first.sort().values[(len(first) - 1) // 2]
    return there.double().mean(), torch.where(middle.isfinite(), middle, never)
