"""Laws of every rule in the zoo: nothing here knows a rule but by its name and by what it declares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from moo_mtl import Balancer, Needs, Observation, Rule
from moo_mtl.errors import InputError, NonFiniteError
from moo_mtl.properties import closure
from moo_mtl.rules import ZOO
from moo_mtl.state import flatten, map_state, unflatten
from moo_mtl.theory import families
from moo_mtl.theory.episode import Episode, direction, sampled, told
from moo_mtl.theory.laws import LAWS
from moo_mtl.theory.measure import size, unit
from moo_mtl.theory.verdict import judge

RULES = sorted(ZOO)
DECLARED = [
    pytest.param(name, property, marks=() if LAWS[property].searched else pytest.mark.slow)
    for name in RULES
    for property in ZOO[name].holds
]
DENIED = [(name, property) for name in RULES for property in ZOO[name].fails]
CONDITIONAL = [(name, property) for name in RULES for property in ZOO[name].when]
TOLERANCE = 1e-6


def built(name: str, **parameters: Any) -> Rule[Any]:
    return ZOO[name].probing(**parameters)


def sizes(name: str, wanted: Iterable[int] = (1, 2, 3, 8, 20)) -> list[int]:
    """The numbers of tasks for which the rule is defined."""
    recipe = ZOO[name]
    return [K for K in wanted if recipe.min_tasks <= K <= (recipe.max_tasks or K)]


def decided(name: str) -> dict[str, families.Family]:
    """Regular families on which float64 decides the rule's answer."""
    return {key: family for key, family in families.REGULAR.items() if key != "six_decades" or ZOO[name].decades >= 6}


def named(value: Any) -> str:
    return value if isinstance(value, str) else value.name


@pytest.mark.parametrize(("name", "property"), DECLARED, ids=named)
def test_declared_property_holds(name, property):
    """On a few members of every family, three tasks; the stored verdicts tried more, and an adversary."""
    verdict = judge(ZOO[name], replace(LAWS[property], tasks=(3,)), thorough=False)
    assert verdict.word == "holds", verdict


@pytest.mark.slow
@pytest.mark.parametrize(("name", "property"), DECLARED, ids=named)
def test_declared_property_holds_for_any_number_of_tasks(name, property):
    verdict = judge(ZOO[name], LAWS[property], thorough=False)
    assert verdict.word == "holds", verdict


@pytest.mark.parametrize(("name", "property"), DENIED, ids=named)
def test_denied_property_has_a_counter_example(name, property):
    verdict = judge(ZOO[name], LAWS[property])
    assert verdict.word == "fails", verdict


@pytest.mark.parametrize(("name", "property"), CONDITIONAL, ids=named)
def test_property_holds_under_its_condition(name, property):
    verdict = judge(ZOO[name], LAWS[property], condition=ZOO[name].when[property], thorough=False)
    assert verdict.word == "holds", verdict


@pytest.mark.parametrize("name", RULES)
def test_no_property_is_both_declared_and_denied(name):
    recipe = ZOO[name]
    assert not closure(recipe.holds) & set(recipe.fails)
    assert not closure(recipe.holds) & set(recipe.when)


@pytest.mark.parametrize("name", RULES)
def test_every_geometry_gives_a_finite_step(name):
    """Shapes, dtypes and finite numbers, from duplicates to no gradient at all and from 1e-30 to 1e30."""
    for K in sizes(name):
        rule = built(name)
        story = sampled(rule, K, families.EVERY)
        answer = told(rule, story)
        assert answer.directions.isfinite().all(), f"K = {K}"
        for weighing in answer.weighings:
            assert weighing.weights.shape == story.losses.shape[1:]
            assert weighing.weights.dtype == story.losses.dtype
            for factors in (weighing.weights, weighing.heads, weighing.slope):
                assert factors is None or factors.isfinite().all(), f"K = {K}"
        for leaf in flatten(answer.states[-1]).values():
            assert leaf.isfinite().all()
            assert leaf.shape[: story.losses.dim() - 2] == story.losses.shape[1:-1], "a state leaf without the batch in front"


@pytest.mark.parametrize("name", RULES)
def test_one_task_gives_its_own_gradient(name):
    """A positive multiple of the only gradient, or none of it; members of a population also push each other."""
    rule = built(name)
    for _ in sizes(name, () if Needs.POPULATION in rule.needs else (1,)):
        story = sampled(rule, 1, families.REGULAR)
        story.rows[1:] = story.rows[:1]
        along = (told(rule, story).directions * story.rows[..., 0, :]).sum(dim=-1)
        assert (along >= 0).all()


