"""How good a set of points is: against a reference point, against the true front, by its spread, against preferences.

Points are ``[..., N, K]``, losses to minimise; every indicator is computed per set, ``[...]``. Definitions of the last
two groups are LibMOON's, so that its tables can be compared (it prints spacing and sparsity times 100 in some of them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.fronts.dominance import non_dominated
from moo_mtl.tensors import require_points, require_tensor

_BLOCK = 16_000_000  # numbers held in memory at a time


def hypervolume(points: Tensor, ref_point: Tensor) -> Tensor:
    """Volume that the points dominate up to a reference point, by moocore; points beyond it add nothing. Higher is better.

    Args:
        points: ``[..., N, K]``.
        ref_point: ``[K]``.

    Raises:
        InputError: the reference point has another length, or a loss is not finite.
    """
    import moocore

    _fitting(points, ref_point, "reference point")
    if not bool(points.isfinite().all()):
        raise InputError("hypervolume: a loss is NaN or infinite; leave such points out")
    sets = points.detach().double().cpu().reshape(points.shape[:-2].numel(), *points.shape[-2:]).numpy()
    if ref_point.ndim != 1 or bool(ref_point.isnan().any()):
        raise InputError(f"hypervolume: found a reference point of shape {list(ref_point.shape)}, expected [K] without NaN")
    corner = ref_point.detach().double().cpu().numpy()
    volumes = [moocore.hypervolume(one, ref=corner) if len(one) else 0.0 for one in sets]
    return torch.tensor(volumes, dtype=torch.float64).reshape(points.shape[:-2])


def igd(points: Tensor, front: Tensor) -> Tensor:
    """Inverted generational distance: mean over the front of the distance to the nearest point. Lower is better.

    Raises:
        InputError: points and front have different numbers of losses (so for all indicators against a front).
    """
    return _from_front(points, front, _distance).mean(dim=-1)


def igd_plus(points: Tensor, front: Tensor) -> Tensor:
    """IGD that counts only what a point is worse by, and so agrees with dominance (Ishibuchi et al., EMO 2015)."""
    return _from_front(points, front, _shortfall).mean(dim=-1)


def gd_plus(points: Tensor, front: Tensor) -> Tensor:
    """Mean over the points of how much each is worse than the nearest of the front. Lower is better."""
    return _to_front(points, front, _shortfall).mean(dim=-1)


def epsilon(points: Tensor, front: Tensor) -> Tensor:
    """Additive epsilon: the least that must be subtracted from all points so that they weakly dominate the front."""
    return _from_front(points, front, _largest).amax(dim=-1)


def spread(points: Tensor, front: Tensor) -> Tensor:
    r"""Deb's spread for any number of losses: 0 for points evenly apart that reach the extremes of the front.

    .. math:: \Delta = \frac{\sum_k d(e_k, P) + \sum_i |d_i - \bar d|}{\sum_k d(e_k, P) + N \bar d}

    with the extremes e_k of the front (its highest point in each loss) and the distance d_i from point i to its nearest
    neighbour.

    Raises:
        InputError: fewer than two points, or another number of losses than the front.

    Source: Zhou, Jin, Zhang, Sendhoff and Tsang, CEC 2006; Deb et al., NSGA-II, 2002, for two losses.
    """
    nearest = _neighbours(points).amin(dim=-1)
    _against(points, front)
    extremes = front[front.argmax(dim=-2)].to(points)
    missing = _from_front(points, extremes, _distance).sum(dim=-1)
    mean = nearest.mean(dim=-1, keepdim=True)
    uneven = (nearest - mean).abs().sum(dim=-1)
    return (missing + uneven) / (missing + nearest.sum(dim=-1)).clamp(min=torch.finfo(points.dtype).tiny)


def spacing(points: Tensor) -> Tensor:
    """Standard deviation of the distance to the nearest neighbour. Lower is more even.

    Raises:
        InputError: fewer than two points (so for all indicators of distances between points).
    """
    return _neighbours(points).amin(dim=-1).std(dim=-1, correction=0)


def sparsity(points: Tensor) -> Tensor:
    """Squared gaps between consecutive non-dominated points, summed over losses, over their number less one."""
    kept = non_dominated(points)
    if not points.shape[-2]:
        raise InputError("fronts: sparsity is of gaps between points, and there are none")
    ordered = points.masked_fill(~kept.unsqueeze(-1), torch.inf).sort(dim=-2).values
    gaps = ordered.diff(dim=-2)
    number = kept.sum(dim=-1)
    inside = torch.arange(1, points.shape[-2], device=points.device) < number.unsqueeze(-1)
    squares = gaps.square().masked_fill(~inside.unsqueeze(-1), 0.0).sum(dim=(-2, -1))
    return squares / (number - 1).clamp(min=1)


def min_distance(points: Tensor) -> Tensor:
    """Lmin: the smallest distance between two points. Higher is more even."""
    return _neighbours(points).amin(dim=(-2, -1))


def soft_min_distance(points: Tensor, sharpness: float = 20.0) -> Tensor:
    r"""Soft Lmin: :math:`-\frac1s \log \sum_{i \ne j} e^{-s\, d_{ij}}`; below Lmin, and negative for crowded sets."""
    return -torch.logsumexp((-sharpness * _neighbours(points)).flatten(start_dim=-2), dim=-1) / sharpness


def inner_product(points: Tensor, preferences: Tensor) -> Tensor:
    """Mean over pairs of :math:`w^\\top f`; point i is held against preference i.

    Raises:
        InputError: points and preferences have different shapes (so for all indicators against preferences).
    """
    return (points * _paired(points, preferences)).sum(dim=-1).mean(dim=-1)


def angle(points: Tensor, preferences: Tensor) -> Tensor:
    """Mean angle between points and their preferences, in degrees."""
    directions = _paired(points, preferences)
    along = (points * directions).sum(dim=-1)
    # atan2 of the area between the two, not acos of their product, which is blind to small angles
    squares = points.square().sum(dim=-1) * directions.square().sum(dim=-1)
    cross = points.unsqueeze(-1) * directions.unsqueeze(-2)
    area = ((cross - cross.mT).square().sum(dim=(-2, -1)) / 2).sqrt()
    return torch.where(squares > 0, torch.atan2(area, along), torch.nan).rad2deg().mean(dim=-1)


def pbi(points: Tensor, preferences: Tensor, penalty: float = 5.0) -> Tensor:
    """Mean of the distance along the preference plus ``penalty`` times the distance from it."""
    directions = _paired(points, preferences)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    along = (points * directions).sum(dim=-1, keepdim=True)
    away = (points - along * directions).norm(dim=-1)
    return (along.squeeze(-1) + penalty * away).mean(dim=-1)


def _from_front(points: Tensor, front: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    """Least measure over the points, for each of the front, ``[..., R]``."""
    return torch.cat([measure(offsets).amin(dim=-2) for offsets in _offsets(points, front)], dim=-1)


def _to_front(points: Tensor, front: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    """Least measure over the front, for each point, ``[..., N]``."""
    return torch.stack([measure(offsets).amin(dim=-1) for offsets in _offsets(points, front)]).amin(dim=0)


def _offsets(points: Tensor, front: Tensor) -> Iterator[Tensor]:
    """How much worse each point is than each of the front, ``[..., N, R, K]``, a block of the front at a time."""
    _against(points, front)
    for block in front.to(points).split(max(1, _BLOCK // max(1, points.numel()))):
        yield points.unsqueeze(-2) - block


def _distance(offsets: Tensor) -> Tensor:
    return offsets.norm(dim=-1)


def _shortfall(offsets: Tensor) -> Tensor:
    return offsets.clamp(min=0).norm(dim=-1)


def _largest(offsets: Tensor) -> Tensor:
    return offsets.amax(dim=-1)


def _neighbours(points: Tensor) -> Tensor:
    """Distances from each point to the N - 1 others, ``[..., N, N - 1]``."""
    require_points("fronts", "points", points)
    n = points.shape[-2]
    if n < 2:
        raise InputError(f"indicators of distances between points need two of them, found {n}")
    distances = (points.unsqueeze(-2) - points.unsqueeze(-3)).norm(dim=-1)
    others = ~torch.eye(n, dtype=torch.bool, device=points.device)
    return distances[..., others].reshape(*points.shape[:-2], n, n - 1)


def _paired(points: Tensor, preferences: Tensor) -> Tensor:
    require_points("fronts", "points", points)
    require_tensor("fronts", "preferences", preferences)
    if points.shape[-2:] != preferences.shape[-2:]:
        found = f"{tuple(points.shape)} and {tuple(preferences.shape)}"
        raise InputError(f"each point is held against its own preference: shapes must end alike, found {found}")
    if preferences.is_complex():
        raise InputError("fronts: preferences are complex, expected real numbers")
    return preferences.to(points)


def _against(points: Tensor, front: Tensor) -> None:
    _fitting(points, front, "front")
    if front.ndim != 2 or not front.numel() or not points.shape[-2]:
        raise InputError(
            f"indicators hold at least one point against a front [R, K], found {list(points.shape)} and {list(front.shape)}"
        )


def _fitting(points: Tensor, other: Tensor, what: str) -> None:
    require_points("fronts", "points", points)
    require_tensor("fronts", what, other)
    if not other.ndim or points.shape[-1] != other.shape[-1] or other.is_complex():
        raise InputError(
            f"points [..., N, K] and {what} [..., K] must agree in K, found {tuple(points.shape)} and {tuple(other.shape)}"
        )
