"""Every convex program as its paper states it, in CVXPY, solved one by one by Clarabel: the oracle, open to constraints.

Programs are stated on the Gramian in units of its largest squared length, so that a solver's absolute tolerances mean the
same for gradients of any size. A failure raises SolverError; no other method is tried.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moo_mtl.errors import InputError, SolverError
from moo_mtl.solvers.backend import Constraints
from moo_mtl.solvers.normal_form import NormalForm

# Clarabel's tolerances: those asked for, and those below which an answer is refused.
ASKED = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
REDUCED = {"reduced_tol_gap_abs": 1e-7, "reduced_tol_gap_rel": 1e-7, "reduced_tol_feas": 1e-7}

Array = NDArray[np.float64]
Statement = Callable[[Any, Array, Array], tuple[Any, Any, list[Any]]]  # (cvxpy, G, datum) -> (variable, objective, constraints)


def min_norm(form: NormalForm, extra: Constraints | None = None) -> Tensor:
    """Minimise ``|J'w|^2`` over the simplex (Desideri 2012); weights ``[..., K]``."""

    def statement(cp: Any, G: Array, _: Array) -> tuple[Any, Any, list[Any]]:
        w = cp.Variable(len(G))
        return w, cp.Minimize(cp.sum_squares(_root(G) @ w)), [w >= 0, cp.sum(w) == 1]

    return _solve("min_norm", form, form.norms, statement, extra)


def dual_cone(form: NormalForm, bound: Tensor, extra: Constraints | None = None) -> Tensor:
    """Minimise ``|J'v|^2 / 2`` over v at least the bound (Lopez-Paz and Ranzato 2017, equation 11); weights ``[..., K]``."""

    def statement(cp: Any, G: Array, u: Array) -> tuple[Any, Any, list[Any]]:
        v = cp.Variable(len(G))
        return v, cp.Minimize(cp.sum_squares(_root(G) @ v) / 2), [v >= u]

    return _solve("dual_cone", form, bound, statement, extra)


def fair(form: NormalForm, alpha: float, extra: Constraints | None = None) -> Tensor:
    """Minimise ``|J'w|^2/2 - sum log w`` (alpha 1), or with ``w^(1-1/alpha)/(1-1/alpha)``; weights ``[..., K]``.

    Its stationarity is the equation of both papers, ``G w = w^(-1/alpha)``.
    """
    exponent = 1 - 1 / alpha

    def statement(cp: Any, G: Array, unit: Array) -> tuple[Any, Any, list[Any]]:
        w = cp.Variable(len(G))
        utility = cp.log(w) if alpha == 1 else cp.power(w, exponent) / exponent
        return w, cp.Minimize(cp.sum_squares(_root(G) @ w) / 2 - cp.sum(utility)), [w >= 0]

    # In units of c the solution is c^(alpha/(1+alpha)) times as long; users' constraints are on the raw weights.
    factor = form.unit ** (-alpha / (1 + alpha))
    return _solve("fairgrad", form, form.norms, statement, extra, factor)


def cagrad(form: NormalForm, c: float, extra: Constraints | None = None) -> Tensor:
    """Minimise ``g_w'g_0 + c |g_0| |g_w|`` over the simplex (Liu et al. 2021, equation 4); the simplex weights ``[..., K]``."""

    def statement(cp: Any, G: Array, _: Array) -> tuple[Any, Any, list[Any]]:
        w = cp.Variable(len(G))
        mean = np.full(len(G), 1 / len(G))
        radius = c * float(np.sqrt(max(mean @ G @ mean, 0.0)))
        return w, cp.Minimize((G @ mean) @ w + radius * cp.norm(_root(G) @ w)), [w >= 0, cp.sum(w) == 1]

    return _solve("cagrad", form, form.norms, statement, extra)


