r"""Convex programs over the simplex with further linear inequalities: for EPO, PMGDA and WC-MGDA."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl.solvers.normal_form import times
from moo_mtl.solvers.solution import Solution

ITERATIONS = 40  # of the interior point; converged members stand still
TOLERANCE = 1e-9  # of gap and residuals, relative to the scaled program
ROUNDING = 4 * torch.finfo(torch.float64).eps  # of an inequality's two sides, relative to its largest entry


def simplex_program(
    linear: Tensor,
    quadratic: Tensor | None = None,
    above: tuple[Tensor, Tensor] | None = None,
    *,
    on_simplex: Tensor | None = None,
    present: Tensor | None = None,
) -> Solution:
    r"""Minimise :math:`\tfrac12 x^\top Q x + c^\top x` over :math:`x \ge 0` with :math:`1^\top x_S = 1` and :math:`A x \ge b`.

    Args:
        linear: c, ``[..., n]``.
        quadratic: Q, symmetric positive semi-definite, ``[..., n, n]``; none for a linear program.
        above: A and b, ``[..., m, n]`` and ``[..., m]``; a row with ``b = -inf`` is left out.
        on_simplex: which variables sum to 1, ``[n]`` bool; all by default. The others are only non-negative.
        present: ``[..., n]`` bool; an absent variable is 0.

    Returns:
        The solution, the objective there, and as gap the complementarity :math:`x^\top z` of the scaled program. Where there
        are several solutions, their analytic centre; of two variables that sum to 1, the middle of them. An infeasible
        program is not converged.

    Two variables that sum to 1 are solved in closed form.

    Source: Mehrotra (1992), predictor-corrector from an infeasible start; Wright (1997), chapter 10.
    """
    c = linear.detach().double()
    shape, n = c.shape, c.shape[-1]
    Q = (
        torch.zeros(*shape, n, dtype=c.dtype, device=c.device)
        if quadratic is None
        else quadratic.detach().double().expand(*shape, n)
    )
    if above is None:
        A, b = torch.zeros_like(c).unsqueeze(-2), torch.full_like(c[..., :1], -torch.inf)
    else:
        m = above[1].shape[-1]
        A, b = above[0].double().expand(*shape[:-1], m, n), above[1].double().expand(*shape[:-1], m)
    here = torch.ones(shape, dtype=torch.bool, device=c.device) if present is None else present.expand(shape)
    if n == 2 and on_simplex is None:
        x, gap, converged = _on_segment(c, Q, A, b, here)
    else:
        summed = torch.ones(n, dtype=torch.bool, device=c.device) if on_simplex is None else on_simplex
        flat = [part.reshape(-1, *part.shape[len(shape) - 1 :]) for part in (c, Q, A, b, here)]
        x, gap, converged = _solve(flat[0], flat[1], flat[2], flat[3], flat[4], summed)
        x = x.reshape(shape)
    value = ((times(Q, x) / 2 + c) * x).sum(dim=-1)
    return Solution(x, value, gap.reshape(shape[:-1]), converged.reshape(shape[:-1]))


def _on_segment(c: Tensor, Q: Tensor, A: Tensor, b: Tensor, here: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""The program in one variable, x = (s, 1 - s): each inequality bounds s, and a parabola is least at a bound or between.

    Between, s and 1 - s come from the slopes at the two ends, so that both keep their digits.
    """
    void = b == -torch.inf
    first, second = torch.where(here[..., None, :], A, 0.0).unbind(dim=-1)
    row = torch.maximum(first.abs(), second.abs())
    row = torch.where((row > 0) & ~void, row, 1.0)
    slope = torch.where(void, 0.0, (first - second) / row)
    least = torch.where(void, -1.0, (b - second) / row)  # slope * s >= least
    bound = (least - ROUNDING * (1 + least.abs())) / torch.where(slope == 0, 1.0, slope)
    start, end = (~here[..., 1]).to(c), here[..., 0].to(c)  # an absent variable is 0, and the other 1
    low = torch.maximum(bound.masked_fill(slope <= 0, -torch.inf).amax(dim=-1), start)
    high = torch.minimum(bound.masked_fill(slope >= 0, torch.inf).amin(dim=-1), end)
    middle = torch.minimum(torch.maximum((low + high) / 2, start), end)
    empty = low > high
    low, high = torch.where(empty, middle, low), torch.where(empty, middle, high)

    gain = c[..., 0] - c[..., 1]
    at_none = gain + Q[..., 0, 1] - Q[..., 1, 1]  # the objective's slope at s = 0, and at s = 1
    at_all = gain + Q[..., 0, 0] - Q[..., 0, 1]
    bend = at_all - at_none
    curved = bend > 0
    bend = torch.where(curved, bend, 1.0)
    flat = torch.where(gain > 0, low, torch.where(gain < 0, high, middle))
    s = torch.where(curved, -at_none / bend, flat)
    rest = torch.where(curved, at_all / bend, 1 - flat)
    inside = (s > low) & (s < high)
    s = torch.minimum(torch.maximum(s, low), high)
    x = torch.stack([s, torch.where(inside, rest, 1 - s)], dim=-1).masked_fill(~here, 0.0)

    residual = (least - slope * s[..., None]).amax(dim=-1).clamp(min=0)
    steepness = torch.where(curved, (1 - s) * at_none + s * at_all, gain)
    size = torch.maximum(c.abs().amax(dim=-1), Q.diagonal(dim1=-2, dim2=-1).amax(dim=-1))
    gap = torch.maximum(steepness * (s - low), steepness * (s - high)) / torch.where(size > 0, size, 1.0)
    converged = (gap <= TOLERANCE) & (residual <= TOLERANCE) & here.any(dim=-1) & x.isfinite().all(dim=-1)
    return x, gap, converged


