"""Preferences drawn anew at every step, for networks that learn the whole front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moo_mtl.errors import InputError

_STREAM = 0x9E37  # keeps these numbers apart from others of the same seed and step


@dataclass(frozen=True)
class Dirichlet:
    r"""A preference :math:`\lambda \sim \mathrm{Dir}(\alpha)` on the simplex for each step; it depends on (seed, step) alone.

    Below 1, alpha favours the corners. COSMOS takes 0.5 for tables and 1.2 for images, PHN 0.2.

    Args:
        alpha: a number for all tasks, or one for each.
        least: smallest share of a task; some rules divide by it.

    Raises:
        InputError: an alpha is not positive, or ``least`` is outside [0, 0.5).
    """

    alpha: float | tuple[float, ...] = 1.0
    least: float = 1e-3

    def __post_init__(self) -> None:
        several = self.alpha if isinstance(self.alpha, Sequence) else (self.alpha,)
        if not all(value > 0 for value in several) or not 0 <= self.least < 0.5:
            raise InputError(f"dirichlet: alpha must be positive and least in [0, 0.5), found {self.alpha} and {self.least}")

    def draw(self, seeds: Tensor, step: int, n_tasks: int) -> Tensor:
        """One preference for each seed, ``[..., K]`` float64.

        Raises:
            InputError: there is an alpha for each of another number of tasks.
        """
        import numpy as np

        alpha = self.alpha if isinstance(self.alpha, Sequence) else (self.alpha,) * n_tasks
        if len(alpha) != n_tasks:
            raise InputError(f"dirichlet: {len(alpha)} values of alpha for {n_tasks} tasks; give one for each, or one for all")
        drawn = [np.random.default_rng((seed, step, _STREAM)).dirichlet(alpha) for seed in seeds.flatten().tolist()]
        shares = torch.from_numpy(np.stack(drawn)).clamp(min=self.least)
        return (shares / shares.sum(dim=-1, keepdim=True)).reshape(*seeds.shape, n_tasks)
