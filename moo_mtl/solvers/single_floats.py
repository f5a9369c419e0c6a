"""One small problem alone, on Python floats: up to six tasks a list is faster than an array.

The mathematics is that of the batched solvers. ``None`` means that the short method does not apply; see ``single``.
"""

from __future__ import annotations

from math import isfinite, sqrt

import numpy as np
import torch
from torch import Tensor

from moo_mtl.solvers.inner_products import SLACK, WITHIN
from moo_mtl.solvers.normal_form import TOLERANCE
from moo_mtl.solvers.single_qp import EPS, Array, pivot_floats, solve_floats
from moo_mtl.solvers.solution import Solution

NEWTON = 40  # steps for Nash
INDEPENDENT = 1e-6  # pivots of cosines, above which no eigenvalue is near rounding


def min_norm_two(gramian: Tensor) -> Solution | None:
    (a, b), (mirrored, c) = gramian.tolist()
    if b != mirrored or b * b > WITHIN * (a * c):
        return None
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
    return solution(np.array((w, v)), value if value > 0 else 0.0, gap)


def min_norm(G: list[list[float]]) -> Solution | None:
    """``single.min_norm`` on lists of floats, step by step."""
    rows = _unit_rows(G)
    if rows is None:
        return None
    norms, H = rows
    K, shortest = len(G), min(norms)
    t = [shortest / n for n in norms]
    for i, row in enumerate(H):
        for j in range(i):
            row[j] = H[j][i] = row[j] + t[i] * t[j]
        row[i] += t[i] * t[i] + 2 * K * EPS
    x = pivot_floats(H, t, [True] * K)
    if x is None:
        return None
    w = [a * b for a, b in zip(x, t, strict=True)]
    total = sum(w)
    w = [a / total for a in w]
    q = [sum([g * a for g, a in zip(row, w, strict=True)]) for row in G]
    value = sum([a * b for a, b in zip(q, w, strict=True)])
    gap = max(value - min(q), 0.0)
    if not gap <= TOLERANCE * sum([n * n for n in norms]) / K:
        return None
    return solution(np.array(w), max(value, 0.0), gap)


def dualproj(G: list[list[float]]) -> Solution | None:
    """Equal preferences, on lists, in units of the largest length."""
    rows = _unit_rows(G)
    if rows is None:
        return None
    norms, C = rows
    K, unit = len(C), max(norms)
    u = [n / unit / K for n in norms]
    slope = [_dot(row, u) for row in C]
    least = min(slope)
    if least >= 0:
        return solution(np.full(K, 1 / K), _dot(u, slope) / 2 * unit * unit, 0.0)
    z = pivot_floats(C, [-one for one in slope], [one < 0 for one in slope])
    if z is None:
        return None
    after = [one + _dot(row, z) for one, row in zip(slope, C, strict=True)]
    conflict = max(-min(after), 0.0) * sqrt(max(_dot(u, slope), 0.0))
    gap = sum([a * abs(b) for a, b in zip(z, after, strict=True)]) + conflict
    if not gap <= TOLERANCE * K * max(u) ** 2:
        return None
    weights = [1 / K + a / n * unit for a, n in zip(z, norms, strict=True)]
    value = sum([(a + b) * c for a, b, c in zip(u, z, after, strict=True)]) / 2
    return solution(np.array(weights), max(value, 0.0) * unit * unit, gap * unit * unit)


