r"""How far a point is from Pareto-stationarity: bounds on :math:`\operatorname{dist}(0, \operatorname{conv}\{g_k\})`.

The certificate holds for anybody's weights. It speaks of weak, local, first-order stationarity in the Euclidean metric, of
the losses whose gradients it is given: from mini-batches it is an estimate (see ``estimate``), and stationarity in the
shared parameters alone is not stationarity of the model (see ``with_heads``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.solvers.min_norm import simplex_weights
from moo_mtl.solvers.nonnegative_qp import nonnegative_qp
from moo_mtl.solvers.normal_form import NormalForm, check_gramian, normal_form, one_for_each, one_per_task, times
from moo_mtl.tensors import require_tensor

STATUS = ("stationary", "bounded", "estimate", "nonfinite")
STATIONARY, BOUNDED, ESTIMATE, NONFINITE = range(4)


class Certificate(NamedTuple):
    r"""Bounds :math:`\text{lower} \le \min_{w \in \Delta} \lVert J^\top w \rVert \le \text{upper}`.

    Attributes:
        weights: on the simplex, ``[..., K]`` float64: those certified.
        lower: ``[...]``; above zero it proves that some direction decreases every loss at least at this rate.
        upper: ``[...]``; the length of the direction that ``weights`` give.
        gap: ``upper - lower``, ``[...]``.
        code: ``[...]`` int64, an index into ``STATUS``: 0 stationary (rounding hides the upper bound), 1 bounded,
            2 estimate (from mini-batches: no bound), 3 nonfinite. ``status`` gives the words.
    """

    weights: Tensor
    lower: Tensor
    upper: Tensor
    gap: Tensor
    code: Tensor

    @property
    def status(self) -> str | NDArray[np.str_]:
        """``code`` in words: a string for one certificate, an array of strings ``[...]`` for a batch (read to the host)."""
        words = np.array(STATUS)[self.code.cpu().numpy()]
        return words if self.code.ndim else str(words)


def certify(
    gramian: Tensor,
    *,
    weights: Tensor | None = None,
    rows: Tensor | None = None,
    at_bounds: Tensor | None = None,
    present: Tensor | None = None,
) -> Certificate:
    r"""Bounds on the distance to Pareto-stationarity, from any weights, for any batch.

    With :math:`d = J^\top w`, :math:`q = J d` and simplex weights w, ``upper`` is :math:`\lVert d \rVert` and ``lower`` is
    :math:`\max(0, \min_k q_k) / \lVert d \rVert`. Within a box, d is replaced by the part of it that a step ``-d`` can take:
    at a lower end only its negative part remains, at an upper end only its positive part.

    Args:
        gramian: ``[..., K, K]`` of the raw losses' gradients, any scale.
        weights: ``[..., K]`` of any rule: their positive part, divided by its sum (equal weights where nothing is positive).
            Without them the exact min-norm weights are found, and ``gap`` is rounding.
        rows: the gradients, ``[..., K, D]``; needed with ``at_bounds``, and otherwise used to measure d without the digits that
            the Gramian loses.
        at_bounds: ``[..., D]``, -1 where a variable sits at its lower end, +1 at its upper end, 0 elsewhere.
        present: ``[..., K]`` bool; an absent task has weight 0 and is left out.

    Returns:
        A Certificate. ``stationary`` means that ``upper ** 2`` is below ``4 K eps`` of the largest squared gradient.

    Raises:
        InputError: a shape, dtype or (on CPU) entry is not as stated, or ``at_bounds`` comes without ``rows``.

    Any training loop can be certified; here the weights another library chose, from the gradients of one step:

    >>> import torch
    >>> from moo_mtl import certify
    >>> rows = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)   # one gradient a task
    >>> theirs = certify(rows @ rows.T, weights=torch.tensor([0.5, 0.5]))    # LibMTL, TorchJD, or equal weights
    >>> exact = certify(rows @ rows.T)
    >>> print(f"{theirs.lower:.3f} <= {exact.upper:.3f} <= {theirs.upper:.3f}, {theirs.status}")
    0.447 <= 0.894 <= 1.118, bounded

    Source: Desideri (2012); the lower bound is Cauchy-Schwarz, since every point of the hull has ``d'J'w >= min_k q_k``.
    """
    form = normal_form(gramian, present)
    if at_bounds is not None and rows is None:
        raise InputError("certify: at_bounds needs rows, the gradients themselves [..., K, D]; the Gramian has no coordinates")
    if rows is not None:
        _check_rows(form, rows, at_bounds)
        finite = form.finite & rows.isfinite().all(dim=-1).all(dim=-1)
        rows = (rows.detach().double() / form.unit.sqrt()[..., None, None]).nan_to_num(0.0, 0.0, 0.0)
        rows = rows * form.present.unsqueeze(-1)
        form = form._replace(finite=finite)
    if weights is not None:
        w = _simplex_part(form.present, weights)
    elif rows is None or at_bounds is None:
        w = simplex_weights(form)
    else:
        w = _boxed_weights(form, rows, at_bounds)
    if rows is None:
        q = times(form.gramian, w)
        length = (q * w).sum(dim=-1).clamp(min=0).sqrt()
    else:
        d = _reachable((w.unsqueeze(-1) * rows).sum(dim=-2), at_bounds)
        q, length = times(rows, d), d.norm(dim=-1)
    return _bounds(form, w, q, length, w.isfinite().all(dim=-1))


def estimate(cross: Tensor, weights: Tensor) -> Certificate:
    r"""Unbiased estimate of :math:`\lVert J^\top w \rVert^2` from the gradients of two half-batches; no bound.

    The min-norm value of mini-batch gradients is positive even at a stationary point. For weights chosen without these
    batches, :math:`w^\top J_a J_b^\top w` has the right mean, and may be negative.

    Args:
        cross: :math:`J_a J_b^\top` of two independent batches, ``[..., K, K]``, not symmetric.
        weights: ``[..., K]``; their positive part, divided by its sum.

    Returns:
        A Certificate of status ``estimate`` whose ``upper`` is the signed root of the estimate and whose ``lower`` is 0.

    Raises:
        InputError: a shape or dtype is not as stated.
    """
    check_gramian(cross)
    w = _simplex_part(torch.ones(cross.shape[:-1], dtype=torch.bool, device=cross.device), weights)
    unit = cross.detach().double().abs().amax(dim=-1).amax(dim=-1)
    finite = unit.isfinite()
    unit = torch.where((unit > 0) & finite, unit, 1.0)
    scaled = (cross.detach().double() / unit[..., None, None]).nan_to_num(0.0, 0.0, 0.0)
    value = (times(scaled, w) * w).sum(dim=-1)
    signed = value.sign() * (value.abs() * unit).sqrt()
    bad = ~finite | ~w.isfinite().all(dim=-1)
    upper = signed.masked_fill(bad, torch.nan)
    lower = torch.zeros_like(upper).masked_fill(bad, torch.nan)
    code = torch.where(bad, NONFINITE, ESTIMATE)
    return Certificate(w, lower, upper, upper - lower, code)


def with_heads(gramian: Tensor, heads: Tensor) -> Tensor:
    r"""Gramian over all parameters when every task has its own head: :math:`G + \operatorname{diag}(\lVert \nabla_k \rVert^2)`.

    Args:
        gramian: over the shared parameters, ``[..., K, K]``.
        heads: squared length of each loss's gradient in its own head, ``[..., K]``.

    Returns:
        ``[..., K, K]`` float64. Certify both: the value with heads is never below the one without.
    """
    return gramian.double() + torch.diag_embed(heads.double())


def _check_rows(form: NormalForm, rows: Tensor, at_bounds: Tensor | None) -> None:
    K = form.norms.shape[-1]
    require_tensor("certify", "rows", rows)
    if not rows.is_floating_point() or rows.ndim < 2 or rows.shape[-2] != K:
        raise InputError(f"rows: found shape {list(rows.shape)} of {rows.dtype}; expected [..., {K}, D] of floats")
    one_for_each("rows", rows.shape[:-2], form.unit.shape)
    if at_bounds is None:
        return
    require_tensor("certify", "at_bounds", at_bounds)
    if at_bounds.shape[-1:] != rows.shape[-1:]:
        raise InputError(
            f"at_bounds: found shape {list(at_bounds.shape)}; expected [..., {rows.shape[-1]}], one entry per variable"
        )


def _simplex_part(present: Tensor, weights: Tensor) -> Tensor:
    w = one_per_task("weights", weights, present.shape).double().clamp(min=0) * present
    largest = w.amax(dim=-1, keepdim=True)  # divided out first, so that weights of any size add up without overflow
    w = torch.where(largest > 0, w / largest, torch.where(largest == 0, present.double(), w))
    return w / w.sum(dim=-1, keepdim=True).clamp(min=1)


def _reachable(d: Tensor, at_bounds: Tensor | None) -> Tensor:
    """The part of d along which ``-d`` stays in the box."""
    if at_bounds is None:
        return d
    return torch.where(at_bounds < 0, d.clamp(max=0), torch.where(at_bounds > 0, d.clamp(min=0), d))


def _boxed_weights(form: NormalForm, rows: Tensor, at_bounds: Tensor) -> Tensor:
    r"""Min-norm point of the hull of the gradients plus the cone of the active bounds' normals.

    The normals join the kernel of ``min_norm`` as rays: unit rows whose weight is at least 0 and not counted in the sum.
    """
    K = rows.shape[-2]
    batch = torch.Size(np.broadcast_shapes(rows.shape[:-2], at_bounds.shape[:-1], form.unit.shape))
    rows, side = rows.expand(*batch, *rows.shape[-2:]).reshape(-1, *rows.shape[-2:]), at_bounds.sign().double()
    side = side.expand(*batch, side.shape[-1]).reshape(-1, side.shape[-1])
    columns = rows
    if rows.device.type == "cpu":  # variables that are nowhere at a bound have no normal
        active = (side != 0).any(dim=0)
        columns, side = rows[..., active], side[:, active]
    present = form.present.expand(*batch, K).reshape(-1, K)
    norms = rows.norm(dim=-1)
    zero = present & (norms == 0)
    some = zero.any(dim=-1, keepdim=True)
    acting = present & ~zero
    safe = torch.where(norms > 0, norms, 1.0)
    shortest = safe.masked_fill(~acting, torch.inf).amin(dim=-1, keepdim=True)
    t = torch.where(acting, shortest / safe, 0.0)
    unit = rows / safe.unsqueeze(-1)
    C = unit @ unit.mT + t.unsqueeze(-1) * t.unsqueeze(-2)
    across = columns / safe.unsqueeze(-1) * side.unsqueeze(-2)
    rays = torch.diag_embed(side.abs())
    H = torch.cat([torch.cat([C, across], dim=-1), torch.cat([across.mT, rays], dim=-1)], dim=-2)
    b = torch.cat([t, torch.zeros_like(side)], dim=-1)
    x = nonnegative_qp(H, b, torch.cat([acting & ~some, (side != 0) & ~some], dim=-1), form.noise)[:, :K] * t
    w = torch.where(some, zero.double(), x)
    w = w / w.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(w.dtype).tiny)
    return w.reshape(*batch, K)


def _bounds(form: NormalForm, w: Tensor, q: Tensor, length: Tensor, known: Tensor) -> Certificate:
    """Bounds and status from a direction's length and its products q with the gradients, in units of the largest gradient."""
    least = q.masked_fill(~form.present, torch.inf).amin(dim=-1).clamp(min=0)
    lower = torch.where(length > 0, least / torch.where(length > 0, length, 1.0), 0.0)
    lower = torch.minimum(lower, length)
    stationary = length.square() <= 4 * w.shape[-1] * form.noise
    bad = ~form.finite | ~known
    code = torch.where(bad, NONFINITE, torch.where(stationary, STATIONARY, BOUNDED))
    scale = form.unit.sqrt().masked_fill(bad, torch.nan)
    lower, upper = lower * scale, length * scale
    return Certificate(w.masked_fill(bad.unsqueeze(-1), torch.nan), lower, upper, upper - lower, code)
