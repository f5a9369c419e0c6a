"""Episodes: a few steps of losses and gradients as a driver would show them to a rule, and what the rule says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from moo_mtl.gramian import cross_gramian, gramian
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules.rule import Rule, Weighing, ask, started, tell
from moo_mtl.theory.families import Family, evenly

STEPS = 4  # enough for every memory in the zoo to act, with the recipes' probing parameters
FELLOWS = 3  # members of a population
Renaming = Callable[[Tensor, Tensor], Tensor]


class Episode(NamedTuple):
    """Some steps as the tasks live them; tensors begin with the step, then the batch.

    Attributes:
        losses: ``[T, ..., K]``.
        after: losses after each step, ``[T, ..., K]``.
        rows: gradients, ``[T, ..., K, D]``.
        left: gradients of a second batch, ``[T, ..., K, D]``.
        right: gradients of a third batch.
        noise: ``[T, ..., S]``.
        preference: ``[..., K]``.
        present: ``[T, ..., K]`` bool.
    """

    losses: Tensor
    after: Tensor
    rows: Tensor
    left: Tensor
    right: Tensor
    noise: Tensor
    preference: Tensor
    present: Tensor | None = None

    @property
    def n_tasks(self) -> int:
        return self.losses.shape[-1]

    @property
    def n_dim(self) -> int:
        return self.rows.shape[-1]

    def members(self, index: Any) -> Episode:
        """Some of the batch."""
        return self.each(lambda part: part[:, index])._replace(
            noise=self.noise[:, index],
            preference=self.preference[index],
            present=None if self.present is None else self.present[:, index],
        )

    def steps(self, index: slice) -> Episode:
        """Some of the steps."""
        return self.each(lambda part: part[index])._replace(
            noise=self.noise[index], present=None if self.present is None else self.present[index]
        )

    def each(self, change: Callable[[Tensor], Tensor]) -> Episode:
        """Apply one change to losses and gradients alike."""
        names = ("losses", "after", "rows", "left", "right")
        return self._replace(**{name: change(getattr(self, name)) for name in names})

    def tasks(self, index: Tensor, noise: Renaming | None = None) -> Episode:
        """The tasks in another order, or some of them; random numbers go along where ``noise`` says how."""
        return self._replace(
            losses=self.losses[..., index],
            after=self.after[..., index],
            rows=self.rows[..., index, :],
            left=self.left[..., index, :],
            right=self.right[..., index, :],
            noise=self.noise if noise is None else noise(self.noise, index),
            preference=self.preference[..., index],
            present=None if self.present is None else self.present[..., index],
        )

    def times(self, factors: Tensor) -> Episode:
        """Losses, and with them gradients, multiplied by positive factors, ``[K]`` or one number."""
        return self.through(lambda losses: losses * factors, lambda losses: factors.expand(losses.shape))

    def plus(self, constants: Tensor) -> Episode:
        return self._replace(losses=self.losses + constants, after=self.after + constants)

    def through(self, phi: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor]) -> Episode:
        r"""Losses replaced by :math:`\varphi_k(\ell_k)`, gradients with them by :math:`\varphi_k'(\ell_k) g_k`."""
        wide = slope(self.losses)[..., None]
        return self._replace(
            losses=phi(self.losses),
            after=phi(self.after),
            rows=self.rows * wide,
            left=self.left * wide,
            right=self.right * wide,
        )

    def to(self, dtype: torch.dtype) -> Episode:
        changed = {name: part if part is None or name == "present" else part.to(dtype) for name, part in self._asdict().items()}
        return Episode(**changed)._replace(noise=self.noise)

    def observation(self, rule: Rule[Any], step: int) -> Observation:
        """What a driver would show the rule: what it declares to need, and nothing else."""
        needs, G = rule.needs, gramian(self.rows[step])
        return Observation(
            self.losses[step],
            gramian=G if needs & (Needs.GRAMIAN | Needs.PRODUCTS) else None,
            product=(lambda w: (G @ w[..., None]).squeeze(-1)) if Needs.PRODUCTS in needs else None,
            cross=cross_gramian(self.left[step], self.right[step]) if Needs.CROSS in needs else None,
            rows=self.rows[step] if Needs.ROWS in needs else None,
            noise=self.noise[step] if Needs.NOISE in needs else None,
            preference=self.preference if Needs.PREFERENCE in needs else None,
            present=None if self.present is None else self.present[step],
            step=step + 1,
            epoch=step + 1,
        )


def normals_wanted(rule: Rule[Any], K: int, D: int, steps: int) -> tuple[int, ...]:
    """Normal numbers behind one member, a population's fellows in front: ``[N]`` or ``[fellows, N]``."""
    fellows = (FELLOWS,) if Needs.POPULATION in rule.needs else ()
    return (*fellows, sum(prod(shape) for shape in _parts(rule, K, D, steps)))


