"""Solve slots: K weights from the losses and the Gramian that the earlier slots leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from moo_mtl import solvers
from moo_mtl.errors import InputError
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules.compose import congruent
from moo_mtl.rules.rule import Weighing
from moo_mtl.rules.slot import Slot, stateless
from moo_mtl.solvers.solution import Solution

uniform: Slot[Weighing] = stateless("uniform", lambda obs: Weighing(obs.mask.double()))


preferred: Slot[Weighing] = stateless("preferred", lambda obs: Weighing(preference_of(obs)), Needs.PREFERENCE)


def random_shares(law: Literal["normal", "uniform", "dirichlet", "one-task"] = "normal") -> Slot[Weighing]:
    """Fresh weights at every step: the softmax of normal or of uniform numbers, a flat Dirichlet draw, or one task."""
    if law not in ("normal", "uniform", "dirichlet", "one-task"):
        raise InputError(f"rlw: law {law!r} is unknown; expected 'normal', 'uniform', 'dirichlet' or 'one-task'")

    def weigh(obs: Observation) -> Weighing:
        u = noise_of(obs).clamp(min=2.0**-54)
        if law == "dirichlet":
            share = torch.where(obs.mask, -u.log(), 0.0)
            return Weighing(share / share.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(share.dtype).tiny))
        if law == "one-task":
            largest = u.masked_fill(~obs.mask, -1.0).argmax(dim=-1)
            return Weighing(torch.nn.functional.one_hot(largest, obs.n_tasks).double())
        z = torch.special.ndtri(u) if law == "normal" else u
        return Weighing(torch.softmax(z.masked_fill(~obs.mask, -torch.inf), dim=-1))

    return Slot(
        f"random-{law}",
        lambda obs, state: (weigh(obs), state),
        needs=Needs.NOISE,
        draws=lambda n_tasks, n_dim: n_tasks,
    )


def preference_of(obs: Observation) -> Tensor:
    """The preference, ``[..., K]``, 0 for absent tasks."""
    assert obs.preference is not None, "a rule that follows a preference declares Needs.PREFERENCE"
    return torch.where(obs.mask, obs.preference.double().expand(obs.losses.shape), 0.0)


def noise_of(obs: Observation) -> Tensor:
    assert obs.noise is not None, "a rule that draws declares Needs.NOISE"
    return obs.noise.double()


def solved(name: str, solver: Callable[[Observation], Solution], needs: Needs = Needs.GRAMIAN) -> Slot[Weighing]:
    """The weights of a solver of ``moo_mtl.solvers``, with its duality gap."""

    def weigh(obs: Observation) -> Weighing:
        solution = solver(obs)
        return Weighing(solution.weights, gap=solution.gap, converged=solution.converged)

    return stateless(name, weigh, needs)


min_norm = solved("min-norm", lambda obs: solvers.min_norm(_gramian(obs), present=obs.present))


def seen_through(scale: Slot[Tensor], solve: Slot[Weighing]) -> Slot[Weighing]:
    """Weights found on scaled gradients and used on the unscaled ones; this loses what the solver guarantees of its
    direction."""

    def weigh(obs: Observation) -> Weighing:
        factors, _ = scale.act(obs, ())
        weighing, _ = solve.act(congruent(obs, factors), ())
        return weighing

    return stateless(f"{solve.name} of {scale.name}", weigh, scale.needs | solve.needs)


def _gramian(obs: Observation) -> Tensor:
    assert obs.gramian is not None, "a solver of the Gramian declares Needs.GRAMIAN"
    return obs.gramian
