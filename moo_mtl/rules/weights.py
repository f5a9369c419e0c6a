"""Solve slots: K weights from the losses and the Gramian that the earlier slots leave."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from moo_mtl import solvers
from moo_mtl.errors import InputError
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules import present
from moo_mtl.rules.compose import congruent
from moo_mtl.rules.rule import Weighing
from moo_mtl.rules.slot import Slot, noise_of, preference_of, stateless
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
        return Weighing(present.softmax(z, obs.mask))

    return Slot(
        f"random-{law}",
        lambda obs, state: (weigh(obs), state),
        needs=Needs.NOISE,
        draws=lambda n_tasks, n_dim: n_tasks,
    )


def solved(name: str, solver: Callable[[Observation], Solution], needs: Needs = Needs.GRAMIAN) -> Slot[Weighing]:
    """The weights of a solver of ``moo_mtl.solvers``, with its duality gap."""

    def weigh(obs: Observation) -> Weighing:
        solution = solver(obs)
        return Weighing(solution.weights, gap=solution.gap, converged=solution.converged)

    return stateless(name, weigh, needs)


min_norm = solved("min-norm", lambda obs: _either(obs, solvers.min_norm, solvers.min_norm_by_products), Needs.PRODUCTS)
upgrad = solved("upgrad", lambda obs: solvers.upgrad(_gramian(obs), present=obs.present))
dualproj = solved("dualproj", lambda obs: _either(obs, solvers.dualproj, solvers.dualproj_by_products), Needs.PRODUCTS)
nash = solved("nash", lambda obs: solvers.nash(_gramian(obs), present=obs.present))
config = solved("config", lambda obs: solvers.config(_gramian(obs), present=obs.present))


def fairgrad(alpha: float) -> Slot[Weighing]:
    return solved("fairgrad", lambda obs: solvers.fairgrad(_gramian(obs), alpha, present=obs.present))


def cagrad(c: float) -> Slot[Weighing]:
    exact, by_products = partial(solvers.cagrad, c=c), partial(solvers.cagrad_by_products, c=c)
    return solved("cagrad", lambda obs: _either(obs, exact, by_products), Needs.PRODUCTS)


def conicgrad(c: float) -> Slot[Weighing]:
    return solved("conicgrad", lambda obs: solvers.conicgrad(_gramian(obs), c, present=obs.present))


def aligned(scale: Literal["min", "median", "rmse"] = "min") -> Slot[Weighing]:
    return solved(f"aligned-{scale}", lambda obs: solvers.aligned(_gramian(obs), scale=scale, present=obs.present))


def equal_projections(sign: Literal["paper", "downhill"] = "paper") -> Slot[Weighing]:
    """IMTL-G; ``"downhill"`` turns the direction round where the paper's formula points uphill for every task."""
    if sign not in ("paper", "downhill"):
        raise InputError(f"imtl-g: sign {sign!r} is unknown; expected 'paper' or 'downhill'")

    def solver(obs: Observation) -> Solution:
        solution = solvers.imtl_g(_gramian(obs), present=obs.present)
        if sign == "paper":
            return solution
        along = (_gramian(obs) @ solution.weights[..., None]).squeeze(-1) / torch.where(obs.norms > 0, obs.norms, 1.0)
        uphill = torch.where(obs.mask, along, 0.0).sum(dim=-1, keepdim=True) < 0
        return solution._replace(weights=torch.where(uphill, -solution.weights, solution.weights))

    return solved(f"equal-projections-{sign}", solver)


def nearest_rows(byzantine: int = 1, selected: int = 1, distance: Literal["squared", "plain"] = "squared") -> Slot[Weighing]:
    """Krum: equal weights on the gradients that lie closest to their ``K - byzantine - 2`` nearest others.

    Of gradients that tie the one of the smallest number is taken, as in the paper. Where one neighbour counts there is always
    a tie: the closest pair's.
    """
    if distance not in ("squared", "plain"):
        raise InputError(f"krum: distance {distance!r} is unknown; expected 'squared' or 'plain'")

    def weigh(obs: Observation) -> Weighing:
        G, here = _gramian(obs), obs.mask
        sizes = G.diagonal(dim1=-2, dim2=-1)
        apart = (sizes[..., :, None] + sizes[..., None, :] - 2 * G).clamp(min=0)
        apart = (apart + apart.mT) / 2  # so that the two of a pair tie to the last bit
        apart = apart if distance == "squared" else apart.sqrt()
        itself = torch.eye(obs.n_tasks, dtype=torch.bool, device=G.device)
        ordered = apart.masked_fill(itself | ~here[..., None, :], torch.inf).sort(dim=-1).values
        neighbours = (here.sum(dim=-1) - byzantine - 2).clamp(min=1)[..., None, None]
        counted = (torch.arange(obs.n_tasks, device=G.device) < neighbours) & ordered.isfinite()
        score = torch.where(counted, ordered, 0.0).sum(dim=-1).masked_fill(~here, torch.inf)
        best = score.argsort(dim=-1, stable=True)[..., :selected]
        chosen = torch.zeros_like(score).scatter(-1, best, 1.0) * here
        return Weighing(chosen / chosen.sum(dim=-1, keepdim=True).clamp(min=1))

    return stateless("nearest-rows", weigh, Needs.GRAMIAN)


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


def _either(obs: Observation, exact: Callable[..., Solution], by_products: Callable[..., Solution]) -> Solution:
    """From the Gramian where the driver has it, else from products with it: exactly at the first step, and then following from
    the last step's weights.
    """
    if obs.gramian is not None or obs.product is None:
        return exact(_gramian(obs), present=obs.present)
    if obs.batch:
        raise InputError(f"products with the Gramian are of one network, found a batch of {tuple(obs.batch)}; give the Gramian")
    at_most = None if obs.guess is None else _ASKED_FOR
    return by_products(
        obs.product, obs.n_tasks, guess=obs.guess, present=obs.present, at_most=at_most, device=obs.losses.device
    )


_ASKED_FOR = 4  # gradients of single tasks in a step that follows another: its cost does not grow with K
