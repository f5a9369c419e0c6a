"""Bias of the step when the gradients are those of a mini-batch."""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl import properties
from moo_mtl.theory.episode import Episode, told
from moo_mtl.theory.families import REGULAR
from moo_mtl.theory.law import Law
from moo_mtl.theory.measure import Case, ratio

PAIRS = 64
NOISE = 0.3  # of each gradient's length


def _bias(case: Case) -> Tensor:
    """Length of the mean change under noise, beyond four of its standard errors, relative to the step's parts.

    Noise comes in pairs of opposite sign, so that a step that is linear in the gradients is unbiased to rounding.
    """
    story = case.story
    generator = torch.Generator().manual_seed(11)

    def noisy(rows: Tensor) -> Tensor:
        kicks = torch.randn(rows.shape[0], PAIRS, *rows.shape[1:], generator=generator, dtype=torch.float64)
        kicks = NOISE * rows.norm(dim=-1, keepdim=True)[:, None] / rows.shape[-1] ** 0.5 * kicks
        return torch.cat([rows[:, None] + kicks, rows[:, None] - kicks], dim=1)

    def many(part: Tensor) -> Tensor:
        return part[:, None].expand(part.shape[0], 2 * PAIRS, *part.shape[1:])

    rows = noisy(story.rows)
    cloud = Episode(
        many(story.losses),
        many(story.after),
        rows,
        noisy(story.left) if story.left is not story.rows else rows,
        noisy(story.right) if story.right is not story.rows else rows,
        many(story.noise),
        story.preference.expand(2 * PAIRS, *story.preference.shape),
    )
    steps = told(case.rule, cloud).directions
    paired = (steps[:, :PAIRS] + steps[:, PAIRS:]) / 2 - case.answer.directions[:, None]
    error = (paired.var(dim=1).sum(dim=-1) / PAIRS).sqrt()
    return ratio((paired.mean(dim=1).norm(dim=-1) - 4 * error).clamp(min=0), case.length)


LAWS = (
    Law(
        properties.unbiased,
        _bias,
        {name: REGULAR[name] for name in ("gaussian", "conflicting")},
        steps=1,
        tasks=(2, 3, 5),
        copies=8,
        searched=False,
        by_hand=False,
    ),
)
