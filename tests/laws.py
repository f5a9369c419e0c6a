"""Episodes of observations, ways to change them, and for every property a number that is 0 where the property holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from moo_mtl import Needs, Observation, Rule, Weighing, properties
from moo_mtl.gramian import cross_gramian, gramian
from moo_mtl.properties import Property
from moo_mtl.rules import ZOO
from tests import geometries

STEPS = 4

# Hyper-parameters under which four steps, each an epoch, show what the rule does after its warm-up.
LIVELY: dict[str, dict[str, Any]] = {
    "task-tensioner": {"window": 2},
    "stch-mtl": {"warm_up": 1},
    "go4align": {"rate": 0.3},
    "ldc-mtl": {"strength": 1.0, "lr": 0.1},
    "sdmgrad": {"lr": 0.3},  # the code's 10 makes 20 inner steps that magnify rounding a hundredfold each
}


class Episode(NamedTuple):
    """Four steps as the tasks live them; tensors begin with the step, then the batch.

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

    def members(self, index: Any) -> Episode:
        """Some of the batch."""
        some = {name: None if part is None else part[:, index] for name, part in self._asdict().items() if name != "preference"}
        return Episode(**some, preference=self.preference[index])

    def tasks(self, index: Tensor, noise: Callable[[Tensor, Tensor], Tensor] | None = None) -> Episode:
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
        wide = factors.expand(self.n_tasks)[:, None]
        return self._replace(
            losses=self.losses * factors,
            after=self.after * factors,
            rows=self.rows * wide,
            left=self.left * wide,
            right=self.right * wide,
        )

    def plus(self, constants: Tensor) -> Episode:
        return self._replace(losses=self.losses + constants, after=self.after + constants)

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


class Told(NamedTuple):
    """What a rule said at each step, and its state after each."""

    weighings: list[Weighing]
    directions: Tensor
    states: list[Any]

    @property
    def weights(self) -> Tensor:
        return torch.stack([weighing.weights for weighing in self.weighings])


def built(name: str, **parameters: Any) -> Rule[Any]:
    return ZOO[name].factory(**(LIVELY.get(name, {}) | parameters))


def sizes(name: str, wanted: Iterable[int] = (1, 2, 3, 8, 20)) -> list[int]:
    """The numbers of tasks for which the rule is defined."""
    recipe = ZOO[name]
    return [K for K in wanted if recipe.min_tasks <= K <= (recipe.max_tasks or K)]


def episode(
    rule: Rule[Any], K: int, geometry: dict[str, geometries.Geometry], *, copies: int = 2, seed: int = 0, steps: int = STEPS
) -> Episode:
    """A few members of every geometry in one batch, losses between 0.3 and 3; for population rules, populations of three."""
    g = torch.Generator().manual_seed(1000 * seed + K)
    D = K + 3
    fellows = (3,) if Needs.POPULATION in rule.needs else ()
    many = copies * (3 if fellows else 1)

    def rows() -> Tensor:
        parts = [sample(many, K, D, g).reshape(copies, *fellows, K, D) for _ in range(steps) for sample in geometry.values()]
        return torch.stack(parts).reshape(steps, len(geometry) * copies, *fellows, K, D)

    first = rows()
    batch = first.shape[:-2]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=g, dtype=torch.float64)

    preference = uniform(*batch[1:], K) + 0.1
    losses = 0.3 * 10 ** uniform(*batch, K)
    return Episode(
        losses,
        losses * (0.8 + 0.3 * uniform(*batch, K)),
        first,
        first + 0.3 * first.norm(dim=-1, keepdim=True) * (uniform(*first.shape) - 0.5),
        first + 0.3 * first.norm(dim=-1, keepdim=True) * (uniform(*first.shape) - 0.5),
        uniform(*batch, rule.draws(K, D)),
        preference / preference.sum(dim=-1, keepdim=True),
    )


def told(rule: Rule[Any], story: Episode) -> Told:
    """Drive a rule through an episode."""
    state = rule.init(story.observation(rule, 0))
    weighings, directions, states = [], [], []
    for step in range(len(story.losses)):
        weighing, state = rule.weigh(story.observation(rule, step), state)
        if Needs.AFTER in rule.needs:
            state = rule.observe(story.after[step], state)
        weighings.append(weighing)
        directions.append(direction(weighing, story.rows[step]))
        states.append(state)
    return Told(weighings, torch.stack(directions), states)


