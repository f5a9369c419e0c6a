"""One problem alone on the CPU: the same programs on Python floats and NumPy, where a few torch calls would cost more.

Every function returns ``None`` where its short method does not apply (a non-finite entry, a zero gradient, a dependent set of
gradients on which pivoting goes round); the caller then takes the general path. No answer is returned without its proof.
"""

from __future__ import annotations

from math import isfinite, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moo_mtl.solvers.normal_form import TOLERANCE, check_gramian
from moo_mtl.solvers.solution import Solution

Array = NDArray[np.float64]
SMALL = 6  # tasks up to which Python floats are faster than NumPy
EPS = 2.0**-52
SWEEPS = 8  # of pivoting before the general path takes over
NEWTON = 40


def applies(gramian: Tensor, present: Tensor | None, backend: str, extra: object) -> bool:
    """Whether a problem is one alone, on the CPU, in float64, with every task there and no CVXPY."""
    return (
        present is None
        and backend == "exact"
        and extra is None
        and gramian.ndim == 2
        and gramian.dtype is torch.float64
        and gramian.device.type == "cpu"
    )


def min_norm(gramian: Tensor) -> Solution | None:
    """As ``solvers.min_norm``."""
    check_gramian(gramian)
    if len(gramian) == 2:
        return _min_norm_two(gramian)
    cosines = _cosines(gramian)
    if cosines is None:
        return None
    G, C, norms = cosines
    t = norms.min() / norms
    H = C + t[:, None] * t
    H.reshape(-1)[:: len(t) + 1] += 2 * len(t) * EPS
    x = _nonnegative_qp(H, t, None)
    if x is None:
        return None
    w = x * t
    w /= w.sum()
    unit = norms.max() ** 2
    q = (G / unit) @ w  # the unit first: products of lengths near 1e150 would overflow
    value = float(q @ w)
    gap = max(value - float(q.min()), 0.0)
    if not gap <= TOLERANCE * float((norms / sqrt(unit)) @ (norms / sqrt(unit))) / len(w):
        return None
    return _solution(w, max(value, 0.0) * unit, gap * unit)


def dualproj(gramian: Tensor, preference: Tensor | None) -> Solution | None:
    """As ``solvers.dualproj``."""
    start = _start(gramian, preference)
    if start is None:
        return None
    C, norms, p, unit = start
    lengths = norms / sqrt(unit)
    u = lengths * p
    slope = C @ u
    if float(slope.min()) >= 0:
        return _solution(p, float(u @ slope) / 2 * unit, 0.0)
    z = _nonnegative_qp(C, -slope, slope < 0)
    if z is None:
        return None
    after = slope + C @ z
    gap = _gap(z, after, u, slope)
    if not gap <= TOLERANCE * len(u) * float(u.max()) ** 2:
        return None
    return _solution(p + z / lengths, float((u + z) @ after) / 2 * unit, gap * unit)


def upgrad(gramian: Tensor, preference: Tensor | None) -> Solution | None:
    """As ``solvers.upgrad``."""
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
    if K <= SMALL:
        matrix, rows, start_from = C.tolist(), (-C).tolist(), conflict.tolist()
        for k in hurt.tolist():
            z = _pivot_floats(matrix, rows[k], start_from[k])
            if z is None:
                return None
            Z[k] = z
    elif hurt.size:
        stack = _pivot_stack(C, -C[hurt], conflict[hurt])
        if stack is None:
            return None
        Z[hurt] = stack
    after = C + Z @ C
    apart = (Z * np.abs(after)).sum(axis=1) + np.maximum(-after.min(axis=1), 0.0)
    if not float(apart.max()) <= TOLERANCE * K:
        return None
    total = own + own @ Z
    value = max(float(total @ (C @ total)), 0.0)
    return _solution(total / lengths, value * unit, float(apart @ (own * own)) * unit)


def nash(gramian: Tensor) -> Solution | None:
    """As ``solvers.nash``: Newton on the cosines, damped while the decrement is large."""
    check_gramian(gramian)
    cosines = _cosines(gramian)
    if cosines is None:
        return None
    _, C, norms = cosines
    solved = _nash_floats(C.tolist()) if len(C) <= SMALL else _nash_arrays(C)
    if solved is None:
        return None
    v, residual = solved
    terms = (C * v).sum(axis=1) * v
    return _solution(v / norms, float(terms.sum()), residual)


