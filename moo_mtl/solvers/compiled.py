"""The programs compiled for the CPU by Numba, one problem after the other in float64; the extra ``moo_mtl[fast]``.

Same mathematics as ``nonnegative_qp`` and the solvers on it: unit rows, block pivoting, and a proof with every answer. A member
that is not proven here (not finite, a zero gradient, pivoting that goes round) is marked, and the caller solves it by the
general path. Everything compiled is in this file, because Numba's cache on disk looks at one file's date only.
"""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False, check-untyped-defs=False
from math import inf, sqrt

import numpy as np
from numba import njit

compile_once = njit(cache=True, nogil=True, error_model="numpy")

EPS = 2.0**-52
SWEEPS = 24  # of pivoting
PATIENCE = 3  # full exchanges without progress before one index at a time
SHIFTS = 30  # of CAGrad
STATIONARY = 16  # as in trust_region
SLACK = 1e-3  # as in inner_products


@compile_once
def min_norm(G, weights, value, gap, solved, tolerance):
    """``solvers.min_norm`` of ``G [B, K, K]`` into the four arrays ``[B, ...]``."""
    K = G.shape[1]
    C, H, work = np.empty((K, K)), np.empty((K, K)), np.empty((K, K))
    norms, t, x = np.empty(K), np.empty(K), np.empty(K)
    free = np.empty(K, np.bool_)
    for m in range(len(G)):
        unit, shortest = _unit_rows(G[m], norms, C)
        if not unit > 0:
            continue
        for i in range(K):
            t[i], free[i] = shortest / norms[i], True
        _bordered(C, t, H)
        if not _pivot(H, t, free, x, work):
            continue
        total, square = 0.0, 0.0
        for i in range(K):
            x[i] *= t[i]
            total += x[i]
            square += (norms[i] / unit) ** 2
        length, least = 0.0, inf
        for i in range(K):
            weights[m, i] = x[i] / total
        for i in range(K):
            q = 0.0
            for j in range(K):
                q += C[i, j] * (norms[j] / unit) * weights[m, j]
            q *= norms[i] / unit
            length += q * weights[m, i]
            least = min(least, q)
        apart = max(length - least, 0.0)
        value[m], gap[m] = max(length, 0.0) * unit * unit, apart * unit * unit
        solved[m] = apart <= tolerance * square / K


@compile_once
def dualproj(G, weights, value, gap, solved, tolerance):
    """``solvers.dualproj`` with equal preferences."""
    K = G.shape[1]
    C, work = np.empty((K, K)), np.empty((K, K))
    norms, u, b, x = np.empty(K), np.empty(K), np.empty(K), np.empty(K)
    free = np.empty(K, np.bool_)
    for m in range(len(G)):
        unit, _ = _unit_rows(G[m], norms, C)
        if not unit > 0:
            continue
        for i in range(K):
            u[i] = norms[i] / unit / K
        before = 0.0
        for i in range(K):
            b[i] = -_dot(C[i], u)
            before -= b[i] * u[i]
            free[i] = b[i] > 0
        if not _pivot(C, b, free, x, work):
            continue
        apart, conflict, length = 0.0, 0.0, 0.0
        for i in range(K):
            slope = _dot(C[i], x) - b[i]
            apart += x[i] * abs(slope)
            conflict = max(conflict, -slope)
            length += (u[i] + x[i]) * slope
        apart += conflict * sqrt(max(before, 0.0))
        for i in range(K):
            weights[m, i] = 1 / K + x[i] / norms[i] * unit
        value[m], gap[m] = max(length, 0.0) / 2 * unit * unit, apart * unit * unit
        solved[m] = apart <= tolerance / K  # the largest u is 1 / K


