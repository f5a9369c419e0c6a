"""Powers below one, as they appear in ZDT, DTLZ6 and UF: exact values, and slopes that stay finite at 0."""

from __future__ import annotations

from torch import Tensor

FLOOR = 1e-16  # below it, the slope no longer grows


def power(x: Tensor, exponent: float | Tensor) -> Tensor:
    r""":math:`x^p` for :math:`x \ge 0`, whose first derivative is :math:`p \max(x, 10^{-16})^{p - 1}`.

    The true slope at 0 is infinite for p < 1. Optimal points lie there, on the edge of the box, where an infinite slope
    would turn Jacobians into NaN and stop every trajectory that is projected onto the box.

    >>> import torch
    >>> x = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    >>> power(x, 0.5).backward()
    >>> x.grad
    tensor(50000000., dtype=torch.float64)
    """
    at = x.detach()
    slope = exponent * at.clamp(min=FLOOR).pow(exponent - 1)
    return at.pow(exponent) + slope * (x - at)
