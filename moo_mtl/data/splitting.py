"""Splits, and scales learned from the training part alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from moo_mtl.data.dataset import SPLITS
from moo_mtl.errors import InputError


def permutation(n: int, seed: int) -> Tensor:
    """A random order of ``n`` things that depends on the seed alone, not on the global generator."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def split(n: int, seed: int, validation: float = 0.1, test: float = 0.2) -> dict[str, Tensor]:
    """Random disjoint index tensors of ``n`` examples; what validation and test leave is for training.

    Raises:
        InputError: the fractions leave a part without an example.
    """
    return split_groups(torch.arange(n), seed, validation, test)


def consecutive(sizes: Sequence[int]) -> dict[str, Tensor]:
    """Training examples first, then those of the validation part, then those of the test part."""
    return dict(zip(SPLITS, torch.arange(sum(sizes)).split(list(sizes)), strict=True))


def split_groups(groups: Tensor, seed: int, validation: float = 0.1, test: float = 0.2) -> dict[str, Tensor]:
    """A split of examples that keeps all examples of one group (a subject, a source) in one part.

    Args:
        groups: the group of each example, ``[N]`` integers.
        seed: of the split.
        validation: fraction of the groups.
        test: fraction of the groups.

    Raises:
        InputError: the fractions leave a part without a group.
    """
    names, member = torch.unique(groups, return_inverse=True)
    n = len(names)
    n_validation, n_test = round(validation * n), round(test * n)
    if min(n_validation, n_test, n - n_validation - n_test) < 1:
        raise _empty_part(n, validation, test)
    order = permutation(n, seed)
    part = torch.empty(n, dtype=torch.int64)
    part[order[:n_test]] = SPLITS.index("test")
    part[order[n_test : n_test + n_validation]] = SPLITS.index("validation")
    part[order[n_test + n_validation :]] = SPLITS.index("train")
    return {name: torch.nonzero(part[member] == i).flatten() for i, name in enumerate(SPLITS)}


def split_as_sklearn(n: int, validation: float, test: float, seed: int) -> dict[str, Tensor]:
    """The split of two calls of scikit-learn's ``train_test_split``, test part first, as benchmarks on tables have it.

    Raises:
        InputError: the fractions leave a part without an example.
    """
    from sklearn.model_selection import train_test_split

    try:
        rest, tested = train_test_split(np.arange(n), test_size=test, random_state=seed)
        train, validated = train_test_split(rest, test_size=validation / (1 - test), random_state=seed)
    except ValueError as error:
        raise _empty_part(n, validation, test) from error
    parts = (train, validated, tested)
    return {name: torch.from_numpy(part) for name, part in zip(SPLITS, parts, strict=True)}


def _empty_part(n: int, validation: float, test: float) -> InputError:
    return InputError(
        f"{n} sources cannot be split into validation={validation:g}, test={test:g} and the rest for training; "
        "each part needs at least one: choose fractions in (0, 1) that leave some"
    )


def standardised(values: Tensor, train: Tensor) -> tuple[Tensor, Tensor]:
    """Columns with the training part's mean 0 and standard deviation 1; constant columns become 0.

    Args:
        values: ``[N, C]``; NaN marks a missing value, which is left out of the statistics and becomes 0.
        train: indices of the training part.

    Returns:
        The standardised columns in float32 and the standard deviations ``[C]`` in float64.
    """
    seen = values[train].double()
    known = ~seen.isnan()
    count = known.sum(dim=0).clamp(min=1)
    mean = seen.nan_to_num().sum(dim=0) / count
    deviation = torch.where(known, seen - mean, 0.0).square().sum(dim=0).div(count).sqrt()
    scale = torch.where(deviation > 1e-12 * mean.abs(), deviation, 1.0)  # a constant column has rounding for a deviation
    return ((values.double() - mean) / scale).nan_to_num().float(), scale
