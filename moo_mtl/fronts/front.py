"""A found front: points, where they were found, and a certificate for every one of them."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from moo_mtl.box import Box
from moo_mtl.certificate import certify
from moo_mtl.errors import InputError
from moo_mtl.fronts.dominance import non_dominated
from moo_mtl.gramian import gramian
from moo_mtl.problems.problem import Problem
from moo_mtl.tensors import by_shape


@dataclass(frozen=True, eq=False, repr=False)
class Front:
    """Solutions of one problem.

    Attributes:
        points: losses, ``[N, K]``.
        x: where they are reached, ``[N, D]``; ``problem.evaluate(x)`` gives ``points`` to the last bit.
        lower: lower bound on each point's distance to Pareto-stationarity within the box, ``[N]``.
        upper: upper bound on it, ``[N]``.
        preferences: what was asked of each point, ``[N, K]``; empty, ``[N, 0]``, where nothing was.
    """

    points: Tensor
    x: Tensor
    lower: Tensor
    upper: Tensor
    preferences: Tensor

    @classmethod
    def of(cls, problem: Problem, x: Tensor, preferences: Tensor | None = None) -> Front:
        """The front of given solutions, evaluated and certified.

        Args:
            problem: whose losses.
            x: ``[N, D]``.
            preferences: ``[N, K]``, to be kept with the points.
        """
        _, jacobian = problem.differentiate(x)
        box = Box.of(problem, "project", x)
        finite = jacobian.isfinite().all(dim=(-2, -1))
        rows = torch.where(finite[:, None, None], jacobian, 0.0)
        found = certify(gramian(rows), rows=rows, at_bounds=box.sides(x)) if box.bounds else certify(gramian(rows))
        lower, upper = (torch.where(finite, bound, torch.nan) for bound in (found.lower, found.upper))
        wanted = x.new_zeros(len(x), 0) if preferences is None else preferences.to(x)
        with torch.no_grad():
            points = problem.evaluate(x)
        return cls(points, x, lower, upper, wanted)

    def __repr__(self) -> str:
        return by_shape(self)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, which: Tensor | slice) -> Front:
        """Some of the solutions."""
        return Front(*(getattr(self, field.name)[which] for field in fields(self)))

    def non_dominated(self) -> Front:
        """The solutions that no other one dominates."""
        return self[non_dominated(self.points)]

    def save(self, path: str | Path) -> None:
        """Write all tensors to one ``.npz`` file, readable by NumPy."""
        import numpy as np

        with open(path, "wb") as file:
            np.savez_compressed(file, **{field.name: getattr(self, field.name).cpu().numpy() for field in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> Front:
        """Read what ``save`` wrote.

        Raises:
            InputError: the file is not a saved front.
        """
        import numpy as np

        try:
            with open(path, "rb") as source, np.load(source, allow_pickle=False) as file:
                return cls(**{field.name: torch.from_numpy(file[field.name]) for field in fields(cls)})
        except FileNotFoundError as error:
            raise InputError(f"there is no file {path}; save one with Front.save") from error
        except Exception as error:  # a damaged archive raises whatever its decoder meets first
            raise InputError(
                f"{path} is not a saved front ({type(error).__name__}: {error}); delete it and trace again"
            ) from error

    def write_csv(self, path: str | Path) -> None:
        """One line per solution: losses, certificate, whether another one dominates it, preference, x; every digit kept."""
        columns = {
            **{f"loss {k + 1}": column.tolist() for k, column in enumerate(self.points.T)},
            "lower bound": self.lower.tolist(),
            "upper bound": self.upper.tolist(),
            "non-dominated": [int(kept) for kept in non_dominated(self.points).tolist()],
            **{f"preference {k + 1}": column.tolist() for k, column in enumerate(self.preferences.T)},
            **{f"x {d + 1}": column.tolist() for d, column in enumerate(self.x.T)},
        }
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