def direction(weighing: Weighing, rows: Tensor) -> Tensor:
    if weighing.direction is not None:
        return weighing.direction
    return (weighing.weights[..., None, :].to(rows) @ torch.nan_to_num(rows)).squeeze(-2)


def size(answer: Told, story: Episode) -> Tensor:
    """What a length of the direction is compared with: the sum of the weighted gradients' lengths, ``[T, ...]``."""
    parts = (answer.weights.abs() * story.rows.norm(dim=-1)).sum(dim=-1)
    return torch.maximum(parts, answer.directions.norm(dim=-1))


def unit(directions: Tensor) -> Tensor:
    length = directions.norm(dim=-1, keepdim=True)
    return directions / torch.where(length > 0, length, 1.0)


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Their quotient, 0 where both are."""
    return torch.where(part == 0, 0.0, part / torch.where(whole > 0, whole, 1e-300))


class Case(NamedTuple):
    """A rule, an episode, how its random numbers follow a renaming of tasks, and the first step that counts."""

    rule: Rule[Any]
    story: Episode
    noise: Callable[[Tensor, Tensor], Tensor] | None = None
    first: int = 0


def _nonnegative(case: Case) -> Tensor:
    weights = told(case.rule, case.story).weights
    return ratio((-weights).clamp(min=0).amax(dim=-1), weights.abs().amax(dim=-1))


def _sum(case: Case, wanted: float) -> Tensor:
    weights = told(case.rule, case.story).weights
    return (weights.sum(dim=-1) - wanted).abs() / weights.abs().sum(dim=-1).clamp(min=1)


def _simplex(case: Case) -> Tensor:
    return torch.maximum(_nonnegative(case), _sum(case, 1.0))


def _common_descent(case: Case) -> Tensor:
    answer = told(case.rule, case.story)
    along = (case.story.rows @ answer.directions[..., None]).squeeze(-1)
    per_length = ratio(-along, case.story.rows.norm(dim=-1))
    return ratio(per_length.amax(dim=-1).clamp(min=0), size(answer, case.story))


def _vanishing(case: Case) -> Tensor:
    answer = told(case.rule, case.story)
    return ratio(answer.directions.norm(dim=-1), size(answer, case.story))


def _factors(story: Episode, decades: float, seed: int = 7) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return 10 ** (decades * (2 * torch.rand(story.n_tasks, generator=g, dtype=torch.float64) - 1))


def _scale_invariant(case: Case) -> Tensor:
    return _trajectory_scale_invariant(case)[:1]


def _trajectory_scale_invariant(case: Case) -> Tensor:
    before = told(case.rule, case.story).directions
    after = told(case.rule, case.story.times(_factors(case.story, 2.0))).directions
    return (unit(before) - unit(after)).norm(dim=-1)


def _weights_scale_invariant(case: Case) -> Tensor:
    before = told(case.rule, case.story).weights
    after = told(case.rule, case.story.times(_factors(case.story, 2.0))).weights
    return ratio((before - after).abs().amax(dim=-1), before.abs().amax(dim=-1))


def _shift(case: Case, constants: Tensor) -> Tensor:
    before, after = told(case.rule, case.story), told(case.rule, case.story.plus(constants))
    changed = (before.directions - after.directions).norm(dim=-1)
    return ratio(changed, size(before, case.story)) + ratio(
        (before.weights - after.weights).abs().amax(dim=-1), before.weights.abs().amax(dim=-1)
    )


def _shift_invariant(case: Case) -> Tensor:
    return _shift(case, 2 + _factors(case.story, 1.0))


def _common_shift_invariant(case: Case) -> Tensor:
    return _shift(case, torch.tensor(1.7, dtype=torch.float64))


def _permutation_equivariant(case: Case) -> Tensor:
    K, g = case.story.n_tasks, torch.Generator().manual_seed(5)
    orders = [torch.arange(K).roll(1), *(torch.randperm(K, generator=g) for _ in range(2))]
    return torch.stack([_renamed(case, order) for order in orders]).amax(dim=0)


def _renamed(case: Case, order: Tensor) -> Tensor:
    """How far the answer for the tasks in another order is from the answer in that order."""
    before = told(case.rule, case.story)
    after = told(case.rule, case.story.tasks(order, case.noise))
    changed = ratio((before.directions - after.directions).norm(dim=-1), size(before, case.story))
    unique = case.story.rows.shape[-1] >= case.story.n_tasks
    moved = ratio((before.weights[..., order] - after.weights).abs().amax(dim=-1), before.weights.abs().amax(dim=-1))
    return changed + moved if unique else changed


def _deterministic(case: Case) -> Tensor:
    before = told(case.rule, case.story)
    after = told(case.rule, case.story._replace(noise=case.story.noise.flip(-1) * 0.9))
    changed = (before.directions - after.directions).norm(dim=-1)
    return ratio(changed, size(before, case.story))


def _stateless(case: Case) -> Tensor:
    answer = told(case.rule, case.story)
    fresh = case.rule.init(case.story.observation(case.rule, 0))
    alone = [case.rule.weigh(case.story.observation(case.rule, step), fresh)[0] for step in range(len(case.story.losses))]
    again = torch.stack([direction(weighing, rows) for weighing, rows in zip(alone, case.story.rows, strict=True)])
    return ratio((answer.directions - again).norm(dim=-1), size(answer, case.story))


def _linear_under_scaling(case: Case) -> Tensor:
    story = case.story._replace(
        **{name: getattr(case.story, name)[:1] for name in ("losses", "after", "rows", "left", "right")}
    )
    left, right = _factors(story, 1.0), _factors(story, 1.0, seed=8)
    alpha, beta = 0.7, 2.2

    def d(factors: Tensor) -> Tensor:
        return told(case.rule, story.times(factors)).directions

    apart = alpha * d(left) + beta * d(right)
    together = d(alpha * left + beta * right)
    return ratio((together - apart).norm(dim=-1), apart.norm(dim=-1).clamp(min=1e-300))


def _homogeneous(case: Case, degree: int) -> Tensor:
    s = 37.0
    before = told(case.rule, case.story).directions.norm(dim=-1)
    after = told(case.rule, case.story.times(torch.tensor(s, dtype=torch.float64))).directions.norm(dim=-1)
    return ratio((after - s**degree * before).abs(), s**degree * before)


VIOLATION: dict[Property, Callable[[Case], Tensor]] = {
    properties.nonnegative: _nonnegative,
    properties.simplex: _simplex,
    properties.affine: lambda case: _sum(case, 1.0),
    properties.sums_to_k: lambda case: _sum(case, float(case.story.n_tasks)),
    properties.common_descent: _common_descent,
    properties.zero_at_weakly_stationary: _vanishing,
    properties.zero_at_strongly_stationary: _vanishing,
    properties.scale_invariant: _scale_invariant,
    properties.trajectory_scale_invariant: _trajectory_scale_invariant,
    properties.weights_scale_invariant: _weights_scale_invariant,
    properties.shift_invariant: _shift_invariant,
    properties.common_shift_invariant: _common_shift_invariant,
    properties.permutation_equivariant: _permutation_equivariant,
    properties.deterministic: _deterministic,
    properties.stateless: _stateless,
    properties.linear_under_scaling: _linear_under_scaling,
    properties.homogeneous_0: lambda case: _homogeneous(case, 0),
    properties.homogeneous_1: lambda case: _homogeneous(case, 1),
}

WHERE: dict[Property, dict[str, geometries.Geometry]] = {
    properties.zero_at_weakly_stationary: geometries.STATIONARY,
    properties.zero_at_strongly_stationary: {"strongly_stationary": geometries.strongly_stationary},
}


def violation(property: Property, case: Case) -> Tensor:
    """How far the rule is from having the property, for each step and member; 0 where it has it."""
    return VIOLATION[property](case)[case.first :]


def where(property: Property) -> dict[str, geometries.Geometry]:
    """The geometries on which a property says something, and on which rounding does not decide."""
    return WHERE.get(property, geometries.REGULAR)