def _parts(rule: Rule[Any], K: int, D: int, steps: int) -> list[tuple[int, ...]]:
    """Shapes: losses, losses after, gradients, two further batches of them, uniform numbers, preference."""
    batches = 2 if Needs.CROSS in rule.needs else 0
    after = K if Needs.AFTER in rule.needs else 0
    return [(steps, K), (steps, after), (steps, K + 1, D + 1), (steps, batches, K, D), (steps, rule.draws(K, D)), (K,)]


def drawn(rule: Rule[Any], family: Family, normals: Tensor, K: int, D: int, steps: int = STEPS) -> Episode:
    """The episode that normal numbers ``[..., N]`` stand for: gradients of the family, losses between 0.3 and 3."""
    shapes = _parts(rule, K, D, steps)
    flat = normals.split([prod(shape) for shape in shapes], dim=-1)
    losses, after, z, spread, noise, preference = (
        part.unflatten(-1, shape) if part.shape[-1] else part.reshape(*part.shape[:-1], *shape)
        for part, shape in zip(flat, shapes, strict=True)
    )
    front = [part.movedim(normals.dim() - 1, 0) for part in (losses, after, z, spread, noise)]
    losses, rows = 0.3 * 10 ** evenly(front[0]), family(front[2])
    length = rows.norm(dim=-1, keepdim=True)
    left, right = (
        (rows + 0.3 * length * (evenly(front[3][..., side, :, :]) - 0.5) for side in (0, 1))
        if Needs.CROSS in rule.needs
        else (rows, rows)
    )
    share = 0.1 + evenly(preference)
    return Episode(
        losses,
        losses * (0.8 + 0.3 * evenly(front[1])) if Needs.AFTER in rule.needs else losses,
        rows,
        left,
        right,
        evenly(front[4]),
        share / share.sum(dim=-1, keepdim=True),
    )


def sampled(
    rule: Rule[Any], K: int, families: Mapping[str, Family], *, copies: int = 2, seed: int = 0, steps: int = STEPS, D: int = 0
) -> Episode:
    """Some members of every family in one batch, by default in ``K + 3`` dimensions; populations of three."""
    D = D or K + 3
    generator = torch.Generator().manual_seed(1000 * seed + K)
    wanted = normals_wanted(rule, K, D, steps)
    return joined(
        drawn(rule, family, torch.randn(copies, *wanted, generator=generator, dtype=torch.float64), K, D, steps)
        for family in families.values()
    )


def joined(episodes: Iterable[Episode]) -> Episode:
    """Several episodes of the same length as one batch."""
    parts = list(episodes)
    apart = [part._asdict() for part in parts]
    names = [name for name in Episode._fields if name not in ("preference", "present")]
    whole = {name: torch.cat([part[name] for part in apart], dim=1) for name in names}
    return Episode(**whole, preference=torch.cat([part.preference for part in parts]))


class Told(NamedTuple):
    """What a rule said at each step, and its state after each."""

    weighings: list[Weighing]
    directions: Tensor
    states: list[Any]

    @property
    def weights(self) -> Tensor:
        return torch.stack([weighing.weights for weighing in self.weighings])


def told(rule: Rule[Any], story: Episode) -> Told:
    """Drive a rule through an episode."""
    state = started(rule, story.observation(rule, 0))
    weighings, directions, states = [], [], []
    for step in range(len(story.losses)):
        weighing, state = ask(rule, story.observation(rule, step), state)
        if Needs.AFTER in rule.needs:
            state = tell(rule, story.after[step], state)
        weighings.append(weighing)
        directions.append(direction(weighing, story.rows[step]))
        states.append(state)
    return Told(weighings, torch.stack(directions), states)


def direction(weighing: Weighing, rows: Tensor) -> Tensor:
    """The step: the rule's own, or :math:`J^\\top w`."""
    if weighing.direction is not None:
        return weighing.direction
    return (weighing.weights[..., None, :].to(rows) @ torch.nan_to_num(rows)).squeeze(-2)