@pytest.mark.parametrize("name", RULES)
def test_too_few_or_too_many_tasks_are_a_named_error(name):
    recipe, rule = ZOO[name], built(name)
    wrong = list(range(1, recipe.min_tasks)) + ([recipe.max_tasks + 1] if recipe.max_tasks else [])
    for K in wrong:
        with pytest.raises(InputError, match=f"{name}.*K = {K}.*expected at"):
            told(rule, sampled(rule, K, families.REGULAR))


def single(obs: Observation, member: int) -> Observation:
    """One member of a batch, down to the last bit."""
    parts = {field.name: getattr(obs, field.name) for field in fields(obs)}
    return replace(obs, **{name: part[member] for name, part in parts.items() if isinstance(part, Tensor)})


@pytest.mark.parametrize("name", RULES)
def test_batch_is_a_stack_of_singles(name):
    """Easy and degenerate members in one batch do not touch each other."""
    regular = decided(name)
    degenerate = {key: family for key, family in families.EVERY.items() if key not in families.REGULAR}
    for K in sizes(name, (2, 3, 8)):
        rule = built(name)
        story = sampled(rule, K, regular | degenerate, copies=1, steps=2)
        state = rule.init(story.observation(rule, 0))
        for step in range(2):
            obs = story.observation(rule, step)
            before, (together, state) = state, rule.weigh(obs, state)
            directions = direction(together, story.rows[step])
            for member in range(story.losses.shape[1]):
                alone, _ = rule.weigh(single(obs, member), map_state(lambda leaf, member=member: leaf[member], before))
                rows, where_ = story.rows[step, member], f"K = {K}, member {member}"
                wanted, found = direction(alone, rows), directions[member]
                whole = torch.maximum((alone.weights.abs() * rows.norm(dim=-1)).sum(dim=-1), found.norm(dim=-1))
                same = (found - wanted).norm(dim=-1) <= 1e-9 * whole
                if member >= len(regular):
                    # Where gradients depend on each other the line of the step is unique; weights, and a length that is
                    # defined by the weights, need not be.
                    assert (same | ((unit(found) - unit(wanted)).norm(dim=-1) <= 1e-7)).all(), where_
                    continue
                assert same.all(), where_
                assert ((together.weights[member] - alone.weights).abs() <= 1e-9 * alone.weights.abs().amax()).all(), where_


@pytest.mark.parametrize("name", RULES)
def test_float32_gives_the_weights_of_float64(name):
    for K in sizes(name, (2, 3, 8)):
        rule = built(name)
        story = sampled(rule, K, families.REGULAR).to(torch.float32)
        narrow, wide = told(rule, story), told(rule, story.to(torch.float64))
        assert narrow.weights.dtype == torch.float32
        assert narrow.directions.dtype == torch.float32
        apart = (narrow.weights - wide.weights).abs().amax(dim=-1) / wide.weights.abs().amax(dim=-1).clamp(min=1e-30)
        assert apart.max() <= 1e-4, f"K = {K}"


@pytest.mark.parametrize("name", RULES)
def test_saved_state_continues_bit_for_bit(name):
    for K in sizes(name, (2, 8)):
        rule = built(name)
        story = sampled(rule, K, families.EVERY, copies=1)
        whole = told(rule, story)
        saved = {path: leaf.clone() for path, leaf in flatten(whole.states[1]).items()}
        state = unflatten(rule.init(story.observation(rule, 0)), saved)
        for step in range(2, len(story.losses)):
            weighing, state = rule.weigh(story.observation(rule, step), state)
            if Needs.AFTER in rule.needs:
                state = rule.observe(story.after[step], state)
            assert torch.equal(weighing.weights, whole.weights[step])
            assert torch.equal(direction(weighing, story.rows[step]), whole.directions[step])


def with_absent(story: Episode, task: int, since: int = 0) -> Episode:
    """A task absent from a step on, with numbers in its place that would spoil whatever reads them."""
    present = torch.ones(story.losses.shape, dtype=torch.bool)
    present[since:, ..., task] = False
    spoiled = {name: getattr(story, name).clone() for name in ("losses", "after", "rows", "left", "right")}
    for name in ("losses", "after"):
        spoiled[name][since:, ..., task] = torch.nan
    for name in ("rows", "left", "right"):
        spoiled[name][since:, ..., task, :] = torch.nan
    return story._replace(present=present, **spoiled)


