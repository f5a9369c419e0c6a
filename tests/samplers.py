"""Named geometries of K gradients: functions ``(batch, tasks, dim, dtype, seed) -> rows [*batch, tasks, dim]``.

Each docstring proves what its name says, so that a test can rely on it. Rows are drawn in float64 and rounded to ``dtype``.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Geometry = Callable[..., Tensor]


def generic(
    batch: tuple[int, ...] = (), tasks: int = 3, dim: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """Standard normal rows: linearly independent with probability 1 where ``dim >= tasks``."""
    return _normal(seed, *batch, tasks, dim).to(dtype)


def aligned(
    batch: tuple[int, ...] = (), tasks: int = 3, dim: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """No conflict: entrywise absolute values, so that all inner products are at least 0."""
    return _normal(seed, *batch, tasks, dim).abs().to(dtype)


def conflicting(
    batch: tuple[int, ...] = (), tasks: int = 3, dim: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """Not stationary, and every pair in conflict.

    The rows are ``c e_0 + s v_k`` with v_k the vertices of a regular simplex (``v_k'v_j = -1/(K-1)``) in other coordinates, and
    ``c^2 < s^2 / (K-1)``: inner products are ``c^2 - s^2/(K-1) < 0``, while ``e_0`` improves all tasks at rate ``c > 0``.
    Needs ``dim > tasks``; lengths are then changed at random within a factor of 2, which keeps every sign.
    """
    assert dim > tasks
    vertices = torch.eye(tasks, dtype=torch.float64) - 1 / tasks
    vertices = vertices / vertices[0].norm()
    c, s = (0.25 / max(tasks - 1, 1)) ** 0.5, 1.0
    rows = torch.zeros(*batch, tasks, dim, dtype=torch.float64)
    rows[..., 0], rows[..., 1 : tasks + 1] = c, s * vertices
    lengths = 0.5 + 1.5 * torch.rand(*batch, tasks, 1, generator=_generator(seed), dtype=torch.float64)
    return (lengths * rows).to(dtype)


def non_stationary(
    batch: tuple[int, ...] = (), tasks: int = 3, dim: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """A common direction improves all: normal rows whose first coordinate is at least 0.1, so that ``J e_0 >= 0.1``."""
    rows = _normal(seed, *batch, tasks, dim)
    rows[..., 0] = rows[..., 0].abs() + 0.1
    return rows.to(dtype)


def strongly_stationary(
    batch: tuple[int, ...] = (), tasks: int = 3, dim: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """A positive combination vanishes: the last row is minus a combination of the others with weights in [1/2, 3/2].

    With one task the only such gradient is 0.
    """
    rows = _normal(seed, *batch, tasks, dim)
    weights = 0.5 + torch.rand(*batch, tasks - 1, 1, generator=_generator(seed + 1), dtype=torch.float64)
    rows[..., -1, :] = -(weights * rows[..., :-1, :]).sum(dim=-2)
    return rows.to(dtype)


def weakly_stationary(
    batch: tuple[int, ...] = (), tasks: int = 3, dim: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """A non-negative combination vanishes but no positive one does; needs ``tasks >= 3`` and ``dim >= 2``.

    Rows 0 and 1 are opposite multiples of ``e_0``; the others have second coordinate at least 0.1. A vanishing combination
    with a positive weight on one of those would have a positive second coordinate.
    """
    assert tasks >= 3
    assert dim >= 2
    rows = _normal(seed, *batch, tasks, dim)
    rows[..., 1] = rows[..., 1].abs() + 0.1
    rows[..., :2, :] = 0.0
    lengths = 0.5 + torch.rand(*batch, 2, generator=_generator(seed + 1), dtype=torch.float64)
    rows[..., 0, 0], rows[..., 1, 0] = lengths[..., 0], -lengths[..., 1]
    return rows.to(dtype)


def duplicates(
    batch: tuple[int, ...] = (), tasks: int = 3, dim: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """Row k equals row ``k mod ceil(K/2)``: every row but at most one comes twice."""
    return _normal(seed, *batch, (tasks + 1) // 2, dim)[..., torch.arange(tasks) % ((tasks + 1) // 2), :].to(dtype)


def near_duplicates(
    batch: tuple[int, ...] = (), tasks: int = 3, dim: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """One common row plus one part in a million: cosines are ``1 - O(1e-12)``."""
    return (_normal(seed, *batch, 1, dim) + 1e-6 * _normal(seed + 1, *batch, tasks, dim)).to(dtype)


def rank_one(
    batch: tuple[int, ...] = (), tasks: int = 3, dim: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """Multiples of one row, with factors of both signs for two or more tasks: stationary, and all cosines are 1 or -1."""
    factors = 0.5 + torch.rand(*batch, tasks, 1, generator=_generator(seed), dtype=torch.float64)
    factors[..., 1::2, :] *= -1
    return (factors * _normal(seed + 1, *batch, 1, dim)).to(dtype)


def low_rank(
    batch: tuple[int, ...] = (), tasks: int = 3, dim: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """Rows in a random plane: the Gramian has rank at most 2."""
    return (_normal(seed, *batch, tasks, min(2, dim)) @ _normal(seed + 1, *batch, min(2, dim), dim)).to(dtype)


def six_decades(
    batch: tuple[int, ...] = (), tasks: int = 3, dim: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """Normal rows times ``10^a``, a evenly spread over [-3, 3]: lengths differ by a factor of a million (two or more tasks)."""
    factors = 10 ** torch.linspace(-3, 3, tasks, dtype=torch.float64).unsqueeze(-1)
    return (factors * _normal(seed, *batch, tasks, dim)).to(dtype)


def zero_row(
    batch: tuple[int, ...] = (), tasks: int = 3, dim: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """Normal rows but for the first, which is exactly 0: a task at its optimum."""
    rows = _normal(seed, *batch, tasks, dim)
    rows[..., 0, :] = 0.0
    return rows.to(dtype)


def tiny(
    batch: tuple[int, ...] = (), tasks: int = 3, dim: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """Normal rows times 1e-30: squared lengths near 1e-60, below float32's range."""
    return (1e-30 * _normal(seed, *batch, tasks, dim)).to(dtype)


def huge(
    batch: tuple[int, ...] = (), tasks: int = 3, dim: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """Normal rows times 1e30: squared lengths near 1e60, above float32's range."""
    return (1e30 * _normal(seed, *batch, tasks, dim)).to(dtype)


GEOMETRIES: dict[str, Geometry] = {
    geometry.__name__: geometry
    for geometry in (
        generic,
        aligned,
        conflicting,
        non_stationary,
        strongly_stationary,
        weakly_stationary,
        duplicates,
        near_duplicates,
        rank_one,
        low_rank,
        six_decades,
        zero_row,
        tiny,
        huge,
    )
}
# Those where 0 is not in the hull of the rows (with enough dimensions): every rule is defined there.
MOVING = ("conflicting", "non_stationary", "aligned", "duplicates", "near_duplicates")


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=_generator(seed), dtype=torch.float64)
