"""Named geometries of K gradients: random rows ``[batch, K, D]`` whose docstrings say what is true of them by construction."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Geometry = Callable[[int, int, int, torch.Generator], Tensor]


def generic(batch: int, K: int, D: int, g: torch.Generator) -> Tensor:
    """Standard normal rows: independent, in general position, some pairs in conflict."""
    return torch.randn(batch, K, D, generator=g, dtype=torch.float64)


def six_decades(batch: int, K: int, D: int, g: torch.Generator) -> Tensor:
    """Normal rows whose lengths are spread evenly, in the logarithm, over six decades."""
    decades = 6 * torch.rand(batch, K, 1, generator=g, dtype=torch.float64) - 3
    return generic(batch, K, D, g) * 10**decades


def conflicting(batch: int, K: int, D: int, g: torch.Generator) -> Tensor:
    """Every pair is in conflict, and yet a common descent direction exists.

    With orthonormal q_0, ..., q_K the rows are the centred vertices q_k - mean(q) plus e q_0: two of them have product
    -1/K + e^2 < 0 for e^2 = 1/(4K), and each has product e > 0 with q_0. Positive factors, one per row, change neither.
    """
    q = torch.linalg.qr(torch.randn(batch, D, K + 1, generator=g, dtype=torch.float64)).Q.mT
    centred = q[:, 1:] - q[:, 1:].mean(dim=1, keepdim=True)
    lengths = 0.5 + torch.rand(batch, K, 1, generator=g, dtype=torch.float64)
    return lengths * (centred + q[:, :1] / (4 * K) ** 0.5)


def strongly_stationary(batch: int, K: int, D: int, g: torch.Generator) -> Tensor:
    """A convex combination with all weights positive is zero: the last row is minus a positive combination of the others.

    For K = 1 the only row is zero.
    """
    rows = generic(batch, K, D, g)
    shares = 0.2 + torch.rand(batch, K - 1, 1, generator=g, dtype=torch.float64)
    return torch.cat([rows[:, :-1], -(shares * rows[:, :-1]).sum(dim=1, keepdim=True)], dim=1)


def weakly_stationary(batch: int, K: int, D: int, g: torch.Generator) -> Tensor:
    """A convex combination is zero, and none with all weights positive: the first two rows are opposite, the others have
    product 1 with a direction that those two are orthogonal to. For K < 3 the stationarity is strong."""
    rows = strongly_stationary(batch, min(K, 2), D, g)
    if K < 3:
        return rows
    axis = torch.nn.functional.one_hot(torch.tensor(0), D).double()
    rows[..., 0] = 0.0
    others = generic(batch, K - 2, D, g)
    others[..., 0] = 0.0
    return torch.cat([rows, others + axis], dim=1)


def near_duplicates(batch: int, K: int, D: int, g: torch.Generator) -> Tensor:
    """One row, K times, each with a thousandth of noise of its own."""
    return generic(batch, 1, D, g) + 1e-3 * generic(batch, K, D, g)


def duplicates(batch: int, K: int, D: int, g: torch.Generator) -> Tensor:
    """The second half of the rows repeats the first half."""
    rows = generic(batch, (K + 1) // 2, D, g)
    return torch.cat([rows, rows], dim=1)[:, :K]


def zero_row(batch: int, K: int, D: int, g: torch.Generator) -> Tensor:
    """The first row is zero: that task is at its optimum."""
    rows = generic(batch, K, D, g)
    rows[:, 0] = 0.0
    return rows


def rank_one(batch: int, K: int, D: int, g: torch.Generator) -> Tensor:
    """Positive and negative multiples of one row."""
    return generic(batch, K, 1, g) * generic(batch, 1, D, g)


def tiny(batch: int, K: int, D: int, g: torch.Generator) -> Tensor:
    """Normal rows of length about 1e-30."""
    return 1e-30 * generic(batch, K, D, g)


def huge(batch: int, K: int, D: int, g: torch.Generator) -> Tensor:
    """Normal rows of length about 1e30."""
    return 1e30 * generic(batch, K, D, g)


def all_zero(batch: int, K: int, D: int, g: torch.Generator) -> Tensor:
    """No task has a gradient."""
    return torch.zeros(batch, K, D, dtype=torch.float64)


REGULAR: dict[str, Geometry] = {function.__name__: function for function in (generic, six_decades, conflicting)}
STATIONARY: dict[str, Geometry] = {function.__name__: function for function in (strongly_stationary, weakly_stationary)}
DEGENERATE: dict[str, Geometry] = {
    function.__name__: function for function in (near_duplicates, duplicates, zero_row, rank_one, tiny, huge, all_zero)
}
EVERY = REGULAR | STATIONARY | DEGENERATE
