"""What one step of the Balancer did, as tensors on the device: reading a number is the reader's decision."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from moo_mtl.certificate import Certificate
from moo_mtl.engines import Choice


@dataclass(frozen=True, eq=False)
class StepReport:
    """One step.

    Attributes:
        tasks: names of the tasks, in the order of the tensors' last dimension.
        losses: ``[..., K]``.
        weights: factors on the raw gradients of the shared parameters, ``[..., K]``; with groups ``[..., P, K]``.
        heads: factors on the gradients of the tasks' own parameters, ``[..., K]``.
        finite: whether every loss and gradient was finite, ``[]`` bool; if not, no gradient was written and no state changed.
        gramian: of the shared gradients, ``[..., K, K]`` float64, where the rule looks at gradients.
        present: tasks that were there, ``[..., K]`` bool; ``None`` for all.
        gap: duality gap of the rule's solver, where one ran: how far from exact the weights are, in the solver's units
            (squared lengths for min-norm). Exact engines leave rounding; ``"products"`` stops at its tolerance.
        converged: whether that solver reached its tolerance, where one ran.
        certificate: bounds on the distance of 0 to the hull of these gradients, every ``certify_every`` steps. From a
            mini-batch it is an estimate: noise keeps it above zero even at a stationary point.
        engine: which engine looked at the gradients (``.name``) and why that one (``.why``); ``None`` where nobody had to.
    """

    tasks: tuple[str, ...]
    losses: Tensor
    weights: Tensor
    heads: Tensor
    finite: Tensor
    gramian: Tensor | None = None
    present: Tensor | None = None
    gap: Tensor | None = None
    converged: Tensor | None = None
    certificate: Certificate | None = None
    engine: Choice | None = None

    @cached_property
    def norms(self) -> Tensor | None:
        """Lengths of the shared gradients, ``[..., K]``, where there is a Gramian."""
        return None if self.gramian is None else self.gramian.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()

    @cached_property
    def cosines(self) -> Tensor | None:
        """Between the shared gradients, ``[..., K, K]``, where there is a Gramian; 0 for a task without gradient."""
        if self.gramian is None or self.norms is None:
            return None
        inverse = torch.where(self.norms > 0, 1 / torch.where(self.norms > 0, self.norms, 1.0), 0.0)
        return inverse[..., :, None] * self.gramian * inverse[..., None, :]

    @cached_property
    def silent(self) -> Tensor | None:
        """Tasks present whose shared gradient is zero, ``[..., K]`` bool, where there is a Gramian."""
        if self.norms is None:
            return None
        return self.norms == 0 if self.present is None else (self.norms == 0) & self.present


def untaken(tasks: tuple[str, ...], losses: Tensor, weights: Tensor, finite: bool) -> StepReport:
    """The report of a call that took no step, of which only the losses are known; ``weights`` gives the shape of theirs."""
    losses = losses.detach()
    return StepReport(
        tasks, losses, torch.zeros_like(weights), torch.zeros_like(losses), torch.tensor(finite, device=losses.device)
    )
