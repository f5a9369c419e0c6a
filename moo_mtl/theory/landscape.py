"""Two-task problems with a knob, all values of the knob in one batch: where on the front does a rule end?

The place on the front is the share of its way, by length in the losses' own ranges, from the first task's optimum (0) to the
second's (1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from moo_mtl import problems
from moo_mtl.problems import Problem
from moo_mtl.rules.rule import Rule
from moo_mtl.tracing import Trace, trace

STEPS = 500
FIRST, LAST = 0.05, 2e-5  # step lengths in units of the problem, from the first to the last
TINY = 1e-6  # every direction is cut to this length first, so that a step's length is the schedule's
FLOOR = 1e-3  # added to losses whose best value is 0, for rules that divide by losses
ARRIVED = 0.05  # distance to stationarity of unit gradients


def _starts(D: int, n: int, width: float) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return width * (2 * torch.rand(n, D, generator=generator, dtype=torch.float64) - 1)


@dataclass(frozen=True)
class Landscape:
    """A problem at every value of a knob.

    Attributes:
        name: what the knob turns.
        knob: ``[N]``.
        problem: whose ``evaluate`` takes ``[N, S, D]``: the knob, then the starts.
        starts: ``[N, S, D]``.
        fronts: losses along each front from the first task's optimum to the second's, unscaled, ``[N, M, 2]``.
        unscaled: losses without the knob's scale, ``[N, S, D] -> [N, S, 2]``.
    """

    name: str
    knob: Tensor
    problem: Problem
    starts: Tensor
    fronts: Tensor
    unscaled: Callable[[Tensor], Tensor]

    def places(self, losses: Tensor) -> Tensor:
        """Place of the nearest front point, ``[N, S]``, in the losses' own ranges."""
        low, high = self.fronts.amin(dim=-2, keepdim=True), self.fronts.amax(dim=-2, keepdim=True)
        fronts, found = (self.fronts - low) / (high - low), (losses - low) / (high - low)
        nearest = torch.cdist(found, fronts).argmin(dim=-1)
        way = (fronts[:, 1:] - fronts[:, :-1]).norm(dim=-1).cumsum(dim=-1)
        way = torch.cat([torch.zeros_like(way[:, :1]), way], dim=-1)
        return (way / way[:, -1:]).gather(1, nearest)


def land(landscape: Landscape, rule: Rule[Any], *, noise: float = 0.0, steps: int = STEPS) -> Tensor:
    """Mean place over the starts for each value of the knob, ``[N]``; NaN where fewer than half of them arrive.

    Every step has the length the schedule says, so that what is shown is where a rule's directions lead, whatever its lengths.
    """
    run = descend(landscape, rule, noise=noise, steps=steps)
    end = torch.as_tensor(run.x)[-1]
    _, rows = landscape.problem.differentiate(end)
    length = rows.norm(dim=-1).amax(dim=-1).clamp(min=1e-300)
    arrived = torch.as_tensor(run.upper)[-1] / length <= max(ARRIVED, noise)
    places = landscape.places(landscape.unscaled(end))
    share = arrived.double().mean(dim=-1)
    mean = torch.where(arrived, places, 0.0).sum(dim=-1) / arrived.sum(dim=-1).clamp(min=1)
    return torch.where(share >= 0.5, mean, torch.nan)


def descend(landscape: Landscape, rule: Rule[Any], *, noise: float = 0.0, steps: int = STEPS) -> Trace:
    """Steps of the schedule's lengths along the rule's directions."""
    unit = float(landscape.starts.std().clamp(min=0.5))
    return trace(
        landscape.problem,
        rule,
        landscape.starts,
        steps=steps,
        lr=lambda step: unit * FIRST * (LAST / FIRST) ** (step / steps) / TINY,
        clip=TINY,
        box=None,
        gradient_noise=noise,
        preferences=torch.full((*landscape.starts.shape[:-1], 2), 0.5, dtype=torch.float64),
        paired=True,
        record_every=steps,
        certify_every=0,
        epoch_steps=50,
    )


