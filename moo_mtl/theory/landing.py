"""Where rules land: maps of places on the front over scale ratio, conflict angle, conditioning, noise and number of tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from moo_mtl.problems import Problem
from moo_mtl.rules.recipe import get
from moo_mtl.rules.rule import Rule
from moo_mtl.theory.ablation import ABLATIONS, BASELINE
from moo_mtl.theory.landscape import FIRST, FLOOR, LAST, STEPS, TINY, bowls, land, scaled
from moo_mtl.tracing import trace

SHOWN = ("equal", "mgda", "db-mtl", "bmtl", "task-tensioner", "ema", "nash-mtl", "cagrad", "pcgrad", "imtl-g")
IMBALANCE = 10.0  # scale ratio of the maps over another knob: with equal scales they would be flat by symmetry
RATIOS = torch.logspace(-3, 3, 25, dtype=torch.float64)


class Map(NamedTuple):
    """One map.

    Attributes:
        name: for files.
        title: of the picture.
        label: of the knob.
        log: whether the knob's axis is logarithmic.
        knob: ``[N]``.
        places: by rule, ``[N]``.
        even: the place of a rule to which all tasks are alike, ``[N]``, where it is not 1/2.
    """

    name: str
    title: str
    label: str
    log: bool
    knob: Tensor
    places: Mapping[str, Tensor]
    even: Tensor | None = None


def maps(names: Sequence[str] = SHOWN, advance: Callable[[str], None] = lambda title: None) -> list[Map]:
    """All maps for some rules of the zoo (or of a user's module)."""
    rules = {name: get(name) for name in names}
    made = []
    for build in (over_scale, over_angle, over_condition, over_noise, over_tasks):
        for one in build(rules):
            advance(one.title)
            made.append(one)
    return made


def ablations(advance: Callable[[str], None] = lambda title: None) -> list[Map]:
    """For each of the four papers, its mechanism in parts, over the scale ratio; equal weighting for comparison."""
    made = []
    ground = bowls(RATIOS, ratio=RATIOS)
    for paper, variants in ABLATIONS.items():
        rules = {**variants, BASELINE: get(BASELINE)}
        places = {name: land(ground, rule) for name, rule in rules.items()}
        made.append(Map(paper, paper, "scale of task 1 over task 2", True, RATIOS, places))
        advance(paper)
    return made


def over_scale(rules: Mapping[str, Rule[Any]]) -> list[Map]:
    """Quadratics, the two-task toy (T1) and Fonseca's pair, the first task's loss larger by a ratio."""
    grounds = {
        "two quadratics": bowls(RATIOS, ratio=RATIOS),
        "two-task toy (T1)": scaled("two-task-toy", RATIOS),
        "Fonseca": scaled("fonseca", RATIOS, width=1.0, n_dim=2),
    }
    label = "scale of task 1 over task 2"
    return [
        Map(f"scale-{ground.name}", title, label, True, RATIOS, {name: land(ground, rule) for name, rule in rules.items()})
        for title, ground in grounds.items()
    ]


def over_angle(rules: Mapping[str, Rule[Any]]) -> list[Map]:
    """Two quadratics, scale ratio 10, centres at 20 to 180 degrees."""
    knob = torch.linspace(20, 180, 17, dtype=torch.float64)
    ground = bowls(knob, angle=knob, ratio=IMBALANCE)
    places = {name: land(ground, rule) for name, rule in rules.items()}
    return [Map("angle", "conflict, scale ratio 10", "angle between the optima (degrees)", False, knob, places)]


def over_condition(rules: Mapping[str, Rule[Any]]) -> list[Map]:
    """Two quadratics, scale ratio 10, condition numbers 1 to 1000."""
    knob = torch.logspace(0, 3, 16, dtype=torch.float64)
    ground = bowls(knob, condition=knob, ratio=IMBALANCE)
    places = {name: land(ground, rule) for name, rule in rules.items()}
    return [Map("condition", "conditioning, scale ratio 10", "condition number", True, knob, places)]


def over_noise(rules: Mapping[str, Rule[Any]]) -> list[Map]:
    """Two quadratics, scale ratio 10, normal noise on every entry of the gradients."""
    knob = torch.logspace(-2, 0.5, 6, dtype=torch.float64)
    ratio = torch.tensor([IMBALANCE], dtype=torch.float64)
    ground = bowls(ratio, ratio=ratio)
    places = {name: torch.cat([land(ground, rule, noise=float(sigma)) for sigma in knob]) for name, rule in rules.items()}
    return [Map("noise", "gradient noise, scale ratio 10", "standard deviation of the noise", True, knob, places)]


def over_tasks(rules: Mapping[str, Rule[Any]]) -> list[Map]:
    r"""K bowls round orthonormal centres, :math:`s_k \lVert x - e_k \rVert^2 / 2`, the first ten times as large.

    The front is the simplex of the centres, and the place is the share of the first.
    """
    knob = torch.tensor([2, 3, 4, 6, 8, 12, 16, 20], dtype=torch.float64)
    places = {name: torch.stack([_share(rule, int(K)) for K in knob]) for name, rule in rules.items()}
    return [Map("tasks", "number of tasks, scale ratio 10", "K", True, knob, places, 1 / knob)]


def _share(rule: Rule[Any], K: int) -> Tensor:
    scale = torch.ones(K, dtype=torch.float64)
    scale[0] = IMBALANCE
    centres = torch.eye(K, dtype=torch.float64)

    def differentiate(x: Tensor) -> tuple[Tensor, Tensor]:
        offset = x[..., None, :] - centres
        return scale * (offset.square().sum(dim=-1) / 2 + FLOOR), scale[:, None] * offset

    problem = Problem("crowd", K, K, lambda x: differentiate(x)[0], exact_differentiate=differentiate)
    generator = torch.Generator().manual_seed(4)
    starts = 2 * torch.rand(8, K, generator=generator, dtype=torch.float64) - 1
    run = trace(
        problem,
        rule,
        starts,
        steps=STEPS,
        lr=lambda step: FIRST * (LAST / FIRST) ** (step / STEPS) / TINY,
        clip=TINY,
        preferences=torch.full((8, K), 1 / K, dtype=torch.float64),
        paired=True,
        record_every=STEPS,
        certify_every=0,
        epoch_steps=50,
    )
    return torch.as_tensor(run.x)[-1, :, 0].mean()