def conicgrad(form: NormalForm, c: float, extra: Constraints | None = None) -> tuple[Tensor, Tensor]:
    r"""Maximise ``min_k g_k'd - |d|^2 / 2`` over d within the angle arccos c of g_0.

    Returns:
        The multipliers of ``g_k'd >= level``, on the simplex, and the weights of d, ``[..., K]`` each.
    """

    def statement(cp: Any, G: Array, _: Array) -> tuple[Any, Any, list[Any]]:
        R = _root(G)
        w, level = cp.Variable(len(G)), cp.Variable()
        d, mean = R @ w, R.mean(axis=1)
        objective = cp.Maximize(level - cp.sum_squares(d) / 2)
        return w, objective, [R.T @ d >= level, c * float(np.linalg.norm(mean)) * cp.norm(d) <= mean @ d]

    multipliers = torch.zeros_like(form.norms)
    return multipliers, _solve("conicgrad", form, form.norms, statement, extra, multipliers=multipliers)


def _root(G: Array) -> Array:
    """R with ``R'R = G``, so that ``|R w|`` is the length of ``J'w``."""
    values, vectors = np.linalg.eigh(G)
    return np.asarray(np.sqrt(np.clip(values, 0, None))[:, None] * vectors.T)


def _constraints(cp: Any, name: str, extra: Constraints, variable: Any) -> list[Any]:
    """The user's own.

    Raises:
        InputError: ``extra`` is no function, or what it returns are no constraints.
    """
    expected = "expected a function of the CVXPY variable that returns a list of constraints, such as lambda w: [w <= 0.5]"
    if not callable(extra):
        raise InputError(f"{name}: extra_constraints is a {type(extra).__name__}, {expected}")
    found = extra(variable)
    if not isinstance(found, (list, tuple)) or not all(isinstance(one, (cp.Constraint, bool)) for one in found):
        raise InputError(f"{name}: extra_constraints returned {found!r:.80}, {expected}")
    return list(found)


def _solve(
    name: str,
    form: NormalForm,
    data: Tensor,
    statement: Statement,
    extra: Constraints | None,
    factor: Tensor | None = None,
    multipliers: Tensor | None = None,
) -> Tensor:
    """Solve member by member over the present tasks; the first constraint's multipliers are written into ``multipliers``.

    Raises:
        InputError: the user's own constraints are none.
        SolverError: Clarabel reports anything but an optimum.
    """
    import cvxpy as cp

    weights = torch.zeros(data.shape, dtype=torch.float64)
    for index, G, present, datum in _members(form, data):
        variable, objective, constraints = statement(cp, G, datum)
        scale = 1.0 if factor is None else float(factor.reshape(-1)[index])
        if extra is not None:
            constraints = constraints + _constraints(cp, name, extra, variable if factor is None else scale * variable)
        problem = cp.Problem(objective, constraints)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # "inaccurate" here means 1e-7: REDUCED says so
                problem.solve(solver=cp.CLARABEL, **ASKED, **REDUCED)  # type: ignore[no-untyped-call]
        except cp.error.SolverError as error:
            raise SolverError(f"{name}: Clarabel failed on batch member {index}: {error}") from error
        if variable.value is None or problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
            raise SolverError(
                f"{name}: Clarabel reports {problem.status!r} on batch member {index}; "
                "check that the extra constraints leave a feasible point"
            )
        weights.reshape(-1, weights.shape[-1])[index, present] = scale * torch.as_tensor(variable.value)
        if multipliers is not None:
            multipliers.view(-1, weights.shape[-1])[index, present.to(multipliers.device)] = torch.as_tensor(
                constraints[0].dual_value, device=multipliers.device
            )
    return weights.to(form.norms.device)


def _members(form: NormalForm, data: Tensor) -> Iterator[tuple[int, Array, Tensor, Array]]:
    """Index, Gramian and datum of every member, cut to its present tasks; those without any, or not finite, are passed over."""
    K = data.shape[-1]
    gramians, masks = form.gramian.reshape(-1, K, K).cpu(), form.present.reshape(-1, K).cpu()
    for index, (G, present, datum) in enumerate(zip(gramians, masks, data.reshape(-1, K).cpu(), strict=True)):
        if bool(present.any()) and bool(form.finite.reshape(-1)[index]):
            yield index, G[present][:, present].numpy(), present, datum[present].numpy()
