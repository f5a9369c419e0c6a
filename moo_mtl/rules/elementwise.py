"""Solve slots that decide for every coordinate by itself: their step is no weighted sum of the gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules.rule import Weighing
from moo_mtl.rules.slot import Slot, noise_of, stateless, within


def sign_dropout(leak: float | Sequence[float] = 0.0) -> Slot[Weighing]:
    r"""GradDrop: at each coordinate the gradients of one sign are kept, drawn with the sign's share as its probability.

    .. math:: P = \tfrac12 \Bigl(1 + \frac{\sum_k g_k}{\sum_k |g_k|}\Bigr), \qquad
              M_k = [U < P][g_k > 0] + [U \ge P][g_k < 0], \qquad d = \sum_k (l_k + (1 - l_k) M_k) \, g_k

    Args:
        leak: share l of each gradient that is never dropped; one number, or one per task.

    The weights reported are the shares of coordinates that are kept.
    """
    leaks = [leak] if isinstance(leak, float | int) else list(leak)
    for value in leaks:
        within("graddrop", "leak", value, 0.0, 1.0, "it is the share of the gradient that is never dropped")

    def weigh(obs: Observation) -> Weighing:
        if len(leaks) not in (1, obs.n_tasks):
            raise InputError(f"graddrop: found {len(leaks)} leaks for {obs.n_tasks} tasks; give one for all or one per task")
        rows, here = _rows(obs), obs.mask[..., None]
        # In units of the largest entry, so that sums of huge gradients stay finite and those of tiny ones keep their digits.
        largest = rows.abs().amax(dim=(-2, -1), keepdim=True)
        level = rows / torch.where(largest > 0, largest, 1.0)
        total = level.abs().sum(dim=-2)
        purity = torch.where(total > 0, (1 + level.sum(dim=-2) / torch.where(total > 0, total, 1.0)) / 2, 0.5)
        positive = (noise_of(obs).to(purity) < purity)[..., None, :]
        keep = torch.where(positive, rows > 0, rows < 0).to(rows)
        kept = torch.tensor(leaks, dtype=rows.dtype, device=rows.device)[:, None]
        factor = torch.where(here, kept + (1 - kept) * keep, 0.0)
        return Weighing(factor.double().mean(dim=-1), direction=(factor * rows).sum(dim=-2))

    return Slot(
        "sign-dropout",
        lambda obs, state: (weigh(obs), state),
        needs=Needs.ROWS | Needs.NOISE,
        draws=lambda n_tasks, n_dim: n_dim,
    )


def trimmed(trim: int = 1) -> Slot[Weighing]:
    """Coordinatewise mean without the ``trim`` largest and smallest entries; where tasks are absent, fewer where there must be.

    The weights reported are the shares of coordinates in which a task counts, divided by how many tasks do.
    """

    def weigh(obs: Observation) -> Weighing:
        rows, here = _rows(obs), obs.mask[..., None]
        order = torch.where(here, rows, torch.inf).argsort(dim=-2, stable=True)
        place = torch.zeros_like(order).scatter(
            -2, order, torch.arange(obs.n_tasks, device=rows.device)[:, None].expand_as(order)
        )
        present = obs.mask.sum(dim=-1)[..., None, None]
        cut = ((present - 1) // 2).clamp(min=0, max=trim)
        kept = (place >= cut) & (place < present - cut) & here
        share = kept.to(rows) / kept.sum(dim=-2, keepdim=True).clamp(min=1)
        return Weighing(share.double().mean(dim=-1), direction=(share * rows).sum(dim=-2))

    return stateless("trimmed-mean", weigh, Needs.ROWS)


def _rows(obs: Observation) -> Tensor:
    assert obs.rows is not None
    return obs.rows
