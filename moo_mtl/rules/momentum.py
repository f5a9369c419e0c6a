"""M-ConFIG: momenta of the gradients, refreshed one task at a time, combined without conflict."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl.gramian import gramian
from moo_mtl.observation import Needs, Observation, require_finite
from moo_mtl.rules.average import blank
from moo_mtl.rules.rule import Rule, Weighing
from moo_mtl.rules.slot import within
from moo_mtl.solvers import config
from moo_mtl.state import keep_where


class Momenta(NamedTuple):
    """First moments of the rows ``[..., K, D]`` and their weights ``[..., K]``; the last combined moment and the second
    moment of its increments ``[..., D]``; steps taken ``[...]``."""

    rows: Tensor
    weight: Tensor
    combined: Tensor
    square: Tensor
    taken: Tensor


class MomentumConfig(Rule[Momenta]):
    r"""ConFIG on bias-corrected momenta :math:`\hat m_k`, of which a step refreshes a few, with Adam's second moment.

    .. math:: m_k \leftarrow \beta_1 m_k + (1 - \beta_1) g_k \text{ for the tasks refreshed}, \qquad d = \mathrm{ConFIG}(\hat m)
              / (\sqrt{\hat s} + \epsilon),

    where s averages the squares of :math:`(M_t - \beta_1 M_{t-1}) / (1 - \beta_1)`, :math:`M_t = (1 - \beta_1^t)\,
    \mathrm{ConFIG}(\hat m)`.
    """

    needs = Needs.ROWS

    def __init__(self, refresh: int | None, beta1: float, beta2: float, eps: float, name: str) -> None:
        for parameter, value in (("beta1", beta1), ("beta2", beta2)):
            within(name, parameter, value, 0.0, 1.0, "it is the share of the old average that is kept", half_open=True)
        self.refresh, self.beta1, self.beta2, self.eps, self.name = refresh, beta1, beta2, eps, name

    def init(self, obs: Observation) -> Momenta:
        assert obs.rows is not None
        dtype = torch.promote_types(obs.rows.dtype, torch.float32)
        rows = torch.zeros_like(obs.rows, dtype=dtype)
        return Momenta(rows, blank(obs), rows[..., 0, :].clone(), rows[..., 0, :].clone(), blank(obs)[..., 0])

    def weigh(self, obs: Observation, state: Momenta) -> tuple[Weighing, Momenta]:
        require_finite(obs, self.name)
        assert obs.rows is not None
        here = obs.mask
        fresh = here & self._refreshed(obs)
        rows = torch.where(fresh[..., None], torch.lerp(obs.rows.to(state.rows), state.rows, self.beta1), state.rows)
        weight = torch.where(fresh, self.beta1 * state.weight + (1 - self.beta1), state.weight)
        moments = rows / torch.where(weight > 0, weight, 1.0).to(rows)[..., None]

        solution = config(gramian(moments), present=here)
        along = (solution.weights.to(moments)[..., None, :] @ moments).squeeze(-2)
        taken = state.taken + 1
        short, late = (1 - torch.pow(beta, taken) for beta in (self.beta1, self.beta2))
        combined = along * short.to(along)[..., None]
        increment = (combined - self.beta1 * state.combined) / (1 - self.beta1)
        square = torch.lerp(increment.square(), state.square, self.beta2)
        direction = along / ((square / late.to(square)[..., None]).sqrt() + self.eps)

        weighing = Weighing(
            torch.where(here, solution.weights, 0.0).to(obs.losses),
            heads=here.to(obs.losses),
            direction=direction.to(obs.rows.dtype),
            gap=solution.gap,
            converged=solution.converged,
        )
        return weighing, keep_where(here.any(dim=-1), Momenta(rows, weight, combined, square, taken), state)

    def _refreshed(self, obs: Observation) -> Tensor:
        """The tasks whose turn it is, ``[K]`` bool: all, or the next few in a circle."""
        K = obs.n_tasks
        place = torch.arange(K, device=obs.losses.device)
        if self.refresh is None or self.refresh >= K:
            return place >= 0
        begin = (obs.step - 1) * self.refresh % K
        return (place - begin) % K < self.refresh
