"""A rule around a rule: its weights, averaged over time."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.observation import Observation, require_finite
from moo_mtl.rules.average import blank
from moo_mtl.rules.rule import Rule, Weighing
from moo_mtl.rules.slot import Schedule, at, within


class Past(NamedTuple):
    """The averaged weights and how often each task was seen, ``[..., K]``, and the inner rule's state."""

    weights: Tensor
    seen: Tensor
    inner: Any


class Averaged(Rule[Past]):
    r""":math:`w_t = \rho_t w_{t-1} + (1 - \rho_t) \hat w_t` around any rule's weights :math:`\hat w_t`; the first stand."""

    def __init__(self, rule: Rule[Any], rho: Schedule = 0.9, name: str | None = None) -> None:
        self.rule = rule
        self.rho = within(name or "averaged", "rho", rho, 0.0, 1.0, "it is the share of the old weights that is kept")
        self.name, self.needs = name or f"averaged {rule.name}", rule.needs

    def draws(self, n_tasks: int, n_dim: int) -> int:
        return self.rule.draws(n_tasks, n_dim)

    def init(self, obs: Observation) -> Past:
        return Past(blank(obs), blank(obs), self.rule.init(obs))

    def weigh(self, obs: Observation, state: Past) -> tuple[Weighing, Past]:
        require_finite(obs, self.name)
        weighing, inner = self.rule.weigh(obs, state.inner)
        if weighing.direction is not None:
            raise InputError(
                f"{self.name}: {self.rule.name} gives a direction, not weights on the gradients, which could be averaged; "
                "take a rule without a memory of rows"
            )
        kept = at(self.rho, obs.step) * (state.seen > 0).double()
        weights = torch.where(obs.mask, kept * state.weights + (1 - kept) * weighing.weights.double(), state.weights)
        out = torch.where(obs.mask, weights, 0.0).to(weighing.weights.dtype)
        # The inner rule's gap tells of its own weights, and these are no solution of its program.
        return weighing._replace(weights=out, gap=None, converged=None), Past(weights, state.seen + obs.mask.double(), inner)

    def observe(self, after: Tensor, state: Past) -> Past:
        return state._replace(inner=self.rule.observe(after, state.inner))
