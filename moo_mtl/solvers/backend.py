"""Which program answers: the exact kernels, or CVXPY with the program as its paper states it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor

from moo_mtl.errors import InputError, unknown
from moo_mtl.solvers.solution import Solution

ACCURACY = 1e-8  # of Clarabel's answers, relative: what takes the place of rounding in the verdict on them

Backend = Literal["exact", "cvxpy"]
Constraints = Callable[[Any], list[Any]]  # CVXPY variable -> CVXPY constraints


def wants_cvxpy(backend: str, extra_constraints: Constraints | None) -> bool:
    """Whether CVXPY is asked for.

    Raises:
        InputError: the backend is unknown, or constraints come without ``backend="cvxpy"``.
    """
    if backend not in ("exact", "cvxpy"):
        raise unknown("backend", str(backend), ["exact", "cvxpy"])
    if extra_constraints is not None and backend == "exact":
        raise InputError('extra_constraints: the exact kernels know no constraints but their own; pass backend="cvxpy"')
    return backend == "cvxpy"


def plain(present: Tensor | None, backend: str, extra_constraints: object) -> bool:
    """Whether a problem is as the short methods know it: every task there, for the exact kernels, no constraints added."""
    return present is None and backend == "exact" and extra_constraints is None


def as_judged(solution: Solution, extra_constraints: Constraints | None) -> Solution:
    """Under constraints of the user's own, the gap still is that of the program without them, and the verdict is Clarabel's.

    A member Clarabel could not solve has raised SolverError before; only members that are not finite remain unsolved.
    """
    if extra_constraints is None:
        return solution
    return solution._replace(converged=solution.weights.isfinite().all(dim=-1))


def closed_form_only(name: str, backend: str, extra_constraints: Constraints | None) -> None:
    """Refuse CVXPY for a rule whose weights are a closed form, not a program.

    Raises:
        InputError: ``backend`` is not ``"exact"``.
    """
    if wants_cvxpy(backend, extra_constraints):
        raise InputError(f'{name}: its weights are a closed form of the Gramian, with no convex program; use backend="exact"')
