"""The probability simplex: projection onto it, and multiplicative steps on it."""

import torch
from torch import Tensor


def project(point: Tensor, present: Tensor | None = None) -> Tensor:
    r"""Nearest point of the simplex :math:`\{w \ge 0,\ 1^\top w = 1\}` in the Euclidean norm.

    Args:
        point: ``[..., K]``.
        present: ``[..., K]`` bool; an absent coordinate is 0 and left out of the projection.

    Returns:
        ``[..., K]`` in the dtype of ``point``; all zero where nothing is present.

    Source: Held, Wolfe and Crowder (1974); the threshold :math:`\theta` comes from the sorted coordinates.
    """
    absent = None if present is None else ~present.expand(point.shape)
    kept = point if absent is None else point.masked_fill(absent, -torch.inf)
    ordered = kept.sort(dim=-1, descending=True).values
    count = torch.arange(1, point.shape[-1] + 1, dtype=point.dtype, device=point.device)
    # Coordinates are measured from the largest one, so that a common shift of any size costs no digits.
    top = ordered[..., :1].masked_fill(ordered[..., :1] == -torch.inf, 0.0)
    fall = ordered - top
    excess = fall.masked_fill(fall == -torch.inf, 0.0).cumsum(dim=-1) - 1.0
    inside = fall * count > excess
    last = inside.sum(dim=-1, keepdim=True).clamp(min=1)
    threshold = excess.gather(-1, last - 1) / last
    projected = (kept - top - threshold).clamp(min=0)
    return projected if absent is None else projected.masked_fill(absent, 0.0)


def entropic_step(weights: Tensor, gradient: Tensor, rate: float | Tensor, present: Tensor | None = None) -> Tensor:
    r"""Mirror-descent step :math:`w_k \propto w_k e^{-\eta\, g_k}`, which stays inside the simplex.

    Args:
        weights: ``[..., K]`` on the simplex.
        gradient: ``[..., K]`` of the function to be decreased.
        rate: :math:`\eta`, a number or ``[..., 1]``.
        present: ``[..., K]`` bool; an absent coordinate gets weight 0.

    Returns:
        ``[..., K]``, summing to 1 over what is present.

    Source: Beck and Teboulle (2003), Proposition 5.1.
    """
    logits = weights.log() - rate * gradient
    if present is None:
        return logits.softmax(dim=-1)
    stepped = logits.masked_fill(~present, -torch.inf).softmax(dim=-1)
    return stepped.masked_fill(~present, 0.0)  # nothing present: a softmax of -inf alone is NaN, and is masked here