def _solve(c: Tensor, Q: Tensor, A: Tensor, b: Tensor, here: Tensor, summed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Units are taken out of the objective and of every inequality; an absent variable and a void row become harmless."""
    members, m, n = A.shape
    pairs = here[:, :, None] & here[:, None, :]
    c, Q, A = torch.where(here, c, 0.0), torch.where(pairs, Q, 0.0), torch.where(here[:, None, :], A, 0.0)
    # The objective in units of what its solution is worth; a variable whose curvature is larger is measured by it, so that
    # curvatures over many decades keep their digits.
    bend = Q.diagonal(dim1=-2, dim2=-1).clamp(min=0)
    least = bend.masked_fill(~(here & summed), torch.inf).amin(dim=-1, keepdim=True).nan_to_num(posinf=0.0)
    size = torch.maximum(c.abs().amax(dim=-1, keepdim=True), least)
    size = torch.where(size > 0, size, bend.amax(dim=-1, keepdim=True))
    size = torch.where(size > 0, size, 1.0)
    unit = torch.where(bend > size, (size / torch.where(bend > size, bend, 1.0)).sqrt(), 1.0)
    c = torch.where(here, c * unit / size, 1.0)
    Q = (Q * unit[:, :, None] / size[..., None]) * unit[:, None, :]
    A = A * unit[:, None, :]
    void = b == -torch.inf
    row = A.abs().amax(dim=-1)
    row = torch.where((row > 0) & ~void, row, 1.0)
    A, b = torch.where(void[..., None], 0.0, A / row[..., None]), torch.where(void, -1.0, b / row)

    slack = torch.eye(m, dtype=c.dtype, device=c.device).expand(members, m, m)
    total = torch.where(here & summed, unit, 0.0)[:, None, :]
    beside = torch.cat([torch.zeros_like(slack[:, :1]), -slack], dim=1)
    lhs = torch.cat([torch.cat([total, A], dim=1), beside], dim=2)
    rhs = torch.cat([torch.ones_like(c[:, :1]), b], dim=1)
    cost = torch.cat([c, torch.zeros_like(b)], dim=1)
    curve = torch.nn.functional.pad(Q, (0, m, 0, m))
    x, gap, residual = _interior_point(curve, cost, lhs, rhs)
    w = torch.where(here, unit * x[:, :n], 0.0).clamp(min=0)
    mass = (w * summed).sum(dim=-1, keepdim=True)
    w = torch.where(summed, w / torch.where(mass > 0, mass, 1.0), w)
    return w, gap, (gap <= TOLERANCE) & (residual <= TOLERANCE)


def _interior_point(Q: Tensor, c: Tensor, A: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Minimise over ``Ax = b``, x at least 0: the best x met, its total complementarity, and its largest residual."""
    x, z, y = torch.ones_like(c), torch.ones_like(c), torch.zeros_like(b)
    best, least = x, torch.full_like(c[:, 0], torch.inf)
    for _ in range(ITERATIONS):
        dual, primal = times(Q, x) + c - times(A.mT, y) - z, b - times(A, x)
        mean = (x * z).mean(dim=-1, keepdim=True)
        error = torch.cat([dual.abs(), primal.abs(), mean], dim=-1).amax(dim=-1).nan_to_num(nan=torch.inf)
        best, least = torch.where((error < least)[:, None], x, best), torch.minimum(error, least)
        system = _System.of(Q, A, x, z)
        dx, _, dz = system.solve(dual, primal, -x * z)
        length = torch.minimum(_reach(x, dx), _reach(z, dz))
        ahead = ((x + length * dx) * (z + length * dz)).mean(dim=-1, keepdim=True)
        centre = (ahead / mean).clamp(0, 1).pow(3) * mean
        dx, dy, dz = system.solve(dual, primal, centre - x * z - dx * dz)
        length = 0.995 * torch.minimum(_reach(x, dx), _reach(z, dz))
        sound = torch.cat([dx, dy, dz], dim=-1).isfinite().all(dim=-1, keepdim=True) & (least[:, None] > 1e-14)
        x, y, z = (torch.where(sound, a + length * da, a) for a, da in ((x, dx), (y, dy), (z, dz)))
        if c.device.type == "cpu" and not bool(sound.any()):
            break
    return best, least * c.shape[-1], least


class _System(NamedTuple):
    """The Newton system of the optimality conditions at (x, z), factored."""

    A: Tensor
    x: Tensor
    z: Tensor
    inner: Tensor  # Cholesky factor of Q + Z / X
    outer: Tensor  # and of A (Q + Z / X)^-1 A'

    @classmethod
    def of(cls, Q: Tensor, A: Tensor, x: Tensor, z: Tensor) -> _System:
        inner = torch.linalg.cholesky_ex(Q + torch.diag_embed(z / x)).L
        normal = A @ torch.cholesky_solve(A.mT, inner)
        ridge = torch.diag_embed(1e-15 * normal.diagonal(dim1=-2, dim2=-1) + 1e-300)  # dependent rows
        return cls(A, x, z, inner, torch.linalg.cholesky_ex(normal + ridge).L)

    def solve(self, dual: Tensor, primal: Tensor, products: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Steps of x, y and z that take the residuals to 0 and add ``products`` to xz, to first order."""
        right = torch.cholesky_solve((products / self.x - dual)[..., None], self.inner).squeeze(-1)
        dy = torch.cholesky_solve((primal - times(self.A, right))[..., None], self.outer).squeeze(-1)
        dx = right + torch.cholesky_solve(times(self.A.mT, dy)[..., None], self.inner).squeeze(-1)
        return dx, dy, (products - self.z * dx) / self.x


def _reach(x: Tensor, step: Tensor) -> Tensor:
    """Largest part of a step, at most all of it, that keeps x non-negative; ``[B, 1]``."""
    return torch.where(step < 0, -x / step, torch.inf).amin(dim=-1, keepdim=True).clamp(max=1.0)