def bowls(
    knob: Tensor, *, angle: Tensor | float = 120.0, condition: Tensor | float = 10.0, ratio: Tensor | float = 1.0
) -> Landscape:
    r"""Two convex quadratics in the plane, mirror images: :math:`f_k = s_k (x - c_k)^\top A_k (x - c_k) / 2`.

    The centres are unit vectors at the angle; both forms have eigenvalues 1 and :math:`\kappa`, the first with its steep axis
    at 45 degrees, the second at -45. So are the starts, in pairs: at ratio 1 a rule that treats tasks alike ends at 1/2.

    Args:
        knob: ``[N]``, whichever of the others is not a number.
        angle: between the centres seen from the origin, degrees.
        condition: :math:`\kappa`.
        ratio: :math:`s_1 / s_2`.
    """
    angle, kappa, ratio = (torch.as_tensor(one, dtype=torch.float64).expand(knob.shape) for one in (angle, condition, ratio))
    half = torch.deg2rad(angle) / 2
    centres = torch.stack([torch.stack([half.cos(), sign * half.sin()], dim=-1) for sign in (1, -1)], dim=-2)
    along, across = (1 + kappa) / 2, (kappa - 1) / 2
    forms = torch.stack(
        [torch.stack([along, sign * across, sign * across, along], dim=-1).unflatten(-1, (2, 2)) for sign in (1, -1)], dim=1
    )
    scale = torch.stack([ratio.sqrt(), 1 / ratio.sqrt()], dim=-1)[:, None]

    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        offset = x[..., None, :] - centres[:, None]
        slope = torch.einsum("nkij,nskj->nski", forms, offset)
        return (offset * slope).sum(dim=-1) / 2 + FLOOR, slope

    share = torch.linspace(1, 0, 801, dtype=torch.float64)[None, :, None, None]
    mixed = share * forms[:, None, 0] + (1 - share) * forms[:, None, 1]
    pulls = torch.einsum("nkij,nkj->nki", forms, centres)[:, None, ..., None]
    best = torch.linalg.solve(mixed, share * pulls[:, :, 0] + (1 - share) * pulls[:, :, 1])[..., 0]
    problem = Problem(
        "bowls",
        2,
        2,
        lambda x: scale * both(x)[0],
        exact_jacobian=lambda x: scale[..., None] * both(x)[1],
        exact_differentiate=lambda x: (scale * both(x)[0], scale[..., None] * both(x)[1]),
    )
    one_side = _starts(2, 4, 2.0)
    starts = torch.cat([one_side, one_side * torch.tensor([1.0, -1.0])]).expand(len(knob), 8, 2)
    return Landscape("bowls", knob, problem, starts, both(best)[0], lambda x: both(x)[0])


def scaled(name: str, ratios: Tensor, *, width: float | None = None, **parameters: Any) -> Landscape:
    """A two-task problem of the registry whose losses are multiplied by the root of a ratio and by its inverse.

    Args:
        name: of the problem.
        ratios: ``[N]``.
        width: starts are drawn from the cube of this half-width; by default the problem's own starts.
        parameters: of the problem.
    """
    base = problems.get(name, **parameters)
    factors = torch.stack([ratios.sqrt(), 1 / ratios.sqrt()], dim=-1)[:, None]
    floor = torch.zeros(2, dtype=torch.float64) if base.lower_bound is None else base.lower_bound

    def unscaled(x: Tensor) -> Tensor:
        return base.evaluate(x) - floor

    def differentiate(x: Tensor) -> tuple[Tensor, Tensor]:
        losses, rows = base.differentiate(x)
        return factors * (losses - floor), factors[..., None] * rows

    front = base.front(801) - floor
    front = front[front[:, 0].argsort()]
    starts = _starts(base.n_dim, 8, width or 1.0) if width is not None or base.starts is None else base.starts
    problem = replace(
        base,
        name=name,
        evaluate=lambda x: factors * unscaled(x),
        exact_jacobian=lambda x: differentiate(x)[1],
        exact_differentiate=differentiate,
        bounds=None,
        lower_bound=None,
    )
    fronts = front.expand(len(ratios), *front.shape)
    return Landscape(name, ratios, problem, starts.double().expand(len(ratios), *starts.shape), fronts, unscaled)
