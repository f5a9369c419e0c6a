"""Learning rates that change from epoch to epoch: torch's schedulers by name, for experiment files.

A rate that changes from step to step is a function of the step, ``lr=``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer, lr_scheduler

from moo_mtl.errors import unknown
from moo_mtl.naming import check_parameters

Scheduler = Callable[[Optimizer], Any]  # to a scheduler of torch, which steps after each epoch


def get(name: str, epochs: int, **parameters: Any) -> Scheduler:
    """The scheduler of that name, for an optimiser still to come.

    Args:
        name: one of ``SCHEDULES``.
        epochs: of the run.
        parameters: of that schedule.

    Raises:
        InputError: an unknown name or parameter.
    """
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    check_parameters("schedule", name, SCHEDULES[name], {"epochs": epochs, **parameters})
    return SCHEDULES[name](epochs, **parameters)


def step(epochs: int, every: int = 100, factor: float = 0.5) -> Scheduler:
    """Multiplied by ``factor`` after every so many epochs."""
    return lambda optimizer: lr_scheduler.StepLR(optimizer, every, factor)


def milestones(epochs: int, at: Sequence[int], factor: float = 0.1) -> Scheduler:
    """Multiplied by ``factor`` after each of the epochs ``at``."""
    return lambda optimizer: lr_scheduler.MultiStepLR(optimizer, list(at), factor)


def exponential(epochs: int, factor: float = 0.95) -> Scheduler:
    """Multiplied by ``factor`` after every epoch."""
    return lambda optimizer: lr_scheduler.ExponentialLR(optimizer, factor)


def cosine(epochs: int, floor: float = 0.0) -> Scheduler:
    """Half a period of the cosine, down to the rate ``floor`` at the end of the run."""
    return lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, epochs, floor)


def polynomial(epochs: int, power: float = 0.9) -> Scheduler:
    r"""Times :math:`(1 - e / E)^p` after epoch e of E."""
    return lambda optimizer: lr_scheduler.PolynomialLR(optimizer, epochs, power)


def plateau(epochs: int, patience: int = 5, factor: float = 0.5) -> Scheduler:
    """Multiplied by ``factor`` when for more than ``patience`` epochs the validation data have seen no better epoch."""
    return lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience)


SCHEDULES: dict[str, Callable[..., Scheduler]] = {
    "step": step,
    "milestones": milestones,
    "exponential": exponential,
    "cosine": cosine,
    "polynomial": polynomial,
    "plateau": plateau,
}