@compile_once
def upgrad(G, weights, value, gap, solved, tolerance):
    """``solvers.upgrad`` with equal preferences."""
    K = G.shape[1]
    C, work = np.empty((K, K)), np.empty((K, K))
    norms, total, b, x = np.empty(K), np.empty(K), np.empty(K), np.empty(K)
    free = np.empty(K, np.bool_)
    for m in range(len(G)):
        unit, _ = _unit_rows(G[m], norms, C)
        if not unit > 0:
            continue
        for i in range(K):
            total[i] = norms[i] / unit / K
        whole, proven = 0.0, True
        for k in range(K):
            clear = True
            for i in range(K):
                b[i] = -C[k, i]
                free[i] = b[i] > 0
                clear = clear and not free[i]
            if clear:
                continue
            if not _pivot(C, b, free, x, work):
                proven = False
                break
            apart, conflict = 0.0, 0.0
            for i in range(K):
                slope = _dot(C[i], x) - b[i]
                apart += x[i] * abs(slope)
                conflict = max(conflict, -slope)
            apart += conflict
            if not apart <= tolerance * K:
                proven = False
                break
            own = norms[k] / unit / K
            whole += apart * own * own
            for i in range(K):
                total[i] += own * x[i]
        if not proven:
            continue
        length = 0.0
        for i in range(K):
            length += total[i] * _dot(C[i], total)
            weights[m, i] = total[i] / norms[i] * unit
        value[m], gap[m], solved[m] = max(length, 0.0) * unit * unit, whole * unit * unit, True


@compile_once
def cagrad(G, weights, value, gap, solved, tolerance, c):
    """``solvers.cagrad`` where a direction of the ball improves every task; other members are left unsolved."""
    K = G.shape[1]
    C, H, work = np.empty((K, K)), np.empty((K, K)), np.empty((K, K))
    norms, t, a, b, x = np.empty(K), np.empty(K), np.empty(K), np.empty(K), np.empty(K)
    p, q, at = np.empty(K), np.empty(K), np.empty(K)
    free = np.empty(K, np.bool_)
    for m in range(len(G)):
        unit, shortest = _unit_rows(G[m], norms, C)
        if not unit > 0:
            continue
        for i in range(K):
            norms[i] /= unit
            t[i] = shortest / unit / norms[i]
        square, trace = 0.0, 0.0
        for i in range(K):
            a[i] = _dot(C[i], norms) / K
            square += a[i] * norms[i] / K
            trace += norms[i] ** 2
            b[i], free[i] = -a[i], a[i] < 0
        radius = c * c * square
        if not (square > 0 and _pivot(C, b, free, x, work)):
            continue
        beyond = _form(C, x, x) >= radius
        if beyond:  # no direction of the ball improves every task: the second part of the path, from its far end
            H[:] = C
        else:
            for i in range(K):
                free[i] = True
            _bordered(C, t, H)
            if not _pivot(H, t, free, x, work):
                continue
            total = 0.0
            for i in range(K):
                total += x[i]
            if not _form(C, x, x) > STATIONARY * EPS * K * total**2:
                continue
        sign = -1.0 if beyond else 1.0
        low, high, found = 0.0, inf, False
        shift = _touching(C, H, t, a, sign, radius, x, p, q, work)
        for _ in range(SHIFTS):
            if not low < shift < high or shift == inf:
                shift = max(4 * low, 1.0) if high == inf else sqrt(low * high) if low > 0 else high / 16
            for i in range(K):
                b[i], free[i] = sign * t[i] - shift * a[i], x[i] > 0
            if not _pivot(H, b, free, x, work):
                break
            root = _touching(C, H, t, a, sign, radius, x, p, q, work)
            if abs(root - shift) <= 1e-9 * shift:
                found = True
                break
            if (_form(C, x, x) >= shift * shift * radius) == (not beyond):
                low = shift
            else:
                high = shift
            shift = root
        length = _form(C, x, x)
        if not (found and length > 0):
            continue
        worst, dual, total = inf, 0.0, 0.0
        for i in range(K):
            at[i] = norms[i] / K + sqrt(radius / length) * x[i]
            total += x[i] / norms[i]
            dual += x[i] * a[i]
        for i in range(K):
            worst = min(worst, norms[i] * _dot(C[i], at))
        apart = max((dual + sqrt(radius * length)) / total - worst, 0.0)
        for i in range(K):
            weights[m, i] = at[i] / norms[i]
        value[m], gap[m] = worst * unit * unit, apart * unit * unit
        solved[m] = apart <= 100 * tolerance * trace / K


@compile_once
def _touching(C, H, t, a, sign, radius, x, p, q, work):
    """The shift at which the ball touches the path on the support of ``x``; as ``shifted_path._root``."""
    K = len(t)
    index = np.empty(K, np.int64)
    n = 0
    for i in range(K):
        if x[i] > 0:
            index[n] = i
            n += 1
        p[i], q[i] = sign * t[i], -a[i]
    if not _factor(H, index, n, work):
        return inf
    _substitute(work, index, n, p)
    _substitute(work, index, n, q)
    for i in range(K):
        if not x[i] > 0:
            p[i], q[i] = 0.0, 0.0
    c0, c1, c2 = sign * _form(C, p, p), sign * _form(C, p, q), sign * (_form(C, q, q) - radius)
    inside = c1 * c1 - c0 * c2
    if c1 >= 0:
        return (c1 + sqrt(max(inside, 0.0))) / -c2 if c2 < 0 else inf
    return c0 / (sqrt(inside) - c1) if inside >= 0 else inf