@pytest.mark.parametrize("name", RULES)
def test_absent_task_is_left_out(name):
    """Weight 0 for it, and for the others the weights of the problem without it."""
    in_rounds = {"refresh": None} if name == "m-config" else {}  # whose turn it is depends on K
    for K in sizes(name, (2, 3, 8)):
        rule, task = built(name, **in_rounds), K // 2
        story = sampled(rule, K, decided(name))
        answer = told(rule, with_absent(story, task))
        assert (answer.weights[..., task] == 0).all()
        assert answer.weights.isfinite().all()
        others = torch.tensor([k for k in range(K) if k != task])
        if Needs.NOISE not in rule.needs and sizes(name, (K - 1,)):
            without = told(rule, story.tasks(others))
            scale = without.weights.abs().amax(dim=-1, keepdim=True)
            assert ((answer.weights[..., others] - without.weights).abs() <= TOLERANCE * scale).all(), f"K = {K}"
            apart = (answer.directions - without.directions).norm(dim=-1)
            assert (apart <= TOLERANCE * size(without, story.tasks(others))).all(), f"K = {K}"


@pytest.mark.parametrize("name", RULES)
def test_absent_task_keeps_its_state(name):
    for K in sizes(name, (3, 8)):
        rule, task = built(name), K // 2
        story = with_absent(sampled(rule, K, families.REGULAR), task, since=2)
        states, batch = told(rule, story).states, story.losses.dim() - 2
        for (path, before), after in zip(flatten(states[1]).items(), flatten(states[3]).values(), strict=True):
            axes = [axis for axis, length in enumerate(before.shape) if length == K and axis >= batch]
            for axis in axes if before.dtype != torch.bool else ():  # a mask of who took part last is not a task's state
                assert torch.equal(before.select(axis, task), after.select(axis, task)), path
            assert after.isfinite().all(), path


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("where_", ["losses", "gradients"])
def test_nonfinite_input_is_a_named_error_and_leaves_the_state(name, where_):
    rule = built(name)
    K = sizes(name, (2, 3, 8))[0]
    story = sampled(rule, K, families.REGULAR)
    state = told(rule, story).states[1]
    before = {path: leaf.clone() for path, leaf in flatten(state).items()}
    if where_ == "losses":
        story.losses[2, 0, ..., 1] = torch.inf
    else:
        for rows in (story.rows, story.left, story.right):
            rows[2, 0, ..., 1, :] = torch.nan
        if not rule.needs & (Needs.GRAMIAN | Needs.ROWS | Needs.CROSS):
            return
    with pytest.raises(NonFiniteError, match=f"{name}.*task 1.*step 3"):
        rule.weigh(story.observation(rule, 2), state)
    for path, leaf in flatten(state).items():
        assert torch.equal(leaf, before[path])


class Overheard(Rule[Any]):
    """A rule whose last word can be read afterwards."""

    def __init__(self, rule: Rule[Any]) -> None:
        self.rule, self.name, self.needs = rule, rule.name, rule.needs
        self.draws, self.init, self.observe = rule.draws, rule.init, rule.observe

    def weigh(self, obs, state):
        self.said, state = self.rule.weigh(obs, state)
        return self.said, state


@pytest.mark.parametrize("name", RULES)
def test_balancer_writes_the_direction(name):
    """One backward pass through the weighted losses, or the rule's own direction: the gradient is J^T w."""
    rule = Overheard(built(name))
    K = sizes(name, (3, 2, 8))[0]
    story = sampled(rule.rule, K, {"gaussian": families.gaussian}, copies=1, steps=2).members(0)
    x = torch.nn.Parameter(torch.zeros(story.rows.shape[1:-2] + story.rows.shape[-1:], dtype=torch.float64))
    balancer = Balancer(rule, [x])
    balancer.epoch = 1

    def losses(rows: Tensor, level: Tensor) -> Tensor:
        return (rows @ x[..., None]).squeeze(-1) + level

    for step in range(2):
        independent = [losses(story.left[step], story.losses[step])] if Needs.CROSS in rule.needs else []
        preference = story.preference if Needs.PREFERENCE in rule.needs else None
        balancer.backward(losses(story.rows[step], story.losses[step]), independent=independent, preference=preference)
        wanted = direction(rule.said, story.rows[step])
        torch.testing.assert_close(x.grad, wanted, rtol=1e-9, atol=1e-12)
        balancer.observe(story.after[step])
