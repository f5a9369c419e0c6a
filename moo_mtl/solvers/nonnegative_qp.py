r"""One kernel behind min-norm, dual-cone and trust-region programs: :math:`\min_{x \ge 0} \tfrac12 x^\top H x - b^\top x`.

Block principal pivoting guesses the support, solves on it, and exchanges every index whose sign is wrong; it ends at the
exact solution, mostly within five sweeps. What cycles (rank-deficient H) goes to a primal-dual interior point, whose
support is polished by pivoting again. On an accelerator everything runs for a fixed number of iterations under masks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl.solvers.normal_form import times

SWEEPS = 12  # of block pivoting before the interior point takes over
ITERATIONS = 25  # of the interior point; quadratic convergence makes more of them idle
POLISH = 3  # sweeps of pivoting from the interior point's support
PATIENCE = 3  # full exchanges without progress before one index at a time (Murty's rule)
RESIDUAL = 1e-13  # of the optimality conditions, relative; above it the interior point is asked too


def nonnegative_qp(H: Tensor, b: Tensor, allowed: Tensor, noise: float = 2.3e-16, start: Tensor | None = None) -> Tensor:
    r"""Minimise :math:`\tfrac12 x^\top H x - b^\top x` over :math:`x \ge 0`, for any batch.

    Args:
        H: symmetric positive semi-definite, ``[B, K, K]`` float64, with a diagonal of order 1 (scale it first).
        b: ``[B, K]``.
        allowed: ``[B, K]`` bool; x is 0 elsewhere.
        noise: relative rounding error of H's entries; a ridge of ``2 K noise`` keeps the factorisations positive.
        start: first guess of the support, ``[B, K]`` bool; all that is allowed by default. Unused on an accelerator.

    Returns:
        x, ``[B, K]``. Its optimality is for the caller to certify: :math:`\min(x, Hx - b) = 0` at the solution.

    Source: Judice and Pires (1994), Kim and Park (2011), block pivoting; Mehrotra (1992), predictor-corrector.
    """
    size = b.abs().amax(dim=-1, keepdim=True)
    size = torch.where(size > 0, size, 1.0)
    b = b / size
    ridge = torch.full_like(b[:, :1], 2 * b.shape[-1] * noise)
    if H.device.type != "cpu":
        return _rescue(H, b, allowed, ridge, torch.zeros_like(b)) * size
    free = allowed if start is None else allowed & start
    return _compacting(H, b, allowed, ridge, free) * size


def _compacting(H: Tensor, b: Tensor, allowed: Tensor, ridge: Tensor, free: Tensor) -> Tensor:
    """Pivot all members, and pass on those that are not solved."""
    x = _pivot(H, b, allowed, ridge, free, SWEEPS)
    left = (_residual(H, b, allowed, x) > RESIDUAL).nonzero().squeeze(-1)
    if left.numel():
        x[left] = _rescue(H[left], b[left], allowed[left], ridge[left], x[left])
    return x


def _rescue(H: Tensor, b: Tensor, allowed: Tensor, ridge: Tensor, x: Tensor) -> Tensor:
    """Best of ``x``, the interior point, and the interior point's support solved exactly. Reads nothing back to the host."""
    ridge = _sufficient(H, allowed, ridge)
    inner, slack = _interior_point(H, b, allowed, ridge)
    polished = _pivot(H, b, allowed, ridge, allowed & (inner > slack), POLISH, compact=False)
    for candidate in (inner.where(allowed, 0.0), polished):
        better = _residual(H, b, allowed, candidate) < _residual(H, b, allowed, x)
        x = torch.where(better.unsqueeze(-1), candidate, x)
    return x


def _residual(H: Tensor, b: Tensor, allowed: Tensor, x: Tensor) -> Tensor:
    r"""Natural residual :math:`\max_k |\min(x_k / \lVert x \rVert, (Hx - b)_k)|`, infinite where x is not a number.

    The slope is not divided by the size of x: an x that is large because a factorisation failed must show.
    """
    slope = times(H, x) - b
    size = x.abs().amax(dim=-1, keepdim=True).clamp(min=1.0)
    return torch.minimum(x / size, slope).abs().where(allowed, 0.0).amax(dim=-1).nan_to_num(nan=torch.inf)


def _sufficient(H: Tensor, allowed: Tensor, ridge: Tensor) -> Tensor:
    """A ridge under which H is positive definite: Gramians formed in float32 have eigenvalues down to -K eps32."""
    K = H.shape[-1]
    info = torch.linalg.cholesky_ex(_restrict(H, allowed, ridge)).info
    return torch.where(info.unsqueeze(-1) == 0, ridge, torch.clamp(ridge, min=2 * K * 1.2e-7))