@compile_once
def _pivot(H, b, free, x, work):
    """Block principal pivoting from the support ``free``; False if it goes round or a support is dependent."""
    K = len(b)
    index = np.empty(K, np.int64)
    wrong = np.empty(K, np.bool_)
    size = 0.0
    for i in range(K):
        size = max(size, abs(b[i]))
    fewest, patience = K + 1, PATIENCE
    for _ in range(SWEEPS):
        n, largest = 0, 0.0
        for i in range(K):
            x[i] = 0.0
            if free[i]:
                index[n] = i
                x[i] = b[i]
                n += 1
        if not _factor(H, index, n, work):
            return False
        _substitute(work, index, n, x)
        for i in range(n):
            largest = max(largest, abs(x[index[i]]))
        slack = 1e-14 * (size + largest)
        count, last = 0, 0
        for i in range(K):
            if free[i]:
                wrong[i] = not x[i] >= -slack
            else:
                slope = -b[i]
                for j in range(n):
                    slope += H[i, index[j]] * x[index[j]]
                wrong[i] = not slope >= -slack
            if wrong[i]:
                count += 1
                last = i
        if count == 0:
            for i in range(K):
                x[i] = max(x[i], 0.0)
            return True
        if count < fewest:
            fewest, patience = count, PATIENCE
        else:
            patience -= 1
        for i in range(K):
            if wrong[i] and (patience >= 0 or i == last):
                free[i] = not free[i]
    return False


@compile_once
def _factor(H, index, n, L):
    """Cholesky factor of H on ``index``, with a ridge below rounding, and the inverse of its diagonal on the diagonal."""
    ridge = 2 * len(index) * EPS
    for i in range(n):
        for j in range(i + 1):
            total = H[index[i], index[j]]
            for k in range(j):
                total -= L[i, k] * L[j, k]
            if i > j:
                L[i, j] = total * L[j, j]
            else:
                total += ridge
                if not total > 0:
                    return False
                L[i, i] = 1 / sqrt(total)
    return True


@compile_once
def _substitute(L, index, n, x):
    """Solve on ``index`` in place."""
    for i in range(n):
        total = x[index[i]]
        for k in range(i):
            total -= L[i, k] * x[index[k]]
        x[index[i]] = total * L[i, i]
    for i in range(n - 1, -1, -1):
        total = x[index[i]]
        for k in range(i + 1, n):
            total -= L[k, i] * x[index[k]]
        x[index[i]] = total * L[i, i]


@compile_once
def _unit_rows(G, norms, C):
    """Fill lengths and cosines; the largest and the shortest length, or 0 where one is zero or an entry no inner product."""
    K = len(G)
    longest, shortest = 0.0, inf
    for i in range(K):
        square = G[i, i]
        if not 1e-290 < square < 1e290:
            return 0.0, 0.0
        norms[i] = sqrt(square)
        longest, shortest = max(longest, norms[i]), min(shortest, norms[i])
    for i in range(K):
        C[i, i] = 1.0
        for j in range(i):
            cosine, mirrored = G[i, j] / norms[i] / norms[j], G[j, i] / norms[i] / norms[j]
            if not (abs(cosine) <= 1 + SLACK and abs(cosine - mirrored) <= SLACK):  # nor is one that is not finite
                return 0.0, 0.0
            cosine = (cosine + mirrored) / 2
            C[i, j] = C[j, i] = min(max(cosine, -1.0), 1.0)
    return longest, shortest


@compile_once
def _bordered(C, t, H):
    """``C + t t'``."""
    for i in range(len(t)):
        for j in range(len(t)):
            H[i, j] = C[i, j] + t[i] * t[j]


@compile_once
def _form(C, x, y):
    """``x'Cy``."""
    total = 0.0
    for i in range(len(x)):
        if x[i] != 0:
            total += x[i] * _dot(C[i], y)
    return total


@compile_once
def _dot(x, y):
    total = 0.0
    for i in range(len(x)):
        total += x[i] * y[i]
    return total
