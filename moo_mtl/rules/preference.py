r"""Scalarizations: one function F of the losses and a preference, whose slope is the weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules import present
from moo_mtl.rules.rule import Weighing
from moo_mtl.rules.slot import Bound, Slot, bound_of, preference_of, stateless


class Scalarization(NamedTuple):
    r"""A function of the losses above an ideal point, f, and a preference, :math:`\lambda`.

    Attributes:
        value: ``(f, preference, present)``, each ``[..., K]``, to F, ``[...]``; what is absent is 0 in f and preference.
        slope: the same to :math:`\partial F / \partial \ell`, ``[..., K]``; averaged over the corners where F has one.
        positive: whether a preference of 0 is refused, since F divides by it.
    """

    name: str
    value: Callable[[Tensor, Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor, Tensor], Tensor]
    positive: bool = False


def scalarized(function: Scalarization, ideal: Bound = None) -> Slot[Weighing]:
    """The slope of a scalarization as a solve slot.

    Args:
        function: one of this module's, or your own.
        ideal: a number, or one per task, subtracted from the losses; 0 if not given.
    """

    def weigh(obs: Observation) -> Weighing:
        f = torch.where(obs.mask, obs.losses - bound_of(function.name, obs, ideal), 0.0)
        preference = preference_of(obs)
        if function.positive and f.device.type == "cpu" and bool((obs.mask & (preference <= 0)).any()):
            raise InputError(
                f"{function.name}: a preference is zero or negative at step {obs.step}, and the function divides by it; "
                "give positive numbers"
            )
        return Weighing(function.slope(f, preference, obs.mask))

    return stateless(function.name, weigh, Needs.LOSSES | Needs.PREFERENCE)


def _largest(level: Tensor, here: Tensor) -> Tensor:
    return level.masked_fill(~here, -torch.inf).amax(dim=-1)


def _at_largest(level: Tensor, here: Tensor) -> Tensor:
    """Equal shares for the tasks at the largest level."""
    worst = (level == _largest(level, here)[..., None]) & here
    return present.equal(worst)


def _log_sum(level: Tensor, here: Tensor) -> Tensor:
    return torch.logsumexp(level.masked_fill(~here, -torch.inf), dim=-1)


def _inverse(preference: Tensor, here: Tensor) -> Tensor:
    return torch.where(here, 1 / torch.where(here, preference, 1.0), 0.0)


chebyshev = Scalarization(
    "tchebycheff",
    lambda f, p, here: _largest(p * f, here),
    lambda f, p, here: p * _at_largest(p * f, here),
)

modified_chebyshev = Scalarization(
    "modified-tchebycheff",
    lambda f, p, here: _largest(f * _inverse(p, here), here),
    lambda f, p, here: _inverse(p, here) * _at_largest(f * _inverse(p, here), here),
    positive=True,
)


def augmented_chebyshev(rho: float) -> Scalarization:
    r""":math:`\max_k \lambda_k f_k + \rho \sum_k \lambda_k f_k`."""
    return Scalarization(
        "augmented-tchebycheff",
        lambda f, p, here: _largest(p * f, here) + rho * (p * f).sum(dim=-1),
        lambda f, p, here: p * (_at_largest(p * f, here) + rho * here.double()),
    )


def smooth_chebyshev(mu: float) -> Scalarization:
    r""":math:`\mu \log \sum_k e^{\lambda_k f_k / \mu}`."""
    return Scalarization(
        "stch",
        lambda f, p, here: mu * _log_sum(p * f / mu, here),
        lambda f, p, here: p * present.softmax(p * f / mu, here),
    )


def smooth_modified_chebyshev(mu: float) -> Scalarization:
    r""":math:`\mu \log \sum_k e^{f_k / (\lambda_k \mu)}`."""
    return Scalarization(
        "soft-modified-tchebycheff",
        lambda f, p, here: mu * _log_sum(f * _inverse(p, here) / mu, here),
        lambda f, p, here: _inverse(p, here) * present.softmax(f * _inverse(p, here) / mu, here),
        positive=True,
    )


def power_norm(p_: float) -> Scalarization:
    r""":math:`\lVert \lambda \odot f \rVert_p`."""

    def value(f: Tensor, p: Tensor, here: Tensor) -> Tensor:
        return torch.linalg.vector_norm(p * f, ord=p_, dim=-1)

    def slope(f: Tensor, p: Tensor, here: Tensor) -> Tensor:
        level = p * f
        whole = value(f, p, here)[..., None]
        share = level.abs() / torch.where(whole > 0, whole, 1.0)
        return p * torch.sign(level) * share ** (p_ - 1)

    return Scalarization("p-norm", value, slope)


def boundary_intersection(theta: float) -> Scalarization:
    r"""PBI: distance along the preference's ray plus :math:`\theta` times the distance from it."""

    def parts(f: Tensor, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ray = _unit(p)
        along = (f * ray).sum(dim=-1, keepdim=True)
        return ray, along, f - along * ray

    def value(f: Tensor, p: Tensor, here: Tensor) -> Tensor:
        _, along, off = parts(f, p)
        return along.squeeze(-1) + theta * off.norm(dim=-1)

    def slope(f: Tensor, p: Tensor, here: Tensor) -> Tensor:
        ray, _, off = parts(f, p)
        return ray + theta * _unit(off)

    return Scalarization("pbi", value, slope)


def cosine_penalty(strength: float) -> Scalarization:
    r"""COSMOS: :math:`\lambda^\top f - c \cos(\lambda, f)`."""

    def value(f: Tensor, p: Tensor, here: Tensor) -> Tensor:
        return (p * f).sum(dim=-1) - strength * (_unit(p) * _unit(f)).sum(dim=-1)

    def slope(f: Tensor, p: Tensor, here: Tensor) -> Tensor:
        ray, line, length = _unit(p), _unit(f), f.norm(dim=-1, keepdim=True)
        cosine = (ray * line).sum(dim=-1, keepdim=True)
        turn = (ray - cosine * line) / torch.where(length > 0, length, 1.0)
        return p - strength * turn

    return Scalarization("cosmos", value, slope)


def _unit(vector: Tensor) -> Tensor:
    length = vector.norm(dim=-1, keepdim=True)
    return vector / torch.where(length > 0, length, 1.0)
