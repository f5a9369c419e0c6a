"""Keeping a trajectory within the bounds of its problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.problems.problem import Problem

Mode = Literal["project", "reparametrise"]


@dataclass(frozen=True, eq=False)
class Box:
    r"""A box and the way to stay in it; a *place* is what is stepped on, x what the problem sees.

    Projection steps on x and clamps it. Reparametrisation steps on u with :math:`x = l + (h - l)\, \sigma(u)`,
    which never touches a bound.
    """

    bounds: tuple[Tensor, Tensor] | None
    mode: Mode | None

    @classmethod
    def of(cls, problem: Problem, mode: Mode | None, like: Tensor) -> Box:
        """The problem's box, on the device of ``like``.

        Raises:
            InputError: the mode is unknown.
        """
        if mode not in ("project", "reparametrise", None):
            raise InputError(f"box {mode!r} is unknown; expected 'project', 'reparametrise' or None")
        if problem.bounds is None or mode is None:
            return cls(None, None)
        low, high = (bound.to(like) for bound in problem.bounds)
        return cls((low, high), mode)

    def enter(self, x: Tensor) -> Tensor:
        """The place that stands for x; points outside are moved in."""
        if self.bounds is None:
            return x
        low, high = self.bounds
        if self.mode == "project":
            return torch.minimum(torch.maximum(x, low), high)
        return torch.logit((x - low) / (high - low), eps=1e-6)

    def leave(self, place: Tensor) -> Tensor:
        """The x that a place stands for."""
        if self.bounds is None or self.mode == "project":
            return place
        low, high = self.bounds
        return low + (high - low) * torch.sigmoid(place)

    def keep(self, place: Tensor) -> Tensor:
        """The place after a step, back within the box."""
        return self.enter(place) if self.mode == "project" else place

    def rows(self, place: Tensor, jacobian: Tensor) -> Tensor:
        """Gradients with respect to the place, ``[..., K, D]``, without the coordinates along which no task can move.

        A coordinate at its bound against which every task pushes is fixed for every rule with nonnegative weights;
        left in the rows it would sway the weights without ever moving.
        """
        if self.bounds is None:
            return jacobian
        low, high = self.bounds
        if self.mode == "reparametrise":
            share = torch.sigmoid(place)
            return jacobian * ((high - low) * share * (1 - share)).unsqueeze(-2)
        if place.device.type == "cpu" and _inside(place, low, high):
            return jacobian
        sides = self.sides(place).unsqueeze(-2)
        blocked = ((sides * jacobian) <= 0).all(dim=-2, keepdim=True) & (sides != 0)
        return torch.where(blocked, 0.0, jacobian)

    def sides(self, x: Tensor) -> Tensor:
        """-1 where a variable sits at its lower end, 1 at its upper end, 0 elsewhere, ``[..., D]``."""
        if self.bounds is None:
            return torch.zeros_like(x)
        low, high = self.bounds
        return (x >= high).to(x) - (x <= low).to(x)


def _inside(place: Tensor, low: Tensor, high: Tensor) -> bool:
    """Whether nobody stands at a bound or beyond: two reductions, which are faster than a comparison of every entry."""
    members = tuple(range(place.dim() - 1))
    if not members:
        return bool(((place > low) & (place < high)).all())
    return bool(((place.amin(dim=members) > low) & (place.amax(dim=members) < high)).all())
