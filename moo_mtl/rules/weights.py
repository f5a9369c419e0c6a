"""Solve slots: K weights from the losses and the Gramian that the earlier slots leave."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from moo_mtl import solvers
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules.compose import congruent
from moo_mtl.rules.rule import Weighing
from moo_mtl.rules.slot import Slot, stateless
from moo_mtl.solvers.solution import Solution

uniform: Slot[Weighing] = stateless("uniform", lambda obs: Weighing(obs.mask.double()))


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
