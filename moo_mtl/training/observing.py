"""From one look at the gradients to what the rule is shown of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from moo_mtl.engines import Look
from moo_mtl.errors import InputError
from moo_mtl.gramian import cross_gramian, gramian
from moo_mtl.observation import Needs, Observation
from moo_mtl.randomness import uniforms
from moo_mtl.rules.rule import Rule
from moo_mtl.tensors import require_tensor
from moo_mtl.training.parameters import Columns


@dataclass(frozen=True)
class Seen:
    """The gradients of the losses as they are, in the columns that the rule looks at.

    Attributes:
        rows: ``[..., K, D]``, with groups ``[..., P, K, D']``; ``None`` where the engine holds none, or nobody looked.
        gramian: ``[..., K, K]``, with groups ``[..., P, K, K]``, float64; ``None`` where there is none.
        product: ``w -> G w``; ``None`` where nobody looked.
    """

    rows: Tensor | None = None
    gramian: Tensor | None = None
    product: Callable[[Tensor], Tensor] | None = None


def seen(found: Look | None, columns: Columns, scale: Tensor | None) -> Seen:
    """What ``found`` shows; ``scale`` is the factor on the losses that a gradient scaler put there."""
    if found is None:
        return Seen()
    rows = None if found.rows is None else _over(columns.view(found.rows), scale)
    square = None if scale is None else scale.double().square()
    matrix = gramian(rows) if rows is not None else None if found.gramian is None else _over(found.gramian, square)
    if matrix is not None:
        return Seen(rows, matrix, lambda w: (matrix @ w[..., None]).squeeze(-1))
    product = found.product
    return Seen(product=None if product is None else lambda w: _over(product(w), square))


def observed(
    rule: Rule[Any],
    losses: Tensor,
    gradients: Seen,
    columns: Columns,
    *,
    others: Sequence[Tensor] = (),
    noise: Tensor | None = None,
    guess: Tensor | None = None,
    preference: Tensor | None = None,
    present: Tensor | None = None,
    step: int = 1,
    epoch: int = 1,
) -> Observation:
    """What ``rule`` declared that it needs, and nothing else.

    Args:
        rule: who looks.
        losses: ``[..., K]``.
        gradients: as seen.
        columns: the layout of the shared parameters.
        others: rows of one or two independent batches, in all columns.
        noise: uniform numbers.
        guess: weights of the last step.
        preference: ``[..., K]``.
        present: ``[..., K]`` bool.
        step: counted from 1.
        epoch: counted from 1.

    Raises:
        InputError: the rule needs a preference, or independent batches, and none is given; or it is not ``[..., K]``.
    """
    needs, values = rule.needs, columns.per_group(losses.detach())
    if Needs.PREFERENCE in needs and preference is None:
        raise InputError(
            f"Balancer: rule {rule.name} follows a preference and none is given; pass preference=, one number per task"
        )
    if preference is not None:
        require_tensor("Balancer", "preference", preference)
        if preference.shape[-1:] != losses.shape[-1:]:
            raise InputError(
                f"Balancer: preference has shape {tuple(preference.shape)}, expected [..., {losses.shape[-1]}], one number per "
                f"task"
            )
    return Observation(
        values,
        gramian=gradients.gramian if needs & (Needs.GRAMIAN | Needs.PRODUCTS) else None,
        product=gradients.product if Needs.PRODUCTS in needs else None,
        cross=_crossed(rule, gradients.rows, [columns.view(rows) for rows in others]) if Needs.CROSS in needs else None,
        rows=gradients.rows if Needs.ROWS in needs else None,
        noise=noise,
        guess=guess,
        preference=None if preference is None else columns.per_group(preference.to(values)).expand(values.shape),
        present=None if present is None else columns.per_group(present).expand(values.shape),
        step=step,
        epoch=epoch,
    )


def drawn(rule: Rule[Any], losses: Tensor, columns: Columns, seed: int, step: int) -> Tensor | None:
    """The uniform numbers of this step, ``[..., S]``, for a rule that draws; the same on every device."""
    if Needs.NOISE not in rule.needs:
        return None
    batch = columns.per_group(losses).shape[:-1]
    members = torch.arange(batch.numel(), device=losses.device).reshape(batch)
    return uniforms(2 * seed, members, step, rule.draws(losses.shape[-1], sum(columns.widths)))


def _crossed(rule: Rule[Any], rows: Tensor | None, others: Sequence[Tensor]) -> Tensor | None:
    if rows is None:  # weights are kept from an earlier step, and nobody looks
        return None
    if len(others) not in (1, 2):
        raise InputError(
            f"Balancer: rule {rule.name} multiplies gradients of independent batches; pass the losses of one or two further "
            f"batches as independent=, found {len(others)}"
        )
    left, right = (rows, others[0]) if len(others) == 1 else others
    return cross_gramian(left, right)


def _over(tensor: Tensor, factor: Tensor | None) -> Tensor:
    return tensor if factor is None else tensor / factor.to(tensor.dtype)
