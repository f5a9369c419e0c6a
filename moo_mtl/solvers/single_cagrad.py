"""CAGrad of one problem alone on NumPy: the path of ``shifted_path``, followed with small systems."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
from torch import Tensor

from moo_mtl.solvers.normal_form import TOLERANCE, check_gramian
from moo_mtl.solvers.single import cosines_of
from moo_mtl.solvers.single_floats import solution
from moo_mtl.solvers.single_qp import EPS, Array, nonnegative_qp, solve
from moo_mtl.solvers.solution import Solution

SHIFTS = 20
STATIONARY = 16  # as in trust_region


def cagrad(gramian: Tensor, c: float) -> Solution | None:
    """As ``solvers.cagrad``, away from stationary points; ``None`` where that does not apply (see ``single``)."""
    check_gramian(gramian)
    cosines = cosines_of(gramian)
    if cosines is None:
        return None
    _, C, norms = cosines
    unit = float(norms.max())
    norms = norms / unit
    K = len(norms)
    a = C @ norms / K
    square = float(a @ norms) / K
    if not square > 0:
        return None
    y = nonnegative_qp(C, -a, a < 0)
    if y is None:
        return None
    radius = c * c * square
    t = norms.min() / norms
    beyond = float(y @ (C @ y)) >= radius  # no direction of the ball improves every task
    H = C.copy() if beyond else C + t[:, None] * t
    H.reshape(-1)[:: K + 1] += 2 * K * EPS
    if not beyond:
        y = nonnegative_qp(H, t, None)
        if y is None or not float(y @ (C @ y)) * (float(norms.min()) / float(y @ t)) ** 2 > STATIONARY * K * EPS:
            return None
    y = _touching_point(C, H, -t if beyond else t, a, radius, y, -1.0 if beyond else 1.0)
    return None if y is None else _certified(C, norms, a, radius, y, unit)


def _touching_point(C: Array, H: Array, t: Array, a: Array, radius: float, y: Array, sign: float) -> Array | None:
    """The point of the path where the ball touches, by Newton's method on the shift between two bounds."""
    low, high = 0.0, inf
    shift = _root(C, H, t, a, radius, y, sign)
    for _ in range(SHIFTS):
        if not low < shift < high or shift == inf:
            shift = max(4 * low, 1.0) if high == inf else sqrt(low * high) if low > 0 else high / 16
        next_y = nonnegative_qp(H, t - shift * a, y > 0)
        if next_y is None:
            return None
        y = next_y
        root = _root(C, H, t, a, radius, y, sign)
        if abs(root - shift) <= 1e-9 * shift:
            return y
        if (float(y @ (C @ y)) >= shift * shift * radius) == (sign > 0):
            low = shift
        else:
            high = shift
        shift = root
    return None


def _root(C: Array, H: Array, t: Array, a: Array, radius: float, y: Array, sign: float) -> float:
    """The shift at which the ball touches the path on the support of ``y``; as ``shifted_path._root``."""
    index = np.flatnonzero(y)
    if not index.size:
        return inf
    ends = solve(H[index][:, index], np.stack([t[index], -a[index]], axis=1))
    products = sign * (ends.T @ C[index][:, index] @ ends)
    c0, c1, c2 = float(products[0, 0]), float(products[0, 1]), float(products[1, 1]) - sign * radius
    inside = c1 * c1 - c0 * c2
    if c1 >= 0:
        return (c1 + sqrt(max(inside, 0.0))) / -c2 if c2 < 0 else inf
    return c0 / (sqrt(inside) - c1) if inside >= 0 else inf


def _certified(C: Array, norms: Array, a: Array, radius: float, y: Array, unit: float) -> Solution | None:
    """Total weights with the gap between the two programs; ``None`` if it is more than rounding."""
    length = float(y @ (C @ y))
    if not length > 0:
        return None
    along = norms / len(y) + sqrt(radius / length) * y
    value = float((norms * (C @ along)).min())
    gap = max((float(y @ a) + sqrt(radius * length)) / float((y / norms).sum()) - value, 0.0)
    if not gap <= 100 * TOLERANCE * float(norms @ norms) / len(y):
        return None
    return solution(along / norms, value * unit * unit, gap * unit * unit)
