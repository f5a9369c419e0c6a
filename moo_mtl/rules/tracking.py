"""Slots for mini-batch gradients: weights that track the min-norm point over many noisy steps instead of solving each one."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules import present
from moo_mtl.rules.average import blank
from moo_mtl.rules.rule import Weighing
from moo_mtl.rules.slot import Schedule, Slot, at
from moo_mtl.solvers import project_simplex


def descended_simplex(
    gamma: Schedule = 0.1, rho: float = 0.0, update: Literal["projection", "softmax"] = "projection"
) -> Slot[Weighing]:
    r"""One step per call on the simplex: :math:`\lambda \leftarrow \Pi_\Delta(\lambda - \gamma_t (G + \rho I) \lambda)`.

    Args:
        gamma: step length, a number or a function of the step.
        rho: regularisation towards equal weights.
        update: ``"softmax"`` in place of the projection, as in LibMTL: weights then differ by a factor of e at most.
    """
    if update not in ("projection", "softmax"):
        raise InputError(f"moco: update {update!r} is unknown; expected 'projection' or 'softmax'")

    def act(obs: Observation, state: Shares) -> tuple[Weighing, Shares]:
        assert obs.gramian is not None
        share = state.over(obs.mask)
        moved = share - at(gamma, obs.step) * (_times(obs.gramian, share) + rho * share)
        moved = project_simplex(moved, obs.mask) if update == "projection" else present.softmax(moved, obs.mask)
        return Weighing(moved), state.updated(moved, obs.mask)

    return Slot("descended-simplex", act, Shares.start, Needs.GRAMIAN)


def double_sampled(gamma: Schedule = 1e-3, rho: float = 0.1) -> Slot[Weighing]:
    r"""MoDo: as ``descended_simplex``, with the products :math:`A = J_1 J_2^\top` of two independent batches in place of G."""

    def act(obs: Observation, state: Shares) -> tuple[Weighing, Shares]:
        assert obs.cross is not None
        share = state.over(obs.mask)
        moved = project_simplex(share - at(gamma, obs.step) * (_times(obs.cross, share) + rho * share), obs.mask)
        return Weighing(moved), state.updated(moved, obs.mask)

    return Slot("double-sampled", act, Shares.start, Needs.CROSS)


def direction_oriented(
    lam: float = 0.3, lr: float = 10.0, momentum: float = 0.5, iterations: int = 20, normalised: bool = True
) -> Slot[Weighing]:
    r"""SDMGrad: :math:`\min_{w \in \Delta} \tfrac12 \lVert J^\top w + \lambda g_0 \rVert^2`, a few steps from the last w.

    The products are those of two independent batches, divided by the square of the mean gradient length.

    Args:
        lam: :math:`\lambda`, the pull towards the mean gradient :math:`g_0`.
        lr: learning rate of the inner steps.
        momentum: of the inner steps.
        iterations: how many there are.
        normalised: divide the direction by :math:`1 + \lambda`, as the authors' code does.
    """

    def act(obs: Observation, state: Shares) -> tuple[Weighing, Shares]:
        assert obs.cross is not None
        here = obs.mask
        mean = present.equal(here)
        lengths = obs.cross.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
        length = (lengths * mean).sum(dim=-1)[..., None, None]
        A = obs.cross / torch.where(length > 0, length, 1.0) / torch.where(length > 0, length, 1.0)
        w, velocity, pull = state.over(here), torch.zeros_like(mean), lam * _times(A, mean)
        for _ in range(iterations):
            velocity = momentum * velocity + _times(A, w) + pull
            w = project_simplex(w - lr * velocity, here)
        total = (w + lam * mean) / (1 + lam if normalised else 1.0)
        return Weighing(total), state.updated(w, here)

    return Slot("direction-oriented", act, Shares.start, Needs.CROSS)


class Shares(NamedTuple):
    """Weights on the simplex so far, ``[..., K]``."""

    value: Tensor

    @staticmethod
    def start(obs: Observation) -> Shares:
        return Shares(blank(obs) + 1 / obs.n_tasks)

    def over(self, mask: Tensor) -> Tensor:
        """The shares of the present tasks, summing to 1; equal where they hold nothing."""
        value = torch.where(mask, self.value, 0.0)
        total = value.sum(dim=-1, keepdim=True)
        return torch.where(total > 0, value / torch.where(total > 0, total, 1.0), present.equal(mask))

    def updated(self, share: Tensor, mask: Tensor) -> Shares:
        """Present tasks divide anew what they held together."""
        held = torch.where(mask, self.value, 0.0).sum(dim=-1, keepdim=True)
        return Shares(torch.where(mask, held * share, self.value))


class Excess(NamedTuple):
    """ExcessMTL's roots of accumulated squares ``[..., K, D]``, log-weights and reference excess ``[..., K]``."""

    roots: Tensor
    logits: Tensor
    reference: Tensor


def excess_risk(rate: float = 1e-2, total: Literal["one", "tasks"] = "one") -> Slot[Weighing]:
    r"""ExcessMTL: :math:`w_k \propto w_k \exp(\eta \hat E_k)`, with the excess risk estimated from the gradient's own history.

    .. math:: A_k \leftarrow A_k + g_k^2, \qquad E_k = \sum_i \frac{g_{ki}^2}{\sqrt{A_{ki}}}, \qquad
              \hat E_k = E_k / E_k^{\text{first}}

    The weights stand still at the step that sets the reference.

    Args:
        rate: :math:`\eta`.
        total: the weights sum to 1, or to K.
    """
    if total not in ("one", "tasks"):
        raise InputError(f"excess-mtl: total {total!r} is unknown; expected 'one' or 'tasks'")

    def start(obs: Observation) -> Excess:
        assert obs.rows is not None
        dtype = torch.promote_types(obs.rows.dtype, torch.float32)
        return Excess(torch.zeros_like(obs.rows, dtype=dtype), blank(obs), blank(obs))

    def act(obs: Observation, state: Excess) -> tuple[Weighing, Excess]:
        assert obs.rows is not None
        here = obs.mask
        # Roots are accumulated, not squares: gradients of 1e-30 keep their digits in float32.
        root = torch.where(here[..., None], torch.hypot(state.roots, obs.rows.to(state.roots.dtype)), state.roots)
        share = obs.rows.to(root.dtype) / torch.where(root > 0, root, 1.0)
        risk = (share * obs.rows).double().sum(dim=-1)
        known = state.reference > 0
        relative = torch.where(known, risk / torch.where(known, state.reference, 1.0), 0.0)
        logits = torch.where(here, state.logits + rate * relative, state.logits)
        weights = present.softmax(logits, here)
        if total == "tasks":
            weights = weights * here.sum(dim=-1, keepdim=True)
        reference = torch.where(here & ~known, risk, state.reference)
        return Weighing(weights), Excess(root, logits, reference)

    return Slot("excess-risk", act, start, Needs.ROWS)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector[..., None]).squeeze(-1)