def _min_norm_two(gramian: Tensor) -> Solution | None:
    (a, b), (_, c) = gramian.tolist()
    left, right = c - b, a - b
    left, right = (left if left > 0 else 0.0), (right if right > 0 else 0.0)
    total = left + right
    if not (isfinite(total) and isfinite(a) and isfinite(c)):
        return None
    w = left / total if total > 0 else 0.5
    v = 1.0 - w if left > right else (right / total if total > 0 else 0.5)
    q, r = a * w + b * v, b * w + c * v
    value = w * q + v * r
    gap = value - (q if q < r else r)
    gap = gap if gap > 0 else 0.0
    if gap > TOLERANCE * (a + c) / 2:
        return None
    return _solution(np.array((w, v)), value if value > 0 else 0.0, gap)


def _cosines(gramian: Tensor) -> tuple[Array, Array, Array] | None:
    """The Gramian, its cosines and its lengths, or ``None`` if an entry is not finite or a length is zero."""
    G: Array = gramian.detach().numpy()
    squares = G.diagonal()
    if not (squares.min() > 1e-290 and isfinite(float(G.max())) and isfinite(float(G.min()))):
        return None
    norms = np.sqrt(squares)
    C = G / norms / norms[:, None]
    return G, C, norms


def _start(gramian: Tensor, preference: Tensor | None) -> tuple[Array, Array, Array, float] | None:
    check_gramian(gramian)
    cosines = _cosines(gramian)
    if cosines is None:
        return None
    _, C, norms = cosines
    if preference is None:
        p = np.full(len(C), 1 / len(C))
    elif preference.shape != norms.shape:
        return None
    else:
        p = preference.detach().cpu().double().numpy()
        if not (p.min() >= 0 and isfinite(float(p.max()))):
            return None
    return C, norms, p, float(norms.max()) ** 2


def _gap(z: Array, after: Array, u: Array, before: Array) -> float:
    conflict = max(-float(after.min()), 0.0)
    return max(float(z @ np.abs(after)), 0.0) + conflict * sqrt(max(float(u @ before), 0.0))


def _nonnegative_qp(H: Array, b: Array, start: NDArray[np.bool_] | None) -> Array | None:
    """Block pivoting on one problem; ``None`` if it goes round or a support is dependent."""
    K = len(b)
    if K <= SMALL:
        short = _pivot_floats(H.tolist(), b.tolist(), [True] * K if start is None else start.tolist())
        return None if short is None else np.array(short)
    free = np.ones(K, dtype=bool) if start is None else start
    fewest, patience = K + 1, 3
    slack = 1e-14 * float(np.abs(b).max())
    for _ in range(SWEEPS):
        index = free.nonzero()[0]
        x = np.zeros(K)
        if index.size:
            x[index] = _solve(H[index][:, index], b[index])
        slope = H @ x - b
        scale = slack * (1 + float(np.abs(x).max()))
        wrong = np.where(free, x < -scale, slope < -scale)
        count = int(np.count_nonzero(wrong))
        if count == 0:
            return np.maximum(x, 0.0)
        if count < fewest:
            fewest, patience = count, 3
        else:
            patience -= 1
        if patience >= 0:
            free = free ^ wrong
        else:
            free = free.copy()
            free[wrong.nonzero()[0][-1]] ^= True
    return None


