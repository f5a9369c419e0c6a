"""Running statistics of one number per task, each task with a clock of its own: an absent task's stand still."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl.observation import Observation


def blank(obs: Observation) -> Tensor:
    """A zero per task, ``[..., K]`` float64."""
    return torch.zeros(obs.losses.shape, dtype=torch.float64, device=obs.losses.device)


class Average(NamedTuple):
    """Exponential average that starts at the first value, and how often it was updated; ``[..., K]`` each."""

    mean: Tensor
    updates: Tensor

    @staticmethod
    def start(obs: Observation) -> Average:
        return Average(blank(obs), blank(obs))

    def update(self, value: Tensor, decay: float, mask: Tensor) -> Average:
        inertia = decay * (self.updates > 0).double()
        mean = torch.where(mask, inertia * self.mean + (1 - inertia) * value, self.mean)
        return Average(mean, self.updates + mask.double())


class Corrected(NamedTuple):
    """Exponential average that starts at zero, and the weight it has gathered; ``mean`` divides one by the other."""

    total: Tensor
    weight: Tensor

    @staticmethod
    def start(obs: Observation) -> Corrected:
        return Corrected(blank(obs), blank(obs))

    def update(self, value: Tensor, decay: float, mask: Tensor) -> Corrected:
        return Corrected(
            torch.where(mask, decay * self.total + (1 - decay) * value, self.total),
            torch.where(mask, decay * self.weight + (1 - decay), self.weight),
        )

    @property
    def mean(self) -> Tensor:
        return torch.where(self.weight > 0, self.total / torch.where(self.weight > 0, self.weight, 1.0), 0.0)


class Deviation(NamedTuple):
    r"""Exponential mean and variance of a number, in the form that loses no digits when the mean is large.

    With :math:`\delta = x - m`: :math:`m \leftarrow m + (1-\beta)\delta` and :math:`v \leftarrow \beta (v + (1-\beta)
    \delta^2)`, which equals the average of the squares less the square of the average.
    """

    mean: Tensor
    variance: Tensor
    updates: Tensor

    @staticmethod
    def start(obs: Observation) -> Deviation:
        return Deviation(blank(obs), blank(obs), blank(obs))

    def update(self, value: Tensor, decay: float, mask: Tensor) -> Deviation:
        kept = decay * (self.updates > 0).double()
        apart = value - self.mean
        mean, variance = self.mean + (1 - kept) * apart, kept * (self.variance + (1 - kept) * apart.square())
        return Deviation(
            torch.where(mask, mean, self.mean), torch.where(mask, variance, self.variance), self.updates + mask.double()
        )


class Welford(NamedTuple):
    """Mean and sum of squared deviations of all values so far (Welford 1962), and their number; ``[..., K]`` each."""

    mean: Tensor
    squares: Tensor
    seen: Tensor

    @staticmethod
    def start(obs: Observation) -> Welford:
        return Welford(blank(obs), blank(obs), blank(obs))

    def update(self, value: Tensor, mask: Tensor) -> Welford:
        seen = self.seen + mask.double()
        apart = value - self.mean
        mean = torch.where(mask, self.mean + apart / seen.clamp(min=1), self.mean)
        return Welford(mean, torch.where(mask, self.squares + apart * (value - mean), self.squares), seen)

    @property
    def deviation(self) -> Tensor:
        """Standard deviation, that of the population."""
        return (self.squares / self.seen.clamp(min=1)).sqrt()


class Epochs(NamedTuple):
    """Mean loss of the epoch that runs, of the last one and of the one before, for each task as it meets them.

    Attributes:
        current: number of the epoch that runs.
        total: sum of its losses so far.
        seen: how many they are.
        last: mean of the last epoch.
        before: mean of the one before that.
        done: number of epochs completed.
    """

    current: Tensor
    total: Tensor
    seen: Tensor
    last: Tensor
    before: Tensor
    done: Tensor

    @staticmethod
    def start(obs: Observation) -> Epochs:
        return Epochs(*(blank(obs) for _ in Epochs._fields))

    def update(self, value: Tensor, epoch: int, mask: Tensor) -> Epochs:
        turned = mask & (self.current < epoch) & (self.seen > 0)
        mean = self.total / self.seen.clamp(min=1)
        kept_total, kept_seen = torch.where(turned, 0.0, self.total), torch.where(turned, 0.0, self.seen)
        return Epochs(
            torch.where(mask, float(epoch), self.current),
            torch.where(mask, kept_total + value, self.total),
            kept_seen + mask.double(),
            torch.where(turned, mean, self.last),
            torch.where(turned, self.last, self.before),
            self.done + turned.double(),
        )


def epoch_of(obs: Observation, steps: int | None) -> int:
    """The driver's epoch, or a count of one every ``steps`` steps where the driver knows no epochs; from 1."""
    return obs.epoch if steps is None else (obs.step - 1) // steps + 1
