r"""How far a point is from Pareto-stationarity: bounds on :math:`\operatorname{dist}(0, \operatorname{conv}\{g_k\})`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.solvers.min_norm import min_norm
from moo_mtl.solvers.normal_form import normal_form

STATUS = ("stationary", "bounded", "estimate", "nonfinite")
STATIONARY, BOUNDED, ESTIMATE, NONFINITE = range(4)


class Certificate(NamedTuple):
    r"""Bounds :math:`\text{lower} \le \min_{w \in \Delta} \lVert J^\top w \rVert \le \text{upper}`.

    Attributes:
        weights: on the simplex, ``[..., K]`` float64: those certified.
        lower: ``[...]``; above zero it proves that some direction decreases every loss at this rate.
        upper: ``[...]``; the length of the direction that ``weights`` give.
        gap: ``upper - lower``, ``[...]``.
        code: ``[...]`` int64, an index into ``STATUS``: 0 stationary (the upper bound is rounding noise), 1 bounded,
            2 estimate (from mini-batches), 3 nonfinite. ``status`` gives the words.
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
    gramian: Tensor, *, weights: Tensor | None = None, rows: Tensor | None = None, at_bounds: Tensor | None = None
) -> Certificate:
    """Draft of the contract: unconstrained bounds only."""
    if at_bounds is not None:
        raise InputError("certify: at_bounds is not supported yet")
    form = normal_form(gramian)
    w = min_norm(gramian).weights if weights is None else weights.double().clamp(min=0)
    w = w / w.sum(dim=-1, keepdim=True)
    q = (form.gramian @ w.nan_to_num().unsqueeze(-1)).squeeze(-1)
    value = (q * w.nan_to_num()).sum(dim=-1).clamp(min=0)
    noise = 4 * w.shape[-1] * form.noise
    stationary = value <= noise
    length = value.sqrt()
    scale = form.unit.sqrt()
    lower = torch.where(stationary, 0.0, q.amin(dim=-1).clamp(min=0) / torch.where(stationary, 1.0, length))
    lower, upper = torch.minimum(lower, length) * scale, length * scale
    status = torch.where(stationary, STATIONARY, BOUNDED)
    bad = ~form.finite | ~w.isfinite().all(dim=-1)
    status = torch.where(bad, NONFINITE, status)
    lower, upper = lower.masked_fill(bad, torch.nan), upper.masked_fill(bad, torch.nan)
    return Certificate(w.masked_fill(bad.unsqueeze(-1), torch.nan), lower, upper, upper - lower, status)
