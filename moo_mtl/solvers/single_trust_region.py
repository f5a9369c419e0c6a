"""CAGrad and ConicGrad of one problem alone on NumPy: the path of ``shifted_path``, followed with small systems."""

from __future__ import annotations

from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from torch import Tensor

from moo_mtl.solvers.normal_form import TOLERANCE, check_gramian
from moo_mtl.solvers.regions import Ball, Cone, Piece, Region
from moo_mtl.solvers.single import cosines_of
from moo_mtl.solvers.single_floats import solution
from moo_mtl.solvers.single_qp import EPS, Array, nonnegative_qp, solve
from moo_mtl.solvers.solution import Solution

SHIFTS = 20
STATIONARY = 16  # as in trust_region


class Found(NamedTuple):
    """Where the path touches the region, with lengths in units of the longest."""

    C: Array  # cosines
    norms: Array
    a: Array  # g_k'g_0 / n_k
    square: float  # |g_0|^2
    y: Array
    shift: float
    beyond: bool  # no direction of the region improves every task
    unit: float  # length of the longest gradient

    def proven(self, weights: Array, value: float, gap: float) -> Solution | None:
        """In the units of the Gramian; ``None`` if the gap is more than rounding."""
        if not gap <= 100 * TOLERANCE * float(self.norms @ self.norms) / len(self.norms):
            return None
        square = self.unit * self.unit
        return solution(weights, value * square, gap * square)


def cagrad(gramian: Tensor, c: float) -> Solution | None:
    """As ``solvers.cagrad``, away from stationary points; ``None`` where that does not apply (see ``single``)."""
    found = _touching(gramian, Ball(c), search_beyond=True)
    if found is None:
        return None
    C, norms, a, square, y, _, _, _ = found
    length, radius = float(y @ (C @ y)), c * c * square
    if not length > 0:
        return None
    along = norms / len(y) + sqrt(radius / length) * y
    value = float((norms * (C @ along)).min())
    gap = max((float(y @ a) + sqrt(radius * length)) / float((y / norms).sum()) - value, 0.0)
    return found.proven(along / norms, value, gap)


def conicgrad(gramian: Tensor, c: float) -> Solution | None:
    """As ``solvers.conicgrad``, away from stationary points; ``None`` where that does not apply (see ``single``)."""
    found = _touching(gramian, Cone(c), search_beyond=False)
    if found is None:
        return None
    C, norms, a, square, y, shift, beyond, _ = found
    z = y + shift / len(y) * norms
    q = C @ z
    length = float(z @ q)
    least = 0.0 if beyond else max(float((norms * q).min()), 0.0)
    step = least / length if length > 0 else 0.0
    value = step * (float((norms * q).min()) - step * length / 2)
    total = float((y / norms).sum())
    if not total > 0:
        return None
    forward = float(a @ y) / sqrt(square) / total
    across = sqrt(max(float(y @ (C @ y)) / total**2 - forward * forward, 0.0))
    edge, sine = c * forward + sqrt(1 - c * c) * across, sqrt(1 - c * c)
    nearest = forward * forward + across * across if c * across <= sine * forward else max(edge, 0.0) ** 2
    return found.proven(step * z / norms, value, max(nearest / 2 - value, 0.0))


def _touching(gramian: Tensor, region: Region, search_beyond: bool) -> Found | None:
    """The point of the path where ``region`` is touched, or its start where that is inside."""
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
    beyond = bool(region.outside(float(y @ (C @ y)), float(a @ y), square, 1.0))
    if beyond and not search_beyond:
        return Found(C, norms, a, square, y, 1.0, beyond, unit)
    t = norms.min() / norms
    H = C.copy() if beyond else C + t[:, None] * t
    H.reshape(-1)[:: K + 1] += 2 * K * EPS
    if not beyond:
        y = nonnegative_qp(H, t, None)
        if y is None:
            return None
        length = float(y @ (C @ y))
        if not length > STATIONARY * K * EPS * float(y.sum()) ** 2:
            return None
        if not region.outside(length, float(a @ y), square, 0.0):
            return Found(C, norms, a, square, y, 0.0, beyond, unit)
    sign = -1.0 if beyond else 1.0
    point = _search(C, H, sign * t, a, square, region, y, sign)
    return None if point is None else Found(C, norms, a, square, *point, beyond, unit)


def _search(
    C: Array, H: Array, t: Array, a: Array, square: float, region: Region, y: Array, sign: float
) -> tuple[Array, float] | None:
    """Newton's method on the shift between two bounds."""
    low, high = 0.0, inf
    shift = _root(C, H, t, a, square, region, y, sign)
    for _ in range(SHIFTS):
        if not low < shift < high or shift == inf:
            shift = max(4 * low, 1.0) if high == inf else sqrt(low * high) if low > 0 else high / 16
        next_y = nonnegative_qp(H, t - shift * a, y > 0)
        if next_y is None:
            return None
        y = next_y
        root = _root(C, H, t, a, square, region, y, sign)
        if abs(root - shift) <= 1e-9 * shift:
            return y, shift
        if bool(region.outside(float(y @ (C @ y)), float(a @ y), square, shift)) == (sign > 0):
            low = shift
        else:
            high = shift
        shift = root
    return None


def _root(C: Array, H: Array, t: Array, a: Array, square: float, region: Region, y: Array, sign: float) -> float:
    """The shift at which the region is touched on the support of ``y``; as ``shifted_path._root``."""
    index = np.flatnonzero(y)
    if not index.size:
        return inf
    ends = solve(H[index][:, index], np.stack([t[index], -a[index]], axis=1))
    (pp, pq), (_, qq) = (ends.T @ C[index][:, index] @ ends).tolist()
    ap, aq = (a[index] @ ends).tolist()
    c0, c1, c2 = (sign * term for term in region.excess(Piece(pp, pq, qq, ap, aq, square)))
    inside = c1 * c1 - c0 * c2
    if c1 >= 0:
        return (c1 + sqrt(max(inside, 0.0))) / -c2 if c2 < 0 else inf
    return c0 / (sqrt(inside) - c1) if inside >= 0 else inf
