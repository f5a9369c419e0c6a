"""Random convex quadratics: any number of tasks and dimensions, with conflict, conditioning and scale chosen."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.problems.problem import Problem, placed, size
from moo_mtl.problems.registry import problem
from moo_mtl.problems.sampling import evenly, simplex


@problem(
    "quadratic", cite="this package: convex quadratics whose Pareto set is x(w) = (sum w_k s_k A_k)^-1 sum w_k s_k A_k c_k"
)
def quadratic(
    n_tasks: int = 2,
    n_dim: int = 10,
    angle: float = 90.0,
    condition: float = 10.0,
    imbalance: float = 1.0,
    seed: int = 0,
) -> Problem:
    r"""Convex quadratics that pull apart at a chosen angle from the origin.

    .. math:: f_k(x) = \tfrac{s_k}{2} (x - c_k)^\top A_k (x - c_k), \qquad c_k = -A_k^{-1} u_k

    At the origin the gradients are :math:`s_k u_k` with unit vectors u whose pairwise angle is ``angle``. The Pareto
    set is the image of the simplex under :math:`x(w) = (\sum_k w_k s_k A_k)^{-1} \sum_k w_k s_k A_k c_k`.

    Args:
        n_tasks: K.
        n_dim: D, at least K.
        angle: between any two gradients at the origin, in degrees: above 90 they conflict; below arccos(-1/(K-1)),
            where the origin itself becomes Pareto-stationary.
        condition: ratio of the largest to the smallest eigenvalue of each :math:`A_k`, whose axes are random.
        imbalance: ratio of the largest scale :math:`s_k` to the smallest; they are spaced evenly in the logarithm and
            the first task has the largest, 1.
        seed: of the axes and directions.

    Raises:
        InputError: a parameter out of its range.
    """
    cosine = math.cos(math.radians(angle))
    size("quadratic", "n_tasks", n_tasks, 1)
    size("quadratic", "n_dim", n_dim, n_tasks)
    if condition < 1 or imbalance < 1:
        raise InputError(f"quadratic: condition and imbalance are ratios of at least 1, found {condition} and {imbalance}")
    limit = 180.0 if n_tasks < 3 else math.degrees(math.acos(-1 / (n_tasks - 1)))
    if not 0 < angle < limit * (1 - 1e-12):
        raise InputError(
            f"quadratic: {n_tasks} gradients can have pairwise angles between 0 and {limit:.5g} degrees, found {angle}"
        )
    generator = torch.Generator().manual_seed(seed)
    axes = torch.linalg.qr(torch.randn(n_tasks, n_dim, n_dim, generator=generator, dtype=torch.float64)).Q
    forms = (axes * torch.logspace(0, math.log10(condition), n_dim, dtype=torch.float64)) @ axes.mT
    frame = torch.linalg.qr(torch.randn(n_dim, n_tasks, generator=generator, dtype=torch.float64)).Q
    angles = (1 - cosine) * torch.eye(n_tasks, dtype=torch.float64) + cosine
    directions = torch.linalg.cholesky(angles) @ frame.mT
    centres = -_solved(forms, directions)
    scaled = forms * torch.logspace(0, -math.log10(imbalance), n_tasks, dtype=torch.float64)[:, None, None]

    form, centre = placed(scaled), placed(centres)

    def differentiate(x: Tensor) -> tuple[Tensor, Tensor]:
        offsets = x.reshape(-1, n_dim).mT - centre(x).unsqueeze(-1)  # [K, D, N]: one matrix product a task for all members
        rows = form(x) @ offsets
        losses = (rows * offsets).sum(dim=-2) / 2
        batch = x.shape[:-1]
        return losses.mT.reshape(*batch, n_tasks), rows.permute(2, 0, 1).reshape(*batch, n_tasks, n_dim)

    def evaluate(x: Tensor) -> Tensor:
        return differentiate(x)[0]

    def optimum(weights: Tensor) -> Tensor:
        left = torch.einsum("nk,kij->nij", weights, scaled)
        right = torch.einsum("nk,kij,kj->ni", weights, scaled, centres)
        return _solved(left, right)

    def between(first: Tensor) -> Tensor:
        return optimum(torch.stack([first, 1 - first], dim=-1))

    def pareto_set(n: int) -> Tensor:
        if n_tasks == 2:
            return between(evenly(lambda w: evaluate(between(w)), n))
        return optimum(simplex(n, n_tasks))

    worst = evaluate(centres).amax(dim=0)
    return Problem(
        name="quadratic",
        n_tasks=n_tasks,
        n_dim=n_dim,
        evaluate=evaluate,
        exact_differentiate=differentiate,
        exact_set=pareto_set,
        ref_point=1.1 * worst if n_tasks > 1 else torch.ones(1, dtype=torch.float64),
        ideal=torch.zeros(n_tasks, dtype=torch.float64),
        nadir=worst if n_tasks <= 2 else None,  # beyond two tasks the worst of a loss need not be at another's optimum
        starts=torch.zeros(1, n_dim, dtype=torch.float64),
    )


def _solved(forms: Tensor, right: Tensor) -> Tensor:
    """What positive definite forms ``[N, D, D]`` map to ``right``, ``[N, D]``.

    By Cholesky, not LU: with several threads MKL never returned from the LU of a batch of matrices with 160 rows and more.
    """
    return torch.cholesky_solve(right.unsqueeze(-1), torch.linalg.cholesky(forms)).squeeze(-1)
