"""What a rule may look at in one step, and what it must declare to see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto
from functools import cached_property

import torch
from torch import Tensor

from moo_mtl.errors import InputError, NonFiniteError
from moo_mtl.tensors import sums_finite


class Needs(Flag):
    """What a rule looks at. A driver computes, and the user pays for, only what is declared."""

    LOSSES = auto()  # the K loss values
    GRAMIAN = auto()  # G = J J^T of the K gradients
    PRODUCTS = auto()  # w -> G w, instead of G
    CROSS = auto()  # J_a J_b^T of two independent batches
    ROWS = auto()  # the K gradients themselves: K x D numbers
    NOISE = auto()  # uniform numbers, drawn by the driver
    PREFERENCE = auto()  # a trade-off asked for by the user
    POPULATION = auto()  # the batch axis -2 is a population whose members see each other
    AFTER = auto()  # the losses again, after the step
    EPOCH = auto()  # the number of the epoch: its driver counts them


@dataclass(frozen=True, eq=False)
class Observation:
    """One step as a rule sees it; every tensor carries the same leading batch dimensions ``...``.

    Attributes:
        losses: ``[..., K]``.
        gramian: inner products of the tasks' gradients, ``[..., K, K]``, float64.
        product: ``w [..., K] -> G w [..., K]``. A rule that declares ``PRODUCTS`` can do without ``gramian``, and
            gets it all the same where the driver has it at hand.
        cross: inner products between the gradients of two independent batches, ``[..., K, K]``; not symmetric.
        rows: the gradients, ``[..., K, D]``.
        noise: uniform numbers in [0, 1), ``[..., S]``; the driver owns randomness, so that rules stay pure.
        preference: ``[..., K]``.
        guess: weights of the last step, ``[..., K]``, a start for iterative solvers; it never changes an exact answer.
        present: ``[..., K]`` bool. An absent task has weight 0, is left out of the solve and leaves its state as it was.
        step: number of this step, counted from 1.
        epoch: number of this epoch, counted from 1.
    """

    losses: Tensor
    gramian: Tensor | None = None
    product: Callable[[Tensor], Tensor] | None = None
    cross: Tensor | None = None
    rows: Tensor | None = None
    noise: Tensor | None = None
    preference: Tensor | None = None
    guess: Tensor | None = None
    present: Tensor | None = None
    step: int = 1
    epoch: int = 1

    @property
    def n_tasks(self) -> int:
        return self.losses.shape[-1]

    @property
    def batch(self) -> torch.Size:
        """The leading dimensions ``...``."""
        return self.losses.shape[:-1]

    @property
    def mask(self) -> Tensor:
        """``present``, or all true where no task can be absent; ``[..., K]`` bool."""
        if self.present is None:
            return torch.ones_like(self.losses, dtype=torch.bool)
        return self.present.expand(self.losses.shape)

    @property
    def norms(self) -> Tensor:
        """Lengths of the gradients, ``[..., K]``, read off the Gramian's diagonal.

        Raises:
            InputError: there is no Gramian, since the rule does not declare that it needs it.
        """
        if self.gramian is None:
            raise InputError("Observation: norms are read off the Gramian, and there is none; a rule declares Needs.GRAMIAN")
        return self.gramian.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()

    @cached_property
    def plainly_finite(self) -> bool:
        """Whether the sums of what is seen are finite, and so is all of it; looked at once, by whoever asks first."""
        rows = self.rows if self.gramian is None else None  # their squares stand on the Gramian's diagonal
        return sums_finite(tensor for tensor in (self.losses, rows, self.gramian, self.cross) if tensor is not None)


def require_tasks(obs: Observation, who: str, at_least: int, at_most: int | None = None) -> None:
    """Refuse a number of tasks for which a rule is not defined.

    Raises:
        InputError: K is smaller than ``at_least`` or larger than ``at_most``.
    """
    if obs.n_tasks < at_least:
        raise InputError(f"{who}: found K = {obs.n_tasks}, expected at least {at_least} tasks; use another rule or add a task")
    if at_most is not None and obs.n_tasks > at_most:
        raise InputError(f"{who}: found K = {obs.n_tasks}, expected at most {at_most} tasks; use another rule")


def require_finite(obs: Observation, who: str) -> None:
    """Refuse an observation that holds a NaN or an infinity, before it reaches any state.

    Looking would stall an accelerator, so there nothing is checked here: drivers mask the step on the device and name
    it afterwards.

    Raises:
        NonFiniteError: a present task's loss or gradient is not finite; the message names the task and the step.
    """
    if obs.losses.device.type != "cpu" or obs.plainly_finite:
        return
    mask = obs.mask
    pairs = mask[..., :, None] & mask[..., None, :]
    for what, tensor, seen in (
        ("loss", obs.losses[..., None], mask[..., None]),
        ("gradient", obs.rows, mask[..., None]),
        # a task's own square first, because it spoils its neighbours' products too
        ("gradient", obs.gramian, torch.diag_embed(mask)),
        ("gradient", obs.gramian, pairs),
        ("gradient", obs.cross, torch.diag_embed(mask)),
        ("gradient", obs.cross, pairs),
    ):
        if tensor is None:
            continue
        bad = (seen & ~tensor.isfinite()).any(dim=-1)
        if bool(bad.any()):
            *member, task = bad.nonzero()[0].tolist()
            raise NonFiniteError(
                f"{who}: the {what} of task {task} is not finite at step {obs.step}"
                + (f" in batch member {tuple(member)}" if member else "")
                + "; lower the learning rate, look at that task's loss, or mark the task absent for this step"
            )
