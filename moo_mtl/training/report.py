"""What one step of the Balancer did, as tensors on the device: reading a number is the reader's decision."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from moo_mtl.certificate import Certificate
from moo_mtl.engines import Choice
from moo_mtl.observation import Observation
from moo_mtl.rules.rule import Weighing


@dataclass(frozen=True, eq=False)
class StepReport:
    """One step.

    Attributes:
        tasks: names of the tasks, in the order of the tensors' last dimension.
        losses: ``[..., K]``.
        weights: factors on the raw gradients of the shared parameters, ``[..., K]``; with groups ``[..., P, K]``.
        heads: factors on the gradients of the tasks' own parameters, ``[..., K]``.
        norms: lengths of the shared gradients, ``[..., K]``, where the rule looks at gradients.
        cosines: between the shared gradients, ``[..., K, K]``, likewise; 0 for a task without gradient.
        silent: tasks present whose shared gradient is zero, ``[..., K]`` bool, likewise.
        gap: duality gap of the rule's solver, where one ran: how far from exact the weights are, in the solver's units
            (squared lengths for min-norm). Exact engines leave rounding; ``"products"`` stops at its tolerance.
        converged: whether that solver reached its tolerance, where one ran.
        certificate: bounds on the distance of 0 to the hull of these gradients, every ``certify_every`` steps. From a
            mini-batch it is an estimate: noise keeps it above zero even at a stationary point.
        engine: which engine looked at the gradients (``.name``) and why that one (``.why``); ``None`` where nobody had to.
        finite: whether every loss and gradient was finite, ``[]`` bool; if not, no gradient was written and no state changed.
    """

    tasks: tuple[str, ...]
    losses: Tensor
    weights: Tensor
    heads: Tensor
    norms: Tensor | None
    cosines: Tensor | None
    silent: Tensor | None
    gap: Tensor | None
    converged: Tensor | None
    certificate: Certificate | None
    finite: Tensor
    engine: Choice | None = None


def reported(
    tasks: tuple[str, ...],
    values: Tensor,
    weighing: Weighing,
    on_heads: Tensor,
    obs: Observation,
    raw: Tensor | None,
    mask: Tensor | None,
    certificate: Certificate | None,
    finite: Tensor,
    engine: Choice | None,
) -> StepReport:
    """The report of a step that was taken; ``raw`` is the Gramian of the unscaled gradients, where there is one."""
    norms = cosines = silent = None
    if raw is not None:
        norms = raw.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
        silent = (norms == 0) & obs.mask
        inverse = torch.where(norms > 0, 1 / torch.where(norms > 0, norms, 1.0), 0.0)
        cosines = inverse[..., :, None] * raw * inverse[..., None, :]
    return StepReport(
        tasks,
        values.detach(),
        weighing.weights,
        on_heads,
        norms,
        cosines,
        silent,
        weighing.gap,
        weighing.converged,
        certificate,
        finite,
        engine,
    )


def untaken(tasks: tuple[str, ...], values: Tensor, weights: Tensor, finite: bool) -> StepReport:
    """The report of a call that took no step, of which only the losses are known; ``weights`` gives the shape of theirs."""
    zero, losses = torch.zeros_like(weights), values.detach()
    verdict = torch.tensor(finite, device=values.device)
    return StepReport(tasks, losses, zero, torch.zeros_like(losses), None, None, None, None, None, None, verdict)
