r"""UPGrad of three gradients, in closed form on the six numbers of a Gramian, for large batches.

A gradient k and the two others a, b, as unit vectors with cosines :math:`c_a, c_b` to k and c between them. What lifts k out of
conflict is :math:`(-c_a)_+` of the first alone, if the second is then in no conflict; or the second alone; or both, from
:math:`y_a + c\, y_b = -c_a` and :math:`c\, y_a + y_b = -c_b`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl.solvers.backend import plain
from moo_mtl.solvers.inner_products import SLACK, require_inner_products, symmetric
from moo_mtl.solvers.normal_form import TOLERANCE, check_gramian
from moo_mtl.solvers.solution import Solution


def applies(gramian: Tensor, present: Tensor | None, backend: str, extra: object) -> bool:
    """Whether this is a batch of three gradients, all there, for the exact kernels."""
    return plain(present, backend, extra) and gramian.shape[-2:] == (3, 3)


def upgrad(gramian: Tensor) -> Solution:
    """``dual_cone.upgrad`` with equal preferences, ``[..., 3, 3]``: each gradient's third, and what lifts the two others."""
    check_gramian(gramian)
    G, noise = gramian.detach().double(), torch.finfo(gramian.dtype).eps
    norms = torch.stack([G[..., k, k] for k in range(3)]).clamp_(min=0).sqrt_()  # [3, ...]: the gradient that is lifted
    inverse = torch.where(norms > 0, 1 / norms, 0.0)
    after = torch.stack([G[..., 0, 1], G[..., 1, 2], G[..., 2, 0]])  # the products of each with the next
    cosines = after * inverse * inverse.roll(-1, 0)
    if not _inner_products(G, norms, cosines):
        require_inner_products(gramian)
    cosines.clamp_(-1, 1)
    a, b, between = cosines, cosines.roll(1, 0), cosines.roll(-1, 0)
    lift_a, lift_b = _lifts(a, b, between, 4 * noise)

    base = norms / 3
    own = 1 + a * lift_a + b * lift_b
    slope_a, slope_b = a + lift_a + between * lift_b, b + lift_b + between * lift_a
    conflict = torch.minimum(torch.minimum(slope_a, slope_b), own).clamp_(max=0)
    relative = lift_a * slope_a.abs() + lift_b * slope_b.abs() - conflict
    # Near dependence the lifts grow, and rounding hides squared lengths below noise times their square.
    allowed = (8 * noise * (1 + lift_a + lift_b).square()).clamp_(min=max(TOLERANCE, 24 * noise))
    converged = ((relative <= 3 * allowed) | (norms == 0)).all(dim=0)
    gap = (relative * base.square()).sum(dim=0)

    on_next, on_last = lift_a * base, lift_b * base
    weights = 1 / 3 + (on_next.roll(1, 0) + on_last.roll(-1, 0)) * inverse
    pairs = weights.roll(-1, 0)
    value = ((norms * weights).square() + 2 * weights * pairs * after).sum(dim=0).clamp_(min=0)
    unknown = G.sum(dim=(-2, -1)) * 0  # NaN where an entry is not finite
    return Solution((weights + unknown).movedim(0, -1), value + unknown, gap + unknown, converged & (unknown == 0))


def _inner_products(G: Tensor, norms: Tensor, cosines: Tensor) -> bool:
    """Whether there is no doubt that these are inner products, or they are not to be looked at."""
    if G.device.type != "cpu" or not G.numel():
        return True
    return symmetric(G) and float(cosines.abs().amax()) <= 1 + SLACK and float(norms.amin()) > 0


def _lifts(a: Tensor, b: Tensor, between: Tensor, rounding: float) -> tuple[Tensor, Tensor]:
    """Multiples of the two others, at least 0, for cosines ``[3, ...]``; of equal or opposite ones one alone is enough."""
    alone_a, alone_b = (-a).clamp_(min=0), (-b).clamp_(min=0)
    enough_a = b + between * alone_a >= -rounding
    enough_b = a + between * alone_b >= -rounding
    sine = ((1 - between) * (1 + between)).clamp_(min=1e-300)
    both_b = ((between * a - b) / sine).clamp_(min=0)
    both_a = (-a - between * both_b).clamp_(min=0)  # by elimination: a second quotient would leave a residual 1 / sine larger
    lift_a = torch.where(enough_a, alone_a, both_a.masked_fill_(enough_b, 0.0))
    lift_b = torch.where(enough_b, alone_b, both_b)
    return lift_a, lift_b.masked_fill_(enough_a, 0.0)
