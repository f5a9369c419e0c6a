r"""UPGrad, DualProj and CAGrad of two gradients, in closed form on the three numbers of a Gramian, for large batches.

With squared lengths a, b and inner product c, the part of the second gradient that conflicts with the first is lifted away by
:math:`r = (-c)_+ / a` of the first, and that of the first by :math:`s = (-c)_+ / b` of the second. Then no conflict is left:
:math:`a + s c = (a b - c^2) / b` is not negative.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl.solvers.backend import plain
from moo_mtl.solvers.inner_products import require_inner_products, two_inner_products
from moo_mtl.solvers.normal_form import TOLERANCE, check_gramian
from moo_mtl.solvers.solution import Solution

STATIONARY = 16  # times K eps: squared distance of the hull from 0 that rounding hides, relative to the lengths added up
_LEAST = 5e-324  # the smallest positive number: in its place a gradient of length 0 divides without harm


def applies(gramian: Tensor, present: Tensor | None, backend: str, extra: object) -> bool:
    """Whether this is a batch of two gradients, both there, for the exact kernels."""
    return plain(present, backend, extra) and gramian.shape[-2:] == (2, 2)


def upgrad(gramian: Tensor) -> Solution:
    """``dual_cone.upgrad`` with equal preferences, ``[..., 2, 2]``: each gradient's half, and what lifts the other's."""
    a, b, c = _entries(gramian)
    against = (c / -2).clamp_(min=0)
    r, s = against / a.clamp(min=_LEAST), against / b.clamp(min=_LEAST)
    ratio = (a / b.clamp(min=_LEAST)).sqrt_().clamp_(1e-300, 1e300)
    gap, too = _gap(a, b, c, s, ratio), _gap(b, a, c, r, 1 / ratio)
    # Lengths of the parts of a projection add up to at most twice the half of its gradient.
    allowed = max(max(TOLERANCE, 16 * torch.finfo(gramian.dtype).eps) / 2, 16 * torch.finfo(gramian.dtype).eps)
    converged = (gap <= allowed * a) & (too <= allowed * b)
    v, w = r + 0.5, s + 0.5
    return Solution(torch.stack([v, w]).movedim(0, -1), _square(a, b, c, v, w), gap + too, converged)


def dualproj(gramian: Tensor) -> Solution:
    """``dual_cone.dualproj`` with equal preferences, ``[..., 2, 2]``: one gradient at most is longer than its half."""
    a, b, c = _entries(gramian)
    r, s = (-c / side.clamp(min=_LEAST) for side in (a, b))
    v, w = r.clamp_(min=1) / 2, s.clamp_(min=1) / 2
    slope, other = a * v + c * w, c * v + b * w
    long, wide = a.sqrt(), b.sqrt()
    conflict = torch.maximum(-slope / long.clamp(min=_LEAST), -other / wide.clamp(min=_LEAST)).clamp_(min=0)
    before = (a + b + 2 * c).clamp_(min=0)
    gap = (v - 0.5) * slope.abs() + (w - 0.5) * other.abs() + conflict * before.sqrt() / 2
    eps = torch.finfo(gramian.dtype).eps
    size = torch.maximum(max(TOLERANCE, 16 * eps) * before / 4, 8 * eps * (long * v + wide * w).square())
    return Solution(torch.stack([v, w]).movedim(0, -1), _square(a, b, c, v, w) / 2, gap, gap <= 2 * size)


def cagrad(gramian: Tensor, radius: float) -> Solution:
    r"""``trust_region.cagrad``, ``[..., 2, 2]``; members that it does not answer are not converged.

    On the line through both gradients let t be the position measured from the foot of the perpendicular, of length p, and
    :math:`\beta` the slope of :math:`g_w^\top g_0` along it. Then :math:`\beta t + r \sqrt{p^2 + t^2}` with
    :math:`r = c \lVert g_0 \rVert` is least at :math:`t = -p \beta / \sqrt{r^2 - \beta^2}`, or at an end of the segment.
    """
    a, b, c = _entries(gramian)
    noise = torch.finfo(gramian.dtype).eps
    unit = torch.maximum(a, b)
    a, b, c = a / unit, b / unit, c / unit
    apart, sum_of_squares = (a + b - 2 * c).clamp_(min=0), a + b
    area, mean = (a * b - c * c).clamp_(min=0), (sum_of_squares + 2 * c).clamp_(min=0) / 4
    reach = radius * mean.sqrt()
    slope = (a - b) / (2 * apart.sqrt())
    inside = (reach.square() - slope.square()).clamp_(min=0).sqrt()
    foot = (b - c) / apart
    w = (foot - area.sqrt() / apart * slope / inside).clamp_(0, 1)

    v = 1 - w
    q, r = w * a + v * c, w * c + v * b
    length = (w * q + v * r).sqrt()
    factor = reach / length
    first, second = (a + c) / 2 + factor * q, (b + c) / 2 + factor * r
    value = torch.minimum(first, second)
    gap = ((q + r) / 2 + reach * length - value).clamp_(min=0)
    nearest = torch.where((foot > 0) & (foot < 1), area / apart, torch.minimum(a, b))
    # Relative to the longer one: a short gradient's part in rounding is smaller, and the general program looks at it closely.
    answered = (nearest > STATIONARY * noise * 2) & (gap <= 50 * max(TOLERANCE, 16 * noise) * sum_of_squares)
    weights = torch.stack([factor * w + 0.5, factor * v + 0.5])
    return Solution(weights.movedim(0, -1), value * unit, gap * unit, answered)


def _entries(gramian: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """a, b and c; all NaN for a member with an entry that is not finite."""
    check_gramian(gramian)
    G = gramian.detach().double()
    a, b, c = (G[..., i, j].contiguous() for i, j in ((0, 0), (1, 1), (0, 1)))
    if not two_inner_products(a, b, c, G[..., 1, 0]):
        require_inner_products(gramian)
    total = a + b + c
    if total.device.type == "cpu" and bool(total.sum().isfinite()):
        return a.clamp(min=0), b.clamp(min=0), c
    unknown = total * 0  # NaN where an entry is not finite
    return a.clamp(min=0) + unknown, b.clamp(min=0) + unknown, c + unknown


def _gap(a: Tensor, b: Tensor, c: Tensor, s: Tensor, ratio: Tensor) -> Tensor:
    r"""Gap of :math:`g_1 / 2 + s g_2` as the projection of :math:`g_1 / 2`, as ``dual_cone`` states it.

    Args:
        a: squared length of the first gradient, ``[...]``.
        b: of the second.
        c: their inner product.
        s: weight of the second.
        ratio: of the first length to the second.
    """
    own, other = torch.addcmul(a / 2, c, s), torch.addcmul(c / 2, b, s)
    conflict = torch.maximum(-own, other * -ratio).clamp_(min=0)
    return torch.addcmul(conflict / 2, s, other.abs_())


def _square(a: Tensor, b: Tensor, c: Tensor, v: Tensor, w: Tensor) -> Tensor:
    """Squared length of a combination."""
    return (v * torch.addcmul(a * v, c, w) + w * torch.addcmul(c * v, b, w)).clamp_(min=0)
