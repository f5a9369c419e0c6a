"""What a solver's answer must be, seen from its weights and the Gramian alone: one sentence for every law that does not hold.

Each law is the optimality condition of the program, computed anew: nothing is taken from the solver but its weights, and
whether it says that it converged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from moo_mtl import solvers
from moo_mtl.solvers import Solution

EPS = torch.finfo(torch.float64).eps
RADIUS, COSINE, ALPHA = 0.4, 0.5, 2.0  # of CAGrad's ball, ConicGrad's cone, and FairGrad, as they are fuzzed
NONNEGATIVE = {"min_norm", "dualproj", "upgrad", "nash", "fairgrad", "cagrad", "conicgrad"}
Law = tuple[str, Tensor]  # what is wrong, and with which members


def broken_laws(name: str, G: Tensor, solution: Solution) -> list[str]:
    """What does not hold of a batch ``[B, K, K]``, one sentence a law."""
    w, sure = solution.weights, solution.converged
    laws = [
        ("weights are NaN", w.isnan().any(dim=-1)),
        ("the gap of a converged member is NaN or negative", sure & ~(solution.gap >= 0)),
    ]
    if name in NONNEGATIVE:
        laws.append(("a weight is negative", (w < 0).any(dim=-1)))
    unit = G.diagonal(dim1=-2, dim2=-1).amax(dim=-1).clamp(min=1e-300)
    scaled = G / unit[:, None, None]
    laws += [(says, sure & wrong) for says, wrong in LAWS[name](scaled, _in_units(name, w, unit))]
    found = []
    for says, wrong in laws:
        if bool(wrong.any()):
            member = int(wrong.nonzero()[0, 0])
            where = f"{int(wrong.sum())} of {len(G)} times for K = {G.shape[-1]}; the first: "
            found.append(f"{name}: {says}, {where}{G[member].tolist()} -> {w[member].tolist()}")
    return found


def _in_units(name: str, w: Tensor, unit: Tensor) -> Tensor:
    """The weights for ``G / unit``: those of the bargaining rules have a unit of their own."""
    alpha = {"nash": 1.0, "fairgrad": ALPHA}.get(name)
    return w if alpha is None else w * unit.unsqueeze(-1) ** (alpha / (1 + alpha))


def _times(G: Tensor, w: Tensor) -> Tensor:
    return torch.einsum("bij,bj->bi", G, w)


def _hidden(G: Tensor, w: Tensor) -> Tensor:
    """What the rounding of G's entries can do to a squared length: it makes G indefinite by about eps, as 60 digits show."""
    lengths = G.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    return EPS * (w.abs() * lengths).sum(dim=-1).square()


def _mean(G: Tensor) -> Tensor:
    return torch.full_like(G[..., 0], 1 / G.shape[-1])


def _length(G: Tensor, w: Tensor) -> Tensor:
    return (_times(G, w) * w).sum(dim=-1).clamp(min=0).sqrt()


def min_norm(G: Tensor, w: Tensor) -> Iterator[Law]:
    yield "weights leave the simplex", ~((w.sum(dim=-1) - 1).abs() <= 1e-12)
    q = _times(G, w)
    yield "the true gap is above 1e-11", ~((q * w).sum(dim=-1) - q.amin(dim=-1) <= 1e-11)


def dualproj(G: Tensor, w: Tensor) -> Iterator[Law]:
    yield from conflict_free(G, w)
    lifted = w - _mean(G)
    complementary = (lifted * _times(G, w).abs()).sum(dim=-1)
    yield "a task is lifted that is in no conflict", ~(complementary <= (32 * G.shape[-1] * _hidden(G, w)).clamp(min=1e-10))


def conflict_free(G: Tensor, w: Tensor) -> Iterator[Law]:
    least = _times(G, w).amin(dim=-1)
    yield "the direction conflicts with a task", ~(least >= -_hidden(G, w).clamp(min=1e-10))
    yield "a weight is below the task's own share", (w < _mean(G) * (1 - 1e-12)).any(dim=-1)


def upgrad(G: Tensor, w: Tensor) -> Iterator[Law]:
    """And the sum of the projections one by one, of the first member: of the other laws many directions are good."""
    yield from conflict_free(G, w)
    K = G.shape[-1]
    wrong = torch.zeros(len(G), dtype=torch.bool)
    if len(G) and K <= ONE_BY_ONE:
        apart = [solvers.dual_cone(G[:1], row) for row in torch.eye(K, dtype=G.dtype) / K]
        total = torch.stack([one.weights for one in apart]).sum(dim=0)
        least = torch.maximum(_hidden(G[:1], w[:1]), _hidden(G[:1], total)).sqrt().clamp(min=1e-8)
        wrong[:1] = ~(_length(G[:1], w[:1] - total) <= 8 * K * least) & bool(all(one.converged.all() for one in apart))
    yield "the direction is not the sum of the projections one by one", wrong


ONE_BY_ONE = 60  # tasks up to which the projections are compared


