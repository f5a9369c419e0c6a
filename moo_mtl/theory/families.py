"""Structured families of K gradients: maps from standard normal numbers ``[..., K + 1, D + 1]`` to rows ``[..., K, D]``.

Written as maps, one description serves random draws (draw the normals), adversarial search (move them uphill) and exact
replay. Each docstring says what is true of the rows by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Family = Callable[[Tensor], Tensor]


def evenly(normals: Tensor) -> Tensor:
    """Standard normal numbers as numbers spread evenly between 0 and 1."""
    return torch.special.ndtr(normals)


def gaussian(z: Tensor) -> Tensor:
    """Standard normal rows: independent, in general position, some pairs in conflict."""
    return z[..., :-1, :-1]


def six_decades(z: Tensor) -> Tensor:
    """Normal rows whose lengths are spread evenly, in the logarithm, over six decades."""
    return gaussian(z) * 10 ** (6 * evenly(z[..., :-1, -1:]) - 3)


def conflicting(z: Tensor) -> Tensor:
    """Every pair is in conflict, and yet a common descent direction exists; D > K.

    With orthonormal q_0, ..., q_K the rows are the centred vertices q_k - mean(q) plus e q_0: two of them have product
    -1/K + e^2 < 0 for e^2 = 1/(4K), and each has product e > 0 with q_0. Positive factors, one per row, change neither.
    """
    K = z.shape[-2] - 1
    q = torch.linalg.qr(z[..., :-1].mT).Q.mT
    centred = q[..., 1:, :] - q[..., 1:, :].mean(dim=-2, keepdim=True)
    return (0.5 + evenly(z[..., :-1, -1:])) * (centred + q[..., :1, :] / (4 * K) ** 0.5)


def near_duplicates(z: Tensor) -> Tensor:
    """One row, K times, each with a thousandth of its own."""
    return z[..., -1:, :-1] + 1e-3 * gaussian(z)


def duplicates(z: Tensor) -> Tensor:
    """The second half of the rows repeats the first half."""
    K = z.shape[-2] - 1
    return gaussian(z)[..., torch.arange(K) % ((K + 1) // 2), :]


def plane(z: Tensor) -> Tensor:
    """Rows in one plane: for K > 2 they depend on each other."""
    rows = gaussian(z)
    return torch.cat([rows[..., :2], torch.zeros_like(rows[..., 2:])], dim=-1)


def rank_one(z: Tensor) -> Tensor:
    """Positive and negative multiples of one row."""
    return z[..., :-1, -1:] * z[..., -1:, :-1]


def zero_row(z: Tensor) -> Tensor:
    """The first row is zero: that task is at its optimum."""
    rows = gaussian(z)
    return torch.cat([torch.zeros_like(rows[..., :1, :]), rows[..., 1:, :]], dim=-2)


def strongly_stationary(z: Tensor) -> Tensor:
    """A convex combination with all weights positive is zero: the last row is minus a positive combination of the others.

    For K = 1 the only row is zero.
    """
    rows, shares = gaussian(z)[..., :-1, :], 0.2 + evenly(z[..., :-2, -1:])
    return torch.cat([rows, -(shares * rows).sum(dim=-2, keepdim=True)], dim=-2)


def weakly_stationary(z: Tensor) -> Tensor:
    """A convex combination is zero, and none with all weights positive: the first two rows are opposite, the others have
    product 1 with a direction that those two are orthogonal to. For K < 3 the stationarity is strong."""
    if z.shape[-2] - 1 < 3:
        return strongly_stationary(z)
    rows = gaussian(z)
    first = torch.cat([torch.zeros_like(rows[..., :1, :1]), rows[..., :1, 1:]], dim=-1)
    second = -(0.2 + evenly(z[..., :1, -1:])) * first
    others = torch.cat([torch.ones_like(rows[..., 2:, :1]), rows[..., 2:, 1:]], dim=-1)
    return torch.cat([first, second, others], dim=-2)


def tiny(z: Tensor) -> Tensor:
    """Normal rows of length about 1e-30."""
    return 1e-30 * gaussian(z)


def huge(z: Tensor) -> Tensor:
    """Normal rows of length about 1e30."""
    return 1e30 * gaussian(z)


def all_zero(z: Tensor) -> Tensor:
    """No task has a gradient."""
    return torch.zeros_like(gaussian(z))


def _named(*families: Family) -> Mapping[str, Family]:
    return {family.__name__: family for family in families}


REGULAR = _named(gaussian, six_decades, conflicting)
INDEPENDENT = _named(gaussian, six_decades, conflicting, near_duplicates)
STATIONARY = _named(strongly_stationary, weakly_stationary)
DEPENDENT = _named(duplicates, plane, rank_one, zero_row, strongly_stationary, weakly_stationary)
STRUCTURED = {**INDEPENDENT, **DEPENDENT}
EVERY = {**STRUCTURED, **_named(tiny, huge, all_zero)}
