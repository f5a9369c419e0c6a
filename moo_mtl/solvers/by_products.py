"""Min-norm, DualProj and CAGrad when the Gramian can only be multiplied with: its columns are asked for one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from moo_mtl.solvers.dual_cone import dual_cone
from moo_mtl.solvers.min_norm import min_norm
from moo_mtl.solvers.solution import Solution

Product = Callable[[Tensor], Tensor]  # w [K] -> G w [K]


def min_norm_by_products(
    product: Product,
    n_tasks: int,
    *,
    guess: Tensor | None = None,
    present: Tensor | None = None,
    tolerance: float = 1e-3,
    at_most: int | None = None,
    device: torch.device | None = None,
) -> Solution:
    r"""Minimum-norm point of the convex hull of K gradients from products :math:`w \mapsto G w` alone.

    A guess that is good enough costs one product. Otherwise the hull of the guess and of the gradients asked for gains the
    gradient that its exact point descends least, until the duality gap is small: one product for each.

    Args:
        product: ``[K] -> [K]``.
        n_tasks: K.
        guess: weights to try first, ``[K]``, such as those of the last step.
        present: ``[K]`` bool; an absent task has weight 0 and is left out.
        tolerance: the gap may be this share of ``w'Gw``; every task then still descends at ``1 - tolerance`` of the exact rate.
        at_most: gradients asked for; by default as many as it takes. With fewer, weights kept from step to step follow the
            exact ones, and the gap says how far behind they are.
        device: of the weights.

    Returns:
        Weights ``[K]``, ``w'Gw``, the duality gap ``w'Gw - min_k (Gw)_k``, and whether it is within the tolerance.
    """
    here = _here(n_tasks, present, device)

    def judge(w: Tensor, slopes: Tensor) -> tuple[Solution, Tensor]:
        value = (w * slopes).sum().clamp(min=0)
        gap = (value - _least(slopes, here)).clamp(min=0)
        return Solution(w, value, gap, gap <= tolerance * value), slopes

    first = here.double() if guess is None else torch.where(here, guess.double().clamp(min=0), 0.0)
    points = [first / _positive(first.sum())]
    return _grown(product, here, points, lambda hull, images: min_norm(_products(hull, images)).weights, judge, at_most)


def dualproj_by_products(
    product: Product,
    n_tasks: int,
    *,
    guess: Tensor | None = None,
    present: Tensor | None = None,
    tolerance: float = 1e-3,
    at_most: int | None = None,
    device: torch.device | None = None,
) -> Solution:
    r"""Weights of the projection of the mean gradient onto the dual cone, from products alone.

    The mean, what the guess adds to it, and the gradients asked for span a cone; its best point shows which gradient is in
    conflict most.

    Args:
        product: as in ``min_norm_by_products``.
        n_tasks: K.
        guess: as there.
        present: as there.
        tolerance: no task may ascend, and no task that is lifted descend, by more than this share of ``w'Gw``, which is the
            mean descent at the exact point.
        at_most: as there.
        device: of the weights.

    Returns:
        Weights w at least 1 / K; the value ``w'Gw / 2``; the gap :math:`\sum_k (w_k - 1/K) |Gw|_k + \max_k (-Gw)_k^+`;
        and whether it is within the tolerance.
    """
    here = _here(n_tasks, present, device)
    mean = here.double() / _positive(here.sum())
    lifts = [] if guess is None else [torch.where(here, (guess.double() - mean).clamp(min=0), 0.0)]

    def judge(w: Tensor, slopes: Tensor) -> tuple[Solution, Tensor]:
        value = (w * slopes).sum().clamp(min=0)
        gap = ((w - mean).clamp(min=0) * slopes.abs()).sum() + (-_least(slopes, here)).clamp(min=0)
        return Solution(w, value / 2, gap, gap <= tolerance * value), slopes

    def solve(cone: Tensor, images: Tensor) -> Tensor:
        return dual_cone(_products(cone, images), torch.eye(cone.shape[-1], dtype=cone.dtype, device=cone.device)[0]).weights

    return _grown(product, here, [mean, *(lift for lift in lifts if bool(lift.any()))], solve, judge, at_most)


def cagrad_by_products(
    product: Product,
    n_tasks: int,
    c: float,
    *,
    guess: Tensor | None = None,
    present: Tensor | None = None,
    tolerance: float = 1e-3,
    at_most: int | None = None,
    device: torch.device | None = None,
) -> Solution:
    r"""Total weights of CAGrad from products alone; the first product is with the mean gradient.

    Args:
        product: as in ``min_norm_by_products``.
        n_tasks: K.
        c: radius relative to the mean gradient, at least 0.
        guess: total weights to start from.
        present: as there.
        tolerance: the gap may be this share of the dual bound.
        at_most: as there.
        device: of the weights.

    Returns:
        Weights :math:`1/K + (c \lVert g_0 \rVert / \lVert g_w \rVert) w`; the value :math:`\min_k g_k^\top d`; as gap the dual
        bound less that value; and whether it is within the tolerance. Where the mean gradient is zero but for rounding, its
        length, and with it the radius, is known to the square root of rounding alone: in float32 that can leave a gap.
    """
    here = _here(n_tasks, present, device)
    mean = here.double() / _positive(here.sum())
    known = product(mean)
    along = known.double()
    square = (mean * along).sum().clamp(min=0)
    radius = c * square.sqrt()

    def judge(w: Tensor, slopes: Tensor) -> tuple[Solution, Tensor]:
        length = (w * slopes).sum().clamp(min=0).sqrt()
        factor = torch.where(length > 0, radius / _positive(length), 0.0)
        descents, bound = along + factor * slopes, (w * along).sum() + radius * length
        value = _least(descents, here)
        gap = (bound - value).clamp(min=0)
        return Solution(mean + factor * w, value, gap, gap <= tolerance * bound.abs()), descents

    def solve(hull: Tensor, images: Tensor) -> Tensor:
        """The min-norm point of the hull shifted by ``tau g_0``, where ``|J'w| = tau c |g_0|``; tau is bisected."""
        among, beside = _products(hull, images), along @ hull
        low, high = torch.zeros_like(radius), among.diagonal().amax().clamp(min=0).sqrt() / _positive(radius)
        for _ in range(50):
            tau = (low + high) / 2
            share = min_norm(among + tau * (beside[:, None] + beside) + tau.square() * square).weights
            short = (share @ among @ share).clamp(min=0).sqrt() < tau * radius
            low, high = torch.where(short, low, tau), torch.where(short, tau, high)
        return share

    lift = torch.zeros_like(mean) if guess is None else torch.where(here, (guess.double() - mean).clamp(min=0), 0.0)
    if bool(lift.any()):
        return _grown(product, here, [lift / lift.sum()], solve, judge, at_most)
    return _grown(product, here, [mean], solve, judge, at_most, [known])


