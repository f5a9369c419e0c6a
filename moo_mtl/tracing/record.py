"""What a trace records: the value that is returned, and the log that fills as the run goes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl.box import Box
from moo_mtl.certificate import certify
from moo_mtl.errors import InputError
from moo_mtl.gramian import gramian
from moo_mtl.rules.rule import Weighing
from moo_mtl.tensors import by_shape
from moo_mtl.tracing.view import Point

MOVING, STATIONARY, NONFINITE = 0, 1, 2


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """Where a rule went.

    Attributes:
        x: points, ``[T, ..., D]``; the first is the start.
        losses: there, ``[T, ..., K]``.
        weights: the rule's weights there, on the raw gradients, ``[T, ..., K]``.
        lower: lower bound on the distance of 0 to the convex hull of the raw losses' gradients, ``[C, ...]``.
        upper: upper bound on it, ``[C, ...]``.
        steps: number of steps taken before each recorded point, ``[T]``.
        certified: number of steps taken before each certificate, ``[C]``.
        converged: whether the rule's solver reached its tolerance there, ``[T, ...]`` bool; true where no solver ran.
        status: ``[...]``; 0 moving, 1 stationary (the upper bound reached ``until``), 2 stopped before a NaN or an infinity.
    """

    x: Tensor
    losses: Tensor
    weights: Tensor
    lower: Tensor
    upper: Tensor
    steps: Tensor
    certified: Tensor
    converged: Tensor
    status: Tensor

    def __repr__(self) -> str:
        return by_shape(self)

    def moving(self, tolerance: float = 1e-2) -> Tensor:
        """Whether each trajectory went further than ``tolerance`` during the last tenth of the steps, ``[...]`` bool."""
        late = int((self.steps < 0.9 * self.steps[-1]).sum())
        return (self.x[-1] - self.x[late]).norm(dim=-1) > tolerance

    def entry(self, index: int) -> Trace:
        """What belongs to one entry of the first batch dimension."""
        apart = {"steps", "certified", "status"}
        parts = {field.name: getattr(self, field.name)[:, index] for field in fields(self) if field.name not in apart}
        return Trace(**parts, steps=self.steps, certified=self.certified, status=self.status[index])

    def save(self, path: str | Path) -> None:
        """Write all tensors to one ``.npz`` file, readable by NumPy."""
        import numpy as np

        with open(path, "wb") as file:
            np.savez_compressed(file, **{field.name: getattr(self, field.name).cpu().numpy() for field in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read what ``save`` wrote.

        Raises:
            InputError: the file is not a saved trace.
        """
        import numpy as np

        try:
            with open(path, "rb") as source, np.load(source, allow_pickle=False) as file:
                return cls(**{field.name: torch.from_numpy(file[field.name]) for field in fields(cls)})
        except FileNotFoundError as error:
            raise InputError(f"there is no file {path}; save one with Trace.save") from error
        except Exception as error:  # a damaged archive raises whatever its decoder meets first
            raise InputError(
                f"{path} is not a saved trace ({type(error).__name__}: {error}); delete it and trace again"
            ) from error


class Log(NamedTuple):
    """Room for all that will be recorded, filled as the run goes; a tuple of tensors, so that it is saved like any state."""

    x: Tensor
    losses: Tensor
    weights: Tensor
    lower: Tensor
    upper: Tensor
    steps: Tensor
    certified: Tensor
    converged: Tensor

    @classmethod
    def blank(cls, point: Point, steps: int, record_every: int, certify_every: int) -> Log:
        entries = -(-steps // record_every) + 1
        certificates = -(-(entries - 1) // certify_every) + 1 if certify_every else 1
        batch = point.finite.shape

        def room(length: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
            return torch.full((length, *shape), -1, dtype=dtype, device=point.x.device)

        return cls(
            room(entries, *point.x.shape),
            room(entries, *point.losses.shape),
            room(entries, *point.losses.shape),
            room(certificates, *batch),
            room(certificates, *batch),
            room(entries, dtype=torch.int64),
            room(certificates, dtype=torch.int64),
            room(entries, *batch, dtype=torch.bool),
        )

    def record(self, entry: int, taken: int, point: Point, weighing: Weighing) -> None:
        self.x[entry], self.losses[entry], self.weights[entry], self.steps[entry] = (
            point.x,
            point.losses,
            weighing.weights,
            taken,
        )
        self.converged[entry] = True if weighing.converged is None else weighing.converged

    def certify(self, entry: int, taken: int, point: Point, box: Box, certify_every: int) -> Tensor:
        place = -(-entry // certify_every) if certify_every else 0
        jacobian = torch.where(point.finite[..., None, None], point.jacobian, 0.0)
        if box.bounds is None:
            found = certify(gramian(jacobian))
        else:
            found = certify(gramian(jacobian), rows=jacobian, at_bounds=box.sides(point.x))
        lower, upper = (torch.where(point.finite, bound, torch.nan) for bound in (found.lower, found.upper))
        self.lower[place], self.upper[place], self.certified[place] = lower, upper, taken
        return upper

    def trace(self, status: Tensor) -> Trace:
        entries, certificates = self.steps >= 0, self.certified >= 0
        return Trace(
            self.x[entries],
            self.losses[entries],
            self.weights[entries],
            self.lower[certificates],
            self.upper[certificates],
            self.steps[entries],
            self.certified[certificates],
            self.converged[entries],
            status,
        )