def _solve(M: Array, right: Array) -> Array:
    """NaN, which no sign test and no proof accepts, where M is exactly singular."""
    try:
        return np.asarray(np.linalg.solve(M, right), dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.full_like(right, np.nan)


def _pivot_stack(H: Array, B: Array, free: NDArray[np.bool_]) -> Array | None:
    """Block pivoting on several right-hand sides at once, ``[M, K]``."""
    M, K = B.shape
    fewest, patience = np.full(M, K + 1), np.full(M, 3)
    place = np.arange(1, K + 1)
    for _ in range(2 * SWEEPS):
        matrix = H * (free[:, :, None] & free[:, None, :])
        matrix[:, place - 1, place - 1] = np.where(free, H.diagonal(), 1.0)
        X = _solve(matrix, (B * free)[:, :, None])[:, :, 0]
        slack = 1e-14 * (1 + np.abs(X).max(axis=1, keepdims=True))
        wrong = np.where(free, X, X @ H - B) < -slack
        count = wrong.sum(axis=1)
        if not count.any():
            return np.asarray(np.maximum(X, 0.0), dtype=np.float64)
        better = count < fewest
        patience = np.where(better, 3, patience - 1)
        fewest = np.where(better, count, fewest)
        last = place == np.where(wrong, place, 0).max(axis=1, keepdims=True)
        free = free ^ (wrong & ((patience >= 0)[:, None] | last))
    return None


def _pivot_floats(H: list[list[float]], b: list[float], free: list[bool]) -> list[float] | None:
    K = len(b)
    every = range(K)
    fewest, patience = K + 1, 3
    slack = 1e-14 * max(max(b), -min(b))
    for _ in range(SWEEPS):
        index = [k for k in every if free[k]]
        y = _solve_floats([[H[i][j] for j in index] for i in index], [b[i] for i in index])
        if y is None:
            return None
        x = [0.0] * K
        for i, value in zip(index, y, strict=True):
            x[i] = value
        scale = slack * (1 + max(max(x), -min(x)))
        wrong = []
        for k in every:
            if free[k]:
                if x[k] < -scale:
                    wrong.append(k)
            else:
                row = H[k]
                if sum([row[i] * x[i] for i in index]) - b[k] < -scale:
                    wrong.append(k)
        if not wrong:
            return [value if value > 0 else 0.0 for value in x]
        if len(wrong) < fewest:
            fewest, patience = len(wrong), 3
        else:
            patience -= 1
        for k in wrong if patience >= 0 else wrong[-1:]:
            free[k] = not free[k]
    return None


def _solve_floats(M: list[list[float]], right: list[float]) -> list[float] | None:
    """Gaussian elimination of a positive definite system, in place; ``None`` where a pivot is lost to rounding."""
    n = len(right)
    for k in range(n):
        pivot_row = M[k]
        pivot = pivot_row[k]
        if not pivot > 0:
            return None
        for i in range(k + 1, n):
            row = M[i]
            factor = row[k] / pivot
            if factor:
                for j in range(k + 1, n):
                    row[j] -= factor * pivot_row[j]
                right[i] -= factor * right[k]
    for k in range(n - 1, -1, -1):
        row = M[k]
        total = right[k]
        for j in range(k + 1, n):
            total -= row[j] * right[j]
        right[k] = total / row[k]
    return right


def _nash_floats(C: list[list[float]]) -> tuple[Array, float] | None:
    v = [1 / sqrt(sum([c for c in row if c > 0])) for row in C]
    every = range(len(v))
    for _ in range(NEWTON):
        downhill = [1 - v[i] * sum([c * x for c, x in zip(C[i], v, strict=True)]) for i in every]
        residual = max(map(abs, downhill))
        if residual < 1e-14:
            break
        M = [[C[i][j] * v[i] * v[j] for j in every] for i in every]
        for i in every:
            M[i][i] += 1.0
        y = _solve_floats(M, downhill[:])
        if y is None:
            return None
        decrement = sum([a * b for a, b in zip(y, downhill, strict=True)])
        length = 1.0 if decrement <= 1 / 16 else 1 / (1 + sqrt(decrement))
        v = [x * (1 + length * z) for x, z in zip(v, y, strict=True)]
        if decrement < 1e-18:
            break
    else:
        return None
    residual = max([abs(1 - v[i] * sum([c * x for c, x in zip(C[i], v, strict=True)])) for i in every])
    return (np.array(v), residual) if residual < 1e-10 else None


def _nash_arrays(C: Array) -> tuple[Array, float] | None:
    v = 1 / np.sqrt(np.maximum(C, 0).sum(axis=1))
    unit = np.eye(len(v))
    for _ in range(NEWTON):
        M = C * v * v[:, None]
        downhill = 1 - M.sum(axis=1)
        M += unit
        y = _solve(M, downhill)
        decrement = float(y @ downhill)
        v = v * (1 + (1.0 if decrement <= 1 / 16 else 1 / (1 + sqrt(decrement))) * y)
        if decrement < 1e-18:
            break
    else:
        return None
    residual = float(np.abs(1 - v * (C @ v)).max())
    return (v, residual) if residual < 1e-10 else None


def _solution(weights: Array, value: float, gap: float) -> Solution:
    """A converged Solution: one transfer of numbers, three views."""
    K = len(weights)
    numbers = np.empty(K + 2)
    numbers[:K] = weights
    numbers[K], numbers[K + 1] = value, gap
    whole = torch.from_numpy(numbers)
    return Solution(whole[:K], whole[K], whole[K + 1], torch.from_numpy(np.array(True)))
