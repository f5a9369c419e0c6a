"""Preferences spread over the simplex, as float64 tensors ``[P, K]``: one axis of a batch of trajectories."""

from __future__ import annotations

from math import comb

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.tensors import require_number


def das_dennis(n_tasks: int, partitions: int) -> Tensor:
    """The regular lattice on the simplex: all shares that are multiples of ``1 / partitions``, through pymoo.

    >>> das_dennis(2, 2)
    tensor([[0.0000, 1.0000],
            [0.5000, 0.5000],
            [1.0000, 0.0000]], dtype=torch.float64)

    Raises:
        InputError: ``n_tasks`` below 2 or ``partitions`` below 1.

    Source: Das and Dennis, Normal-Boundary Intersection, SIAM Journal on Optimization, 1998.
    """
    from pymoo.util.ref_dirs import get_reference_directions

    _at_least("n_tasks", n_tasks, 2)
    _at_least("partitions", partitions, 1)
    return torch.from_numpy(get_reference_directions("das-dennis", n_tasks, n_partitions=partitions))


def riesz(n: int, n_tasks: int, seed: int = 1) -> Tensor:
    """``n`` directions of low Riesz energy: as evenly spread as the lattice, for any number of them, through pymoo.

    Raises:
        InputError: ``n_tasks`` below 2 or ``n`` below ``n_tasks``.

    Source: Blank, Deb, Dhebar, Bandaru and Seada, IEEE Transactions on Evolutionary Computation 25(1), 2021.
    """
    from pymoo.util.ref_dirs import get_reference_directions

    _at_least("n_tasks", n_tasks, 2)
    _at_least("n", n, n_tasks)
    return torch.from_numpy(get_reference_directions("energy", n_tasks, n, seed=seed))


def evenly(n: int, n_tasks: int) -> Tensor:
    """``n`` directions evenly over the simplex: the lattice if it has one of n points (at once), else low Riesz energy (slow).

    >>> len(evenly(91, 3)), len(evenly(90, 3))
    (91, 90)

    Raises:
        InputError: ``n_tasks`` below 2 or ``n`` below ``n_tasks``.
    """
    _at_least("n_tasks", n_tasks, 2)
    _at_least("n", n, n_tasks)
    partitions = _partitions(n, n_tasks)
    if comb(partitions + n_tasks - 1, n_tasks - 1) == n:
        return das_dennis(n_tasks, partitions)
    return riesz(n, n_tasks)


def at_least(n: int, n_tasks: int) -> Tensor:
    """The coarsest lattice of at least ``n`` directions.

    Raises:
        InputError: ``n_tasks`` below 2 or ``n`` below 1.
    """
    _at_least("n_tasks", n_tasks, 2)
    _at_least("n", n, 1)
    return das_dennis(n_tasks, _partitions(n, n_tasks))


def random(n: int, n_tasks: int, seed: int = 0) -> Tensor:
    """``n`` directions drawn uniformly over the simplex.

    Raises:
        InputError: ``n_tasks`` or ``n`` below 1.
    """
    _at_least("n_tasks", n_tasks, 1)
    _at_least("n", n, 1)
    require_number("directions", "seed", seed)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.empty(n, n_tasks, dtype=torch.float64).exponential_(generator=generator)
    return drawn / drawn.sum(dim=-1, keepdim=True)


def _partitions(n: int, n_tasks: int) -> int:
    """Partitions of the coarsest lattice of at least ``n`` points."""
    partitions = 1
    while comb(partitions + n_tasks - 1, n_tasks - 1) < n:
        partitions += 1
    return partitions


def _at_least(what: str, found: int, least: int) -> None:
    if not isinstance(found, int) or found < least:
        raise InputError(f"directions: {what} must be a whole number of at least {least}, found {found!r}")
