"""Block pivoting and small systems for one problem: Python floats up to ``SMALL`` tasks, NumPy beyond.

The steps are those of ``nonnegative_qp``; there is no interior point here: what goes round is left to the general path.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
EPS = 2.0**-52
SMALL = 6  # tasks up to which Python floats are faster than NumPy
SWEEPS = 8  # of pivoting before the general path takes over


def nonnegative_qp(H: Array, b: Array, start: NDArray[np.bool_] | None) -> Array | None:
    """Block pivoting on one problem; ``None`` if it goes round or a support is dependent."""
    K = len(b)
    if K <= SMALL:
        short = pivot_floats(H.tolist(), b.tolist(), [True] * K if start is None else start.tolist())
        return None if short is None else np.array(short)
    free = np.ones(K, dtype=bool) if start is None else start
    fewest, patience = K + 1, 3
    slack = 1e-14 * float(np.abs(b).max())
    for _ in range(SWEEPS):
        index = free.nonzero()[0]
        x = np.zeros(K)
        if index.size:
            x[index] = solve(H[index][:, index], b[index])
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


def solve(M: Array, right: Array) -> Array:
    """NaN, which no sign test and no proof accepts, where M is exactly singular."""
    try:
        return np.asarray(np.linalg.solve(M, right), dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.full_like(right, np.nan)


def pivot_stack(H: Array, B: Array, free: NDArray[np.bool_]) -> Array | None:
    """Block pivoting on several right-hand sides at once, ``[M, K]``."""
    M, K = B.shape
    fewest, patience = np.full(M, K + 1), np.full(M, 3)
    place = np.arange(1, K + 1)
    for _ in range(2 * SWEEPS):
        matrix = H * (free[:, :, None] & free[:, None, :])
        matrix[:, place - 1, place - 1] = np.where(free, H.diagonal(), 1.0)
        X = solve(matrix, (B * free)[:, :, None])[:, :, 0]
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


def pivot_floats(H: list[list[float]], b: list[float], free: list[bool]) -> list[float] | None:
    K = len(b)
    every = range(K)
    fewest, patience = K + 1, 3
    slack = 1e-14 * max(max(b), -min(b))
    for _ in range(SWEEPS):
        index = [k for k in every if free[k]]
        y = solve_floats([[H[i][j] for j in index] for i in index], [b[i] for i in index])
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


def solve_floats(M: list[list[float]], right: list[float]) -> list[float] | None:
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