def _restrict(H: Tensor, free: Tensor, ridge: Tensor) -> Tensor:
    """H on the free indices plus the ridge, and the identity elsewhere."""
    rows = free.to(H.dtype)
    restricted = H * (rows.unsqueeze(-1) * rows.unsqueeze(-2))
    restricted.diagonal(dim1=-2, dim2=-1).add_(torch.where(free, ridge, 1.0))
    return restricted


def _pivot(H: Tensor, b: Tensor, allowed: Tensor, ridge: Tensor, free: Tensor, sweeps: int, compact: bool = True) -> Tensor:
    """Block principal pivoting from the support ``free``; returns the last x, clamped to be non-negative."""
    x = torch.zeros_like(b)
    K = b.shape[-1]
    where = None  # members still pivoting, once some are done
    fewest = torch.full_like(b[:, 0], K + 1)
    patience = torch.full_like(fewest, PATIENCE)
    place = torch.arange(1, K + 1, device=b.device)
    for sweep in range(sweeps):
        factor = torch.linalg.cholesky_ex(_restrict(H, free, ridge)).L
        y = torch.cholesky_solve((b * free).unsqueeze(-1), factor).squeeze(-1)
        slope = times(H, y) - b
        slack = 1e-14 * (1 + y.abs().amax(dim=-1, keepdim=True))
        wrong = torch.where(free, y < -slack, slope < -slack) & allowed
        if where is None:
            x = y.clamp(min=0)
        else:
            x[where] = y.clamp(min=0)
        if sweep == sweeps - 1:
            break
        count = wrong.sum(dim=-1)
        if compact:
            left = count.nonzero().squeeze(-1)
            if not left.numel():
                break
            if left.numel() < count.numel():
                where = left if where is None else where[left]
                H, b, allowed, ridge, free, wrong, count = (t[left] for t in (H, b, allowed, ridge, free, wrong, count))
                fewest, patience = fewest[left], patience[left]
        progress = count < fewest
        patience = torch.where(progress, float(PATIENCE), patience - 1)
        fewest = torch.where(progress, count.to(fewest.dtype), fewest)
        last = place == torch.where(wrong, place, 0).amax(dim=-1, keepdim=True)
        free = free ^ torch.where((patience >= 0).unsqueeze(-1), wrong, wrong & last)
    return x


def _interior_point(H: Tensor, b: Tensor, allowed: Tensor, ridge: Tensor) -> tuple[Tensor, Tensor]:
    """Mehrotra's predictor-corrector; x and the slack z = Hx - b, both positive where allowed and 1 elsewhere."""
    H = _restrict(H, allowed, ridge)
    b = torch.where(allowed, b, 0.0)
    x, z = torch.ones_like(b), torch.ones_like(b)
    n = b.shape[-1]
    for _ in range(ITERATIONS):
        factor = torch.linalg.cholesky_ex(H + torch.diag_embed(z / x)).L
        residual = times(H, x) - b - z
        product = x * z
        mean = product.mean(dim=-1, keepdim=True)
        dx = _solve(factor, -residual - z)
        dz = -z - z / x * dx
        length = torch.minimum(_to_boundary(x, dx), _to_boundary(z, dz))
        affine = ((x + length * dx) * (z + length * dz)).sum(dim=-1, keepdim=True) / n
        target = (affine / mean).clamp(0, 1).pow(3) * mean - dx * dz - product
        dx = _solve(factor, -residual + target / x)
        dz = (target - z * dx) / x
        length = 0.9995 * torch.minimum(_to_boundary(x, dx), _to_boundary(z, dz))
        forward = (dx.isfinite() & dz.isfinite()).all(dim=-1, keepdim=True) & (mean > 1e-32)
        x, z = torch.where(forward, x + length * dx, x), torch.where(forward, z + length * dz, z)
    return x, z


def _to_boundary(x: Tensor, step: Tensor) -> Tensor:
    """Largest part of ``step``, at most all of it, that keeps x non-negative, ``[B, 1]``."""
    ratio = torch.where(step < 0, -x / step, torch.inf)
    return ratio.amin(dim=-1, keepdim=True).clamp(max=1.0)


def _solve(factor: Tensor, right: Tensor) -> Tensor:
    return torch.cholesky_solve(right.unsqueeze(-1), factor).squeeze(-1)
