"""Memory slots: filters over time of the K gradient rows. They alone hold K x D numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from moo_mtl.gramian import gramian
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules.slot import Schedule, Slot, at, within


class Filtered(NamedTuple):
    """Filtered rows ``[..., K, D]`` in the rows' precision (float32 at least), and the share of the zero start left in
    each ``[..., K]``."""

    rows: Tensor
    share: Tensor


def row_ema(beta: Schedule = 0.9, sigma: float = 0.0, bias_correction: bool = False) -> Slot[Tensor]:
    r"""Exponential moving average of each row, from zero: :math:`\hat g_k \leftarrow \beta_t \hat g_k + (1-\beta_t) g_k`.

    Args:
        beta: share of the old average that is kept, a number or a function of the step.
        sigma: decay of that share, :math:`\beta_t = \beta / t^\sigma` with :math:`t` counted from 1.
        bias_correction: divide by :math:`1 - \prod_{s \le t} \beta_s`, which makes up for the zero start.

    Raises:
        InputError: ``beta`` outside [0, 1), now or at a later step, or ``sigma`` negative.
    """
    beta = within("row-ema", "beta", beta, 0.0, 1.0, "it is the share of the old average that is kept", half_open=True)
    within("row-ema", "sigma", sigma, 0.0, float("inf"), "that share decays")

    def start(obs: Observation) -> Filtered:
        assert obs.rows is not None
        dtype = torch.promote_types(obs.rows.dtype, torch.float32)
        return Filtered(torch.zeros_like(obs.rows, dtype=dtype), torch.ones_like(obs.losses, dtype=torch.float64))

    def act(obs: Observation, state: Filtered) -> tuple[Tensor, Filtered]:
        assert obs.rows is not None
        kept = at(beta, obs.step) / obs.step**sigma
        rows, share = torch.lerp(obs.rows.to(state.rows.dtype), state.rows, kept), kept * state.share
        if obs.present is not None:
            here = obs.mask
            rows, share = torch.where(here[..., None], rows, state.rows), torch.where(here, share, state.share)
        state = Filtered(rows, share)
        if not bias_correction:
            return state.rows, state
        whole = torch.where(state.share < 1, 1 - state.share, 1.0)  # a task never seen has a zero row, and keeps it
        return state.rows / whole.to(state.rows.dtype)[..., None], state

    return Slot("row-ema", act, start, Needs.ROWS)


def of_scaled(scale: Slot[Tensor], memory: Slot[Tensor]) -> Slot[Tensor]:
    """A memory of gradients that are rescaled, by a scale without a state, before they are remembered."""

    def act(obs: Observation, state: Any) -> tuple[Tensor, Any]:
        assert obs.rows is not None
        whole = obs if obs.gramian is not None else replace(obs, gramian=gramian(obs.rows))
        factors, _ = scale.act(whole, ())
        return memory.act(replace(obs, rows=factors.to(obs.rows.dtype)[..., None] * obs.rows), state)

    return Slot(f"{memory.name} of {scale.name}", act, memory.start, memory.needs | (scale.needs & ~Needs.GRAMIAN))
