"""Last words on the weights, from the raw losses and Gramian."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from moo_mtl.observation import Needs, Observation
from moo_mtl.rules.rule import Weighing
from moo_mtl.rules.slot import Bound, Schedule, Then, at, excess


class Tension(NamedTuple):
    """The last W gradient lengths ``[..., K, W]``, oldest first, their sum a step ago ``[..., K]``, and the steps seen
    ``[..., K]``."""

    lengths: Tensor
    before: Tensor
    seen: Tensor


def tension(
    alpha: Schedule = 0.3, window: int = 10, edge_cases: Literal["safe", "reference"] = "safe", lower_bound: Bound = None
) -> Then:
    r"""Pull the direction towards tasks whose gradients stop shrinking, then turn it back where it ascends a task.

    With :math:`v = J^\top a`, window sums :math:`S_k` of the gradient lengths and
    :math:`p_k = S_k / S_k^{prev} + \log_{10} \ell_k`,

    .. math:: c_k = \max(0, \alpha\,\sigma(e (p_k - 1)) + 1 - \alpha), \qquad
              v' = v + \sum_k c_k \frac{g_k - v}{\lVert g_k - v \rVert},

    from step W + 1 on; then, for each task in order, where :math:`g_k^\top v' < 0`, v' becomes the point of the segment from
    :math:`g_k` to v' that is orthogonal to :math:`g_k`. In weights: :math:`w = a (1 - \sum_j c_j / \delta_j) + c / \delta` with
    :math:`\delta_k = \lVert g_k - v \rVert`, and :math:`\sum w = \sum a = 1` throughout.

    Args:
        alpha: strength of the tension. At 0 all pulls have length 1, which cancels for two tasks only: 0 is not "off".
        window: W, how many lengths are summed.
        edge_cases: ``"safe"``: a task whose gradient is the direction itself pulls 0, one without gradient is left
            out, a loss below its bound is a named error. ``"reference"``: as the authors' code, 0/0 stays 0/0 and a
            negative loss gives :math:`c_k = 0`.
        lower_bound: number below every loss, or one per task, that is subtracted before the logarithm.
    """
    safe = edge_cases == "safe"

    def start(obs: Observation) -> Tension:
        zero = torch.zeros_like(obs.losses, dtype=torch.float64)
        return Tension(zero[..., None].expand(*zero.shape, window).clone(), zero, zero.clone())

    def revise(weighing: Weighing, obs: Observation, state: Tension) -> tuple[Weighing, Tension]:
        assert obs.gramian is not None
        lengths = torch.cat([state.lengths[..., 1:], obs.norms[..., None]], dim=-1)
        sums, seen = lengths.sum(dim=-1), state.seen + 1
        pulling = obs.mask & (seen > window)
        strength = _strength(_level(obs, lower_bound, safe), sums, state.before, at(alpha, obs.step), safe)
        pulled = _pulled(weighing.weights, torch.where(pulling, strength, 0.0), obs, safe)
        weights = torch.where(pulling.any(dim=-1, keepdim=True), _repaired(pulled, obs), weighing.weights)

        before = torch.where(seen >= window, sums, state.before)
        fresh = Tension(lengths, before, seen)
        here = obs.mask
        kept = Tension(
            *(
                torch.where(here[..., None] if new.dim() > here.dim() else here, new, old)
                for new, old in zip(fresh, state, strict=True)
            )
        )
        return weighing._replace(weights=weights), kept

    return Then("tension", revise, start, Needs.LOSSES | Needs.GRAMIAN)


def _level(obs: Observation, lower_bound: Bound, safe: bool) -> Tensor:
    if safe:
        return excess("task tension", obs, lower_bound, allow_zero=True).log10()
    return obs.losses.log10()


def _strength(level: Tensor, sums: Tensor, before: Tensor, alpha: float, safe: bool) -> Tensor:
    ratio = sums / before
    if safe:
        ratio = torch.where(before > 0, ratio, 1.0)
    tensed = alpha * torch.sigmoid(math.e * (ratio + level - 1)) + 1 - alpha
    return tensed.clamp(min=0) if safe else torch.where(tensed > 0, tensed, 0.0)  # the authors' max(0, NaN) is 0


def _pulled(central: Tensor, strength: Tensor, obs: Observation, safe: bool) -> Tensor:
    """The central direction and unit pulls towards each gradient, as weights."""
    gramian = obs.gramian
    assert gramian is not None
    along = (gramian @ central[..., None]).squeeze(-1)
    square = (central * along).sum(dim=-1, keepdim=True)
    size = gramian.diagonal(dim1=-2, dim2=-1)
    apart = (size - 2 * along + square).clamp(min=0)
    if safe:
        # a distance below what float64 resolves of its terms is no distance; a task without gradient is not pulled towards
        real = (apart > 8 * torch.finfo(torch.float64).eps * (size + square)) & (size > 0)
        pull = torch.where(real, strength / torch.where(real, apart, 1.0).sqrt(), 0.0)
    else:
        pull = torch.where(strength == 0, 0.0, strength / apart.sqrt())
    return central * (1 - pull.sum(dim=-1, keepdim=True)) + pull


def _repaired(weights: Tensor, obs: Observation) -> Tensor:
    """One pass over the tasks in order; it may put an earlier task in conflict again, as the authors' does."""
    gramian = obs.gramian
    assert gramian is not None
    for k in range(obs.n_tasks):
        along = (gramian[..., k, :] * weights).sum(dim=-1)
        size = gramian[..., k, k]
        share = size / torch.where(along < 0, size - along, 1.0)
        corner = torch.nn.functional.one_hot(torch.tensor(k, device=weights.device), obs.n_tasks).double()
        turned = share[..., None] * weights + (1 - share)[..., None] * corner
        weights = torch.where((along < 0)[..., None], turned, weights)
    return weights