def _grown(
    product: Product,
    here: Tensor,
    points: list[Tensor],
    solve: Callable[[Tensor, Tensor], Tensor],
    judge: Callable[[Tensor, Tensor], tuple[Solution, Tensor]],
    at_most: int | None,
    images: Sequence[Tensor] = (),
) -> Solution:
    """The best combination of ``points``, which gain a task's gradient until the answer is good enough.

    Args:
        product: with the Gramian.
        here: the tasks present, ``[K]`` bool.
        points: weights, ``[K]`` each; their sum is tried first.
        solve: points and their images under the Gramian, ``[K, s]`` each, to the coefficients of the best combination, ``[s]``.
        judge: weights and their image to an answer, and to the descent of each task, of which the least is mended.
        at_most: how many tasks' gradients are asked for; ``None`` for no limit.
        images: of the points, where they are known.
    """
    images = [*images, *(product(point) for point in points[len(images) :])]
    answer, descents = _judged(judge, points, images, torch.ones(len(points), dtype=torch.float64, device=here.device))
    missing, limit = here.clone(), len(here) if at_most is None else at_most
    for _ in range(limit):
        if bool(answer.converged) or not bool(missing.any()):
            break
        task = descents.masked_fill(~missing, torch.inf).argmin()
        missing = missing & (torch.arange(len(here), device=here.device) != task)
        points = [*points, torch.nn.functional.one_hot(task, len(here)).double()]
        images = [*images, product(points[-1])]
        share = solve(torch.stack(points, dim=-1), torch.stack(images, dim=-1).double())
        answer, descents = _judged(judge, points, images, share)
    return answer


def _judged(
    judge: Callable[[Tensor, Tensor], tuple[Solution, Tensor]],
    points: Sequence[Tensor],
    images: Sequence[Tensor],
    share: Tensor,
) -> tuple[Solution, Tensor]:
    """What ``judge`` says of a combination. At a stationary point all that is left of the gap is what rounding leaves of
    products as large as the images: then the answer is as good as it can be.
    """
    image = torch.stack(list(images), dim=-1)
    answer, descents = judge(torch.stack(list(points), dim=-1) @ share, image.double() @ share)
    noise = _ROUNDED * torch.finfo(image.dtype).eps * image.abs().amax().double() * answer.weights.abs().sum().square()
    return answer._replace(converged=answer.converged | (answer.gap <= noise)), descents


def _products(points: Tensor, images: Tensor) -> Tensor:
    among = points.mT @ images
    return (among + among.mT) / 2


def _here(n_tasks: int, present: Tensor | None, device: torch.device | None) -> Tensor:
    return torch.ones(n_tasks, dtype=torch.bool, device=device) if present is None else present


def _positive(number: Tensor) -> Tensor:
    return number.double().clamp(min=torch.finfo(torch.float64).tiny)


def _least(slopes: Tensor, here: Tensor) -> Tensor:
    return slopes.masked_fill(~here, torch.inf).amin()


_ROUNDED = 32  # units in the last place
