"""FairGrad of one problem alone on NumPy: the damped Newton method of ``bargaining``. ``None`` as in ``single``."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from moo_mtl.solvers.normal_form import check_gramian
from moo_mtl.solvers.single import cosines_of
from moo_mtl.solvers.single_floats import solution
from moo_mtl.solvers.single_qp import EPS, Array, solve
from moo_mtl.solvers.solution import Solution

STEPS = 100
HALVINGS = 12
GENTLE = 2.0  # as in bargaining
ACCURATE = 1e-10


@np.errstate(all="ignore")  # what overflows has no proof and is left to the general path
def fairgrad(gramian: Tensor, alpha: float) -> Solution | None:
    """As ``solvers.fairgrad``, away from stationary points and for alpha up to ``GENTLE``."""
    check_gramian(gramian)
    cosines = cosines_of(gramian)
    if cosines is None or alpha > GENTLE:
        return None
    G, C, norms = cosines
    unit = float(norms.max()) ** 2
    norms = norms / norms.max()
    v = _newton(C, norms, alpha)
    if v is None:
        return None
    error, noise = _relative_errors(C, norms, alpha, v)
    if not error <= max(8 * noise, ACCURATE) or not error + noise <= ACCURATE:
        return None
    w = v * norms ** (-2 * alpha / (1 + alpha))
    value = max(float(w @ ((G / unit) @ w)), 0.0) * unit ** ((1 - alpha) / (1 + alpha))
    return solution(w * unit ** (-alpha / (1 + alpha)), value, error + noise)


def _newton(C: Array, norms: Array, alpha: float) -> Array | None:
    r"""Weights in units of the orthogonal solution :math:`n_k^{-2\alpha/(1+\alpha)}`."""
    r = norms ** (2 * (1 - alpha) / (1 + alpha))
    r /= r.max()
    root, exponent = np.sqrt(r), 1 - 1 / alpha
    v = np.maximum(C, 0).sum(axis=1) ** (-alpha / (1 + alpha))

    def potential(at: Array) -> float:
        scaled = root * at
        utility = np.log(at) if alpha == 1 else at**exponent / exponent
        return float(scaled @ (C @ scaled)) / 2 - float(r @ utility)

    for _ in range(STEPS):
        power = v**exponent
        M = C * v * v[:, None]
        M.reshape(-1)[:: len(v) + 1] += power / alpha
        downhill = root * power - v * (C @ (root * v))
        y = solve(M, downhill)
        decrement = float(y @ downhill)
        y = y / root
        if not decrement >= 0:
            return None
        length = 0.8 / max(float((-y).max()), 0.8)  # a weight lost to 0 would grow back slowly
        before = potential(v)
        for _ in range(HALVINGS):
            after = potential(v * (1 + length * y))
            if after <= before - 1e-4 * length * decrement + 1e-14 * abs(before):
                break
            length /= 2
        v = v * (1 + length * y)
        if float(np.abs(y).max()) <= 1e-9:
            return v
    return None


def _relative_errors(C: Array, norms: Array, alpha: float, v: Array) -> tuple[float, float]:
    """As ``bargaining._relative_errors``: of the next Newton step, and of the rounding of the Gramian."""
    root = norms ** ((1 - alpha) / (1 + alpha))
    M = C * (root * v)
    wanted = root * v ** (-1 / alpha)
    downhill = wanted - M.sum(axis=1)
    rounding = EPS * (np.abs(M).sum(axis=1) + wanted)
    size = np.abs(M).max(axis=1, keepdims=True)
    M.reshape(-1)[:: len(v) + 1] += wanted / alpha
    inverse = solve(M / size, np.eye(len(v))) / size.T
    return float(np.abs(inverse @ downhill).max()), float((np.abs(inverse) @ rounding).max())
