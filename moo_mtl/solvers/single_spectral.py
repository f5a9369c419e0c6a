"""The closed forms of one problem alone on NumPy: Aligned-MTL, ConFIG and IMTL-G. ``None`` as in ``single``.

Equal projections that the Gramian does not decide, because it is rounded, are given as not converged: the general path would
find no others. Where there are none at all, as for opposite gradients, it says what is done instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from moo_mtl.solvers import single_floats
from moo_mtl.solvers.normal_form import TOLERANCE, check_gramian
from moo_mtl.solvers.single import cosines_of
from moo_mtl.solvers.single_floats import solution
from moo_mtl.solvers.single_qp import EPS, SMALL, Array
from moo_mtl.solvers.solution import Solution

UNDECIDED = 1e-3  # relative differences of the projections, above which there are no equal ones


@np.errstate(all="ignore")  # what overflows has no proof and is left to the general path
def aligned(gramian: Tensor, scale: str) -> Solution | None:
    """As ``solvers.aligned`` with equal preferences."""
    check_gramian(gramian)
    cosines = cosines_of(gramian)
    if cosines is None:
        return None
    G, _, norms = cosines
    unit = float(norms.max()) ** 2
    G, K = G / unit, len(norms)
    spectrum = _spectrum(G)
    if spectrum is None:
        return None
    values, V = spectrum
    reference = values.mean() if scale == "rmse" else values[0 if scale == "min" else (len(values) - 1) // 2]
    inside = V.sum(axis=0) / K
    root = np.sqrt(reference / values)
    w = V @ (root * inside)
    Gw = G @ w
    gap = float(np.abs(V @ (root * (V.T @ Gw) - reference * inside)).max())
    return solution(w, max(float(w @ Gw), 0.0) * unit, gap * unit) if gap <= 1e4 * _tolerance(K) / K else None


@np.errstate(all="ignore")  # what overflows has no proof and is left to the general path
def config(gramian: Tensor) -> Solution | None:
    """As ``solvers.config`` with equal preferences."""
    if len(gramian) <= SMALL and (short := single_floats.config(_checked(gramian))):
        return short
    found = _equal_projections(gramian)
    if found is None:
        return None
    G, C, norms, a, gap, proved = found
    along = float(a.sum())
    if not along > 0:
        return None
    w = float(norms @ (C @ a)) / along * a / norms
    return solution(w, _square_length(G, norms, w), gap, proved)


@np.errstate(all="ignore")  # what overflows has no proof and is left to the general path
def imtl_g(gramian: Tensor) -> Solution | None:
    """As ``solvers.imtl_g``."""
    if len(gramian) <= SMALL and (short := single_floats.imtl_g(_checked(gramian))):
        return short
    found = _equal_projections(gramian)
    if found is None:
        return None
    G, _, norms, a, gap, proved = found
    v = a * (norms.min() / norms)
    total = float(v.sum())
    if not abs(total) > len(v) * EPS * float(np.abs(v).sum()):
        return None
    w = v / total
    return solution(w, _square_length(G, norms, w), gap, proved)


def _checked(gramian: Tensor) -> list[list[float]]:
    check_gramian(gramian)
    rows: list[list[float]] = gramian.tolist()
    return rows


def _equal_projections(gramian: Tensor) -> tuple[Array, Array, Array, Array, float, bool] | None:
    """``a = pinv(C) 1``, its residual and whether that is rounding, behind the Gramian, its cosines and lengths."""
    check_gramian(gramian)
    cosines = cosines_of(gramian)
    if cosines is None:
        return None
    G, C, norms = cosines
    spectrum = _spectrum(C)
    if spectrum is None:
        return None
    values, V = spectrum
    a = V @ (V.sum(axis=0) / values)
    gap = float(np.abs(C @ a - 1).max())
    return (G, C, norms, a, gap, gap <= 1e4 * _tolerance(len(a))) if gap <= UNDECIDED else None


def _spectrum(matrix: Array) -> tuple[Array, NDArray[np.float64]] | None:
    """The eigenvalues above rounding, ascending, and their eigenvectors."""
    try:
        values, vectors = np.linalg.eigh(matrix)
    except np.linalg.LinAlgError:
        return None
    kept = values > len(values) * EPS * values[-1]
    return values[kept], vectors[:, kept]


def _tolerance(n_tasks: int) -> float:
    return max(TOLERANCE, 8 * n_tasks * EPS)


def _square_length(G: Array, norms: Array, w: Array) -> float:
    unit = float(norms.max()) ** 2
    return max(float(w @ ((G / unit) @ w)), 0.0) * unit
