"""The minimum-norm point when the Gramian can only be multiplied with: columns are asked for one by one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from moo_mtl.solvers.min_norm import min_norm
from moo_mtl.solvers.solution import Solution


def min_norm_by_products(
    product: Callable[[Tensor], Tensor],
    n_tasks: int,
    *,
    guess: Tensor | None = None,
    present: Tensor | None = None,
    tolerance: float = 1e-3,
    device: torch.device | None = None,
) -> Solution:
    r"""Minimum-norm point of the convex hull of K gradients from products :math:`w \mapsto G w` alone.

    A guess that is good enough costs one product. Otherwise the exact point of the gradients seen so far gains the gradient it
    descends least, until its duality gap is small: as many products as gradients that matter, and one more for the guess.

    Args:
        product: ``[K] -> [K]``.
        n_tasks: K.
        guess: weights to try first, ``[K]``, such as those of the last step.
        present: ``[K]`` bool; an absent task has weight 0 and is left out.
        tolerance: the gap may be this share of ``w'Gw``; every task then still descends at ``1 - tolerance`` of the exact rate.
        device: of the weights.

    Returns:
        Weights ``[K]``, ``w'Gw``, the duality gap ``w'Gw - min_k (Gw)_k``, and whether it is within the tolerance.
    """
    here = torch.ones(n_tasks, dtype=torch.bool, device=device) if present is None else present
    w = here.double() if guess is None else torch.where(here, guess.double().clamp(min=0), 0.0)
    w = w / w.sum().clamp(min=torch.finfo(w.dtype).tiny)
    slopes = product(w).double()
    value, gap = _judged(w, slopes, here)
    columns: dict[int, Tensor] = {}
    while not bool(gap <= tolerance * value) and len(columns) < int(here.sum()):
        lowest = slopes.masked_fill(~here, torch.inf)
        lowest[list(columns)] = torch.inf
        task = int(lowest.argmin())
        columns[task] = product(torch.nn.functional.one_hot(torch.tensor(task, device=w.device), n_tasks).double()).double()
        seen = list(columns)
        among = torch.stack([columns[k] for k in seen], dim=-1)
        share = min_norm((among[seen] + among[seen].mT) / 2).weights
        w = torch.zeros_like(w)
        w[seen] = share
        slopes = among @ share
        value, gap = _judged(w, slopes, here)
    return Solution(w, value, gap, gap <= tolerance * value)


def _judged(w: Tensor, slopes: Tensor, here: Tensor) -> tuple[Tensor, Tensor]:
    value = (w * slopes).sum().clamp(min=0)
    return value, (value - slopes.masked_fill(~here, torch.inf).amin()).clamp(min=0)
