"""Names of tasks, copies of tasks, tasks without gradient; chance and memory."""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl import properties
from moo_mtl.theory.episode import Episode, direction, told
from moo_mtl.theory.law import Law, of_any_number_of_tasks
from moo_mtl.theory.measure import Case, displaced, ratio, reweighted, turned


def _permuted(case: Case) -> Tensor:
    K, generator = case.story.n_tasks, torch.Generator().manual_seed(5)
    orders = [torch.arange(K).roll(1), torch.arange(K).flip(0), torch.randperm(K, generator=generator)]
    return torch.stack([_renamed(case, order) for order in orders[: max(1, K - 1)]]).amax(dim=0)


def _renamed(case: Case, order: Tensor) -> Tensor:
    """How far the answer for the tasks in another order is from the answer in that order.

    Weights count where they are unique: where the gradients are independent, far from rounding.
    """
    after = told(case.rule, case.story.tasks(order, case.renaming))
    before = case.answer.weights[..., order]
    changed = ratio((before - after.weights).abs().amax(dim=-1), before.abs().amax(dim=-1))
    unique = torch.linalg.svdvals(_unit_rows(case.story))[..., -1] > 1e-2
    return displaced(case, after) + torch.where(unique, changed, 0.0)


def _unit_rows(story: Episode) -> Tensor:
    length = story.rows.norm(dim=-1, keepdim=True)
    K, D = story.rows.shape[-2:]
    rows = story.rows / torch.where(length > 0, length, 1.0)
    return rows if D >= K else torch.zeros_like(rows)


def _drawn_again(case: Case) -> Tensor:
    after = told(case.rule, case.story._replace(noise=case.story.noise.flip(-1) * 0.9))
    return displaced(case, after) + reweighted(case, after)


def _without_memory(case: Case) -> Tensor:
    fresh = case.rule.init(case.story.observation(case.rule, 0))
    alone = [case.rule.weigh(case.story.observation(case.rule, step), fresh)[0] for step in range(len(case.story.losses))]
    again = torch.stack([direction(weighing, rows) for weighing, rows in zip(alone, case.story.rows, strict=True)])
    return ratio((case.answer.directions - again).norm(dim=-1), case.length)


def _with_copy(case: Case) -> Tensor:
    K = case.story.n_tasks
    return turned(case.answer, told(case.rule, case.story.tasks(torch.cat([torch.arange(K), torch.tensor([0])]))))


def _with_idle_task(case: Case) -> Tensor:
    K = case.story.n_tasks
    more = case.story.tasks(torch.cat([torch.arange(K), torch.tensor([0])]))
    idle = torch.cat([torch.zeros(K, dtype=torch.bool), torch.ones(1, dtype=torch.bool)])
    rows = {name: torch.where(idle[:, None], 0.0, getattr(more, name)) for name in ("rows", "left", "right")}
    losses = {name: torch.where(idle, 1.0, getattr(more, name)) for name in ("losses", "after")}
    return turned(case.answer, told(case.rule, more._replace(**rows, **losses)))


LAWS = (
    Law(properties.permutation_equivariant, _permuted),
    Law(properties.deterministic, _drawn_again),
    Law(properties.stateless, _without_memory),
    Law(properties.copies_change_nothing, _with_copy, asked=of_any_number_of_tasks),
    Law(properties.idle_tasks_change_nothing, _with_idle_task, asked=of_any_number_of_tasks),
)