def upgrad(G: list[list[float]]) -> Solution | None:
    """Equal preferences, on lists: one small program for every task that is in conflict."""
    rows = _unit_rows(G)
    if rows is None:
        return None
    norms, C = rows
    K, unit = len(C), max(norms)
    total, gap = [n / unit / K for n in norms], 0.0
    own = total[:]
    for k, row in enumerate(C):
        if min(row) >= 0:
            continue
        z = pivot_floats(C, [-c for c in row], [c < 0 for c in row])
        if z is None:
            return None
        after = [c + _dot(other, z) for c, other in zip(row, C, strict=True)]
        apart = sum([a * abs(b) for a, b in zip(z, after, strict=True)]) + max(-min(after), 0.0)
        if not apart <= TOLERANCE * K:
            return None
        gap += apart * own[k] * own[k]
        total = [a + own[k] * b for a, b in zip(total, z, strict=True)]
    value = max(sum([a * _dot(row, total) for a, row in zip(total, C, strict=True)]), 0.0)
    weights = [a / n * unit for a, n in zip(total, norms, strict=True)]
    return solution(np.array(weights), value * unit * unit, gap * unit * unit)


def nash(C: list[list[float]]) -> tuple[Array, float] | None:
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
        y = solve_floats(M, downhill[:])
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


def config(G: list[list[float]]) -> Solution | None:
    """Equal preferences, on lists."""
    found = _equal_projections(G)
    if found is None:
        return None
    norms, C, a, gap = found
    along = sum(a)
    if not along > 0:
        return None
    factor = sum([n * _dot(row, a) for n, row in zip(norms, C, strict=True)]) / along
    return _measured(G, [factor * x / n for x, n in zip(a, norms, strict=True)], gap)


def imtl_g(G: list[list[float]]) -> Solution | None:
    """On lists."""
    found = _equal_projections(G)
    if found is None:
        return None
    norms, _, a, gap = found
    shortest = min(norms)
    v = [x * (shortest / n) for x, n in zip(a, norms, strict=True)]
    total = sum(v)
    if not abs(total) > len(v) * EPS * sum(map(abs, v)):
        return None
    return _measured(G, [x / total for x in v], gap)


def _equal_projections(G: list[list[float]]) -> tuple[list[float], list[list[float]], list[float], float] | None:
    """Lengths, cosines C, ``pinv(C) 1`` and its residual; of two not opposite, or clearly independent gradients."""
    rows = _unit_rows(G)
    if rows is None:
        return None
    norms, C = rows
    if len(C) == 2:
        both = 1 + C[0][1]
        return (norms, C, [1 / both] * 2, 0.0) if both > INDEPENDENT else None
    M = [row[:] for row in C]
    a = solve_floats(M, [1.0] * len(C))
    if a is None or min([row[k] for k, row in enumerate(M)]) < INDEPENDENT:
        return None
    return norms, C, a, max([abs(_dot(row, a) - 1) for row in C])


def _measured(G: list[list[float]], w: list[float], gap: float) -> Solution | None:
    value = sum([x * _dot(row, w) for x, row in zip(w, G, strict=True)])
    return solution(np.array(w), max(value, 0.0), gap) if isfinite(value) and gap <= TOLERANCE else None


def _unit_rows(G: list[list[float]]) -> tuple[list[float], list[list[float]]] | None:
    """Lengths and cosines of a list of lists; ``None`` where a length is zero, or an entry not finite or no inner product."""
    squares = [row[k] for k, row in enumerate(G)]
    if not (min(squares) > 1e-290 and max(squares) < 1e290):
        return None
    norms = [sqrt(square) for square in squares]
    C = [[1.0] * len(G) for _ in G]
    for i, row in enumerate(G):
        for j in range(i):
            c = row[j] / norms[i] / norms[j]
            if row[j] != G[j][i] or not -1 - SLACK <= c <= 1 + SLACK:
                return None
            C[i][j] = C[j][i] = c
    return norms, C


def _dot(a: list[float], b: list[float]) -> float:
    return sum([x * y for x, y in zip(a, b, strict=True)])


def solution(weights: Array, value: float, gap: float, converged: bool = True) -> Solution:
    """A Solution. Views of NumPy scalars: indexing a tensor costs more than all of this."""
    return Solution(
        torch.from_numpy(weights),
        torch.from_numpy(np.array(value)),
        torch.from_numpy(np.array(gap)),
        torch.from_numpy(np.array(converged)),
    )
