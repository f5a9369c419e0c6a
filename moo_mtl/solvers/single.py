"""One problem alone on the CPU: the same programs on Python floats and NumPy, where a few torch calls would cost more.

Every function returns ``None`` where its short method does not apply (a non-finite entry, a zero gradient, a dependent set of
gradients on which pivoting goes round); the caller then takes the general path. No answer is returned without its proof.
"""

from __future__ import annotations

from math import inf, isfinite, sqrt

import numpy as np
import torch
from torch import Tensor

from moo_mtl.solvers import single_floats
from moo_mtl.solvers.backend import plain
from moo_mtl.solvers.inner_products import SLACK
from moo_mtl.solvers.normal_form import TOLERANCE, check_gramian, one_per_task
from moo_mtl.solvers.single_floats import solution
from moo_mtl.solvers.single_qp import EPS, SMALL, Array, nonnegative_qp, pivot_stack, solve
from moo_mtl.solvers.solution import Solution

NEWTON = 40
ENTRIES = 2**24  # of the programs that UPGrad solves as one


def applies(gramian: Tensor, present: Tensor | None, backend: str, extra: object) -> bool:
    """Whether a problem is one alone, on the CPU, in float64, with every task there and no CVXPY."""
    return (
        plain(present, backend, extra) and gramian.ndim == 2 and gramian.dtype is torch.float64 and gramian.device.type == "cpu"
    )


def min_norm(gramian: Tensor) -> Solution | None:
    """As ``solvers.min_norm``."""
    check_gramian(gramian)
    if len(gramian) == 2:
        return single_floats.min_norm_two(gramian)
    if len(gramian) <= SMALL:
        return single_floats.min_norm(gramian.tolist())
    cosines = cosines_of(gramian)
    if cosines is None:
        return None
    G, C, norms = cosines
    w = _simplex_weights(C, norms)
    if w is None:
        return None
    unit = norms.max() ** 2
    q = (G / unit) @ w  # the unit first: products of lengths near 1e150 would overflow
    value = float(q @ w)
    gap = max(value - float(q.min()), 0.0)
    if not gap <= TOLERANCE * float((norms / sqrt(unit)) @ (norms / sqrt(unit))) / len(w):
        return None
    return solution(w, max(value, 0.0) * unit, gap * unit)


def dualproj(gramian: Tensor, preference: Tensor | None) -> Solution | None:
    """As ``solvers.dualproj``."""
    if preference is None and gramian.shape[-1] <= SMALL:
        check_gramian(gramian)
        return single_floats.dualproj(gramian.tolist())
    start = _start(gramian, preference)
    if start is None:
        return None
    C, norms, p, unit = start
    lengths = norms / sqrt(unit)
    u = lengths * p
    slope = C @ u
    if float(slope.min()) >= 0:
        return solution(p, float(u @ slope) / 2 * unit, 0.0)
    z = nonnegative_qp(C, -slope, slope < 0)
    if z is None:
        return None
    after = slope + C @ z
    gap = _gap(z, after, u, slope)
    if not gap <= TOLERANCE * len(u) * float(u.max()) ** 2:
        return None
    return solution(p + z / lengths, float((u + z) @ after) / 2 * unit, gap * unit)


def upgrad(gramian: Tensor, preference: Tensor | None) -> Solution | None:
    """As ``solvers.upgrad``."""
    if preference is None and gramian.shape[-1] <= SMALL:
        check_gramian(gramian)
        return single_floats.upgrad(gramian.tolist())
    start = _start(gramian, preference)
    if start is None:
        return None
    C, norms, p, unit = start
    lengths = norms / sqrt(unit)
    K = len(p)
    own = lengths * p
    conflict = C < 0
    Z = np.zeros((K, K))  # one projection a row, in units of that gradient's length
    hurt = np.flatnonzero(conflict.any(axis=1))
    if hurt.size:
        for some in np.array_split(hurt, 1 + hurt.size * K**2 // ENTRIES):
            stack = pivot_stack(C, -C[some], conflict[some])
            if stack is None:
                return None
            Z[some] = stack
    after = C + Z @ C
    apart = (Z * np.abs(after)).sum(axis=1) + np.maximum(-after.min(axis=1), 0.0)
    if not float(apart.max()) <= TOLERANCE * K:
        return None
    total = own + own @ Z
    value = max(float(total @ (C @ total)), 0.0)
    return solution(total / lengths, value * unit, float(apart @ (own * own)) * unit)


def nash(gramian: Tensor) -> Solution | None:
    """As ``solvers.nash``: Newton on the cosines, damped while the decrement is large."""
    check_gramian(gramian)
    cosines = cosines_of(gramian)
    if cosines is None:
        return None
    _, C, norms = cosines
    solved = single_floats.nash(C.tolist()) if len(C) <= SMALL else _nash_arrays(C)
    if solved is None:
        return None
    v, residual = solved
    terms = (C * v).sum(axis=1) * v
    return solution(v / norms, float(terms.sum()), residual)


def _simplex_weights(C: Array, norms: Array) -> Array | None:
    """Min-norm weights, up to their sum: rows of unit length, and ``t t'`` in place of the constraint on the sum."""
    t = norms.min() / norms
    H = C + t[:, None] * t
    H.reshape(-1)[:: len(t) + 1] += 2 * len(t) * EPS
    x = nonnegative_qp(H, t, None)
    if x is None:
        return None
    w = x * t
    return np.asarray(w / w.sum(), dtype=np.float64)


def cosines_of(gramian: Tensor) -> tuple[Array, Array, Array] | None:
    """The Gramian, its cosines and its lengths; ``None`` if an entry is not finite or no inner product, or a length is zero."""
    G: Array = gramian.detach().numpy()
    diagonal = G.diagonal()
    squares = diagonal.tolist()
    if not (min(squares) > 1e-290 and max(squares) < inf and G.tobytes() == G.T.tobytes()):
        return None
    norms = np.sqrt(diagonal)
    C = G / norms / norms[:, None]
    return (G, C, norms) if C.max() <= 1 + SLACK and C.min() >= -1 - SLACK else None


def _start(gramian: Tensor, preference: Tensor | None) -> tuple[Array, Array, Array, float] | None:
    check_gramian(gramian)
    cosines = cosines_of(gramian)
    if cosines is None:
        return None
    _, C, norms = cosines
    if preference is None:
        p = np.full(len(C), 1 / len(C))
    else:
        p = one_per_task("preference", preference, gramian.shape[:1]).cpu().double().numpy()
        if not (p.min() >= 0 and isfinite(float(p.max()))):
            return None
    return C, norms, p, float(norms.max()) ** 2


def _gap(z: Array, after: Array, u: Array, before: Array) -> float:
    conflict = max(-float(after.min()), 0.0)
    return max(float(z @ np.abs(after)), 0.0) + conflict * sqrt(max(float(u @ before), 0.0))


def _nash_arrays(C: Array) -> tuple[Array, float] | None:
    v = 1 / np.sqrt(np.maximum(C, 0).sum(axis=1))
    unit = np.eye(len(v))
    for _ in range(NEWTON):
        M = C * v * v[:, None]
        downhill = 1 - M.sum(axis=1)
        M += unit
        y = solve(M, downhill)
        decrement = float(y @ downhill)
        v = v * (1 + (1.0 if decrement <= 1 / 16 else 1 / (1 + sqrt(decrement))) * y)
        if decrement < 1e-18:
            break
    else:
        return None
    residual = float(np.abs(1 - v * (C @ v)).max())
    return (v, residual) if residual < 1e-10 else None