def bargained(alpha: float) -> Callable[[Tensor, Tensor], Iterator[Law]]:
    """The equation ``Gw = w^(-1/alpha)``, to what rounding allows."""

    def equation(G: Tensor, w: Tensor) -> Iterator[Law]:
        root = w ** (1 / alpha)
        terms = root.unsqueeze(-1) * G * w.unsqueeze(-2)
        allowed = 1e-8 + 64 * EPS * terms.abs().sum(dim=-1)
        yield f"(Gw)_k w_k^(1/{alpha:g}) is not 1", ~((terms.sum(dim=-1) - 1).abs() <= allowed).all(dim=-1)

    return equation


def cagrad(G: Tensor, w: Tensor) -> Iterator[Law]:
    """In the ball; and no dual point that we know promises a better worst case."""
    p = _mean(G)
    products, axis = _times(G, p), _length(G, p)
    hidden = 64 * G.shape[-1] * _hidden(G, w)
    moved = w - p
    yield "the direction leaves the ball", ~(_length(G, moved) <= RADIUS * axis * (1 + 1e-9) + hidden.sqrt())
    bounds = []
    for dual in (moved.clamp(min=0), solvers.min_norm(G).weights):
        dual = dual / dual.sum(dim=-1, keepdim=True).clamp(min=1e-300)
        proves = dual.sum(dim=-1) > 0.5
        bounds.append(((dual * products).sum(dim=-1) + RADIUS * axis * _length(G, dual)).masked_fill(~proves, torch.inf))
    worst = _times(G, w).amin(dim=-1)
    better = torch.minimum(*bounds).masked_fill(axis == 0, 0.0)
    yield "the worst improvement is below its dual bound", ~(worst >= better - 1e-9 - hidden)


def conicgrad(G: Tensor, w: Tensor) -> Iterator[Law]:
    """In the cone; and neither the mean gradient nor the min-norm point, where it is in the cone, is better."""
    p = _mean(G)
    axis, hidden = _length(G, p), 64 * G.shape[-1] * _hidden(G, w)

    def inside(v: Tensor, slack: Tensor | float) -> Tensor:
        return (_times(G, p) * v).sum(dim=-1) >= COSINE * axis * _length(G, v) - slack

    def value(v: Tensor) -> Tensor:
        return _times(G, v).amin(dim=-1) - _length(G, v).square() / 2

    yield "the direction leaves the cone", ~inside(w, 1e-9 + hidden.sqrt())
    ours = value(w)
    yield "no step at all would be better", ~(ours >= -1e-9 - hidden)
    for says, v in (("the mean gradient", p), ("the min-norm point", solvers.min_norm(G).weights)):
        step = _times(G, v).amin(dim=-1).clamp(min=0) / _length(G, v).square().clamp(min=1e-12)
        other = step.unsqueeze(-1) * v
        yield f"{says} would be better", inside(v, 0.0) & (axis > 1e-6) & ~(ours >= value(other) - 1e-9 - hidden)


def aligned(G: Tensor, w: Tensor) -> Iterator[Law]:
    """The formula by another decomposition, where the rank is clear: an SVD of the Gramian."""
    U, values, _ = torch.linalg.svd(G)
    largest = values[:, :1]
    kept = values > 1e-6 * largest
    clear = (kept | (values < 1e-17 * largest)).all(dim=-1) & (largest[:, 0] > 0)
    least = values.masked_fill(~kept, torch.inf).amin(dim=-1, keepdim=True)
    inside = torch.einsum("bji,bj->bi", U, _mean(G)) * torch.where(kept, (least / values).sqrt(), 0.0)
    expected = torch.einsum("bij,bj->bi", U, inside)
    apart = (w - expected).abs().amax(dim=-1)
    yield "weights are not those of the decomposition", clear & ~(apart <= 1e-6 * _mean(G)[:, 0])


def equal_slopes(G: Tensor, w: Tensor) -> Iterator[Law]:
    lengths = G.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    acting = lengths > 0
    cosines = G / torch.where(acting, lengths, 1.0)[:, :, None] / torch.where(acting, lengths, 1.0)[:, None, :]
    slope = _times(cosines, w * lengths)
    high, low = (slope.masked_fill(~acting, -torch.inf).amax(dim=-1), slope.masked_fill(~acting, torch.inf).amin(dim=-1))
    rounding = 64 * EPS * (w.abs() * lengths).sum(dim=-1)
    uneven = ~(high - low <= 1e-7 * torch.maximum(high.abs(), low.abs()) + rounding)
    yield "the slopes along the unit gradients differ", acting.any(dim=-1) & uneven


def imtl_g(G: Tensor, w: Tensor) -> Iterator[Law]:
    yield "weights do not sum to 1", ~((w.sum(dim=-1) - 1).abs() <= 1e-12 + 8 * EPS * w.abs().sum(dim=-1))
    yield from equal_slopes(G, w)


LAWS: dict[str, Callable[[Tensor, Tensor], Iterator[Law]]] = {
    "min_norm": min_norm,
    "dualproj": dualproj,
    "upgrad": upgrad,
    "nash": bargained(1.0),
    "fairgrad": bargained(ALPHA),
    "cagrad": cagrad,
    "conicgrad": conicgrad,
    "aligned": aligned,
    "config": equal_slopes,
    "imtl_g": imtl_g,
}
