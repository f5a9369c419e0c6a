"""Rules that coincide, and how far apart all the others are: angles between directions on the same observations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from moo_mtl.observation import Needs
from moo_mtl.rules.recipe import ZOO, get
from moo_mtl.rules.rule import Rule
from moo_mtl.theory.episode import Episode, sampled, told
from moo_mtl.theory.families import REGULAR
from moo_mtl.theory.measure import unit


class Atlas(NamedTuple):
    """Angles between all rules.

    Attributes:
        rules: names, in the order of the tree's leaves.
        angles: mean angle between two rules' directions, degrees, ``[R, R]``.
        linkage: of average clustering, as SciPy writes it, over ``named``.
        named: names in the order that the linkage counts them.
    """

    rules: list[str]
    angles: np.ndarray[Any, Any]
    linkage: np.ndarray[Any, Any]
    named: list[str]

    def coincident(self, degrees: float = 1e-3) -> list[list[str]]:
        """Groups of rules whose mean angle is rounding."""
        from scipy.cluster.hierarchy import fcluster

        groups: dict[int, list[str]] = {}
        for name, group in zip(self.named, fcluster(self.linkage, degrees, "distance"), strict=True):
            groups.setdefault(int(group), []).append(name)
        return [sorted(group) for group in groups.values() if len(group) > 1]


def atlas(K: int = 3, *, copies: int = 64, names: Sequence[str] | None = None) -> Atlas:
    """Every rule of the zoo on the same four-step episodes, preferences equal; members of populations apart."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    wanted = sorted(ZOO) if names is None else list(names)
    rules = {name: ZOO[name].probing() for name in wanted if _fits(name, K)}
    story = common(K, copies)
    directions = {name: unit(answers(rule, story)) for name, rule in rules.items()}
    named = list(directions)
    angles = np.array([[_angle(directions[a], directions[b]).mean().item() for b in named] for a in named])
    angles = (angles + angles.T) / 2
    np.fill_diagonal(angles, 0.0)
    tree = linkage(squareform(angles), "average", optimal_ordering=True)
    order = leaves_list(tree)
    return Atlas([named[i] for i in order], angles[np.ix_(order, order)], tree, named)


def _fits(name: str, K: int) -> bool:
    recipe = ZOO[name]
    return Needs.POPULATION not in recipe.probing().needs and recipe.min_tasks <= K <= (recipe.max_tasks or K)


def common(K: int, copies: int, seed: int = 0, steps: int = 4) -> Episode:
    """Episodes that suit every rule: one set of losses and gradients, equal preferences, losses a tenth lower after a step."""
    story = sampled(ZOO["equal"].probing(), K, REGULAR, copies=copies, seed=seed, steps=steps)
    return story._replace(after=0.9 * story.losses, preference=torch.full_like(story.preference, 1 / K))


def answers(rule: Rule[Any], story: Episode) -> Tensor:
    """Directions on a common story, with random numbers of the rule's own."""
    generator = torch.Generator().manual_seed(3)
    wanted = rule.draws(story.n_tasks, story.n_dim)
    noise = torch.rand(*story.losses.shape[:-1], wanted, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        return told(rule, story._replace(noise=noise)).directions


def _angle(first: Tensor, second: Tensor) -> Tensor:
    """Between unit vectors, in degrees, exact also for small angles."""
    half = (first - second).norm(dim=-1) / 2
    return 2 * torch.rad2deg(torch.asin(half.clamp(max=1)))


@dataclass(frozen=True)
class Coincidence:
    """Two rules that are one, always or in a limit.

    Attributes:
        words: what coincides.
        first: a rule for K tasks, and for a limit's parameter.
        second: the other.
        tasks: numbers of tasks for which it is so.
        along: values of the limit's parameter; empty where there is no limit.
        steps: of the episode.
        settled: whether losses stay as they are over the episode, for rules that learn.
    """

    words: str
    first: Callable[[int, float], Rule[Any]]
    second: Callable[[int, float], Rule[Any]]
    tasks: tuple[int, ...] = (2, 3, 8)
    along: tuple[float, ...] = ()
    steps: int = 2
    settled: bool = False

    def apart(self, value: float = 0.0, copies: int = 16) -> float:
        """Largest angle between the two at the last step, in degrees, over regular families."""
        worst = 0.0
        for K in self.tasks:
            story = common(K, copies, steps=self.steps)
            if self.settled:
                story = story.each(lambda part: part[:1].expand_as(part))
            one, other = (unit(answers(rule(K, value), story)[-1]) for rule in (self.first, self.second))
            worst = max(worst, float(_angle(one, other).max()))
        return worst


def _rule(name: str, **parameters: Any) -> Callable[[int, float], Rule[Any]]:
    return lambda K, value: get(name, **parameters)


def _limit(name: str, parameter: str) -> Callable[[int, float], Rule[Any]]:
    return lambda K, value: get(name, **{parameter: value})


_BISECTOR: Mapping[str, dict[str, Any]] = {
    "edm": {},
    "imtl-g": {},
    "config": {},
    "nash-mtl": {},
    "db-mtl": {"beta": 0},
    "mgda": {"normalization": "l2"},
}

COINCIDENCES: tuple[Coincidence, ...] = (
    *(
        Coincidence(
            f"K = 2: {name}{''.join(f' at {key} = {value}' for key, value in parameters.items())} and normalized-sum",
            _rule(name, **parameters),
            _rule("normalized-sum"),
            tasks=(2,),
        )
        for name, parameters in _BISECTOR.items()
    ),
    Coincidence("K = 2: pcgrad and upgrad", _rule("pcgrad"), _rule("upgrad"), tasks=(2,)),
    Coincidence("edm and mgda on unit gradients", _rule("edm"), _rule("mgda", normalization="l2")),
    Coincidence("task-tensioner before its window is full, and edm", _rule("task-tensioner"), _rule("edm")),
    Coincidence(
        "bmtl exp(l/T) and stch at mu = T/K, equal preferences",
        lambda K, value: get("bmtl", temperature=0.3 * K),
        _rule("stch", mu=0.3),
    ),
    Coincidence("db-mtl at beta = 0 and normalized-sum", _rule("db-mtl", beta=0), _rule("normalized-sum")),
    Coincidence("db-mtl's loss stage and sum-of-logs", _rule("db-mtl", stages="loss"), _rule("sum-of-logs")),
    Coincidence("uw-o and sum-of-logs", _rule("uw-o"), _rule("sum-of-logs")),
    Coincidence("gls and sum-of-logs", _rule("gls"), _rule("sum-of-logs")),
    Coincidence("ema inverse at decay 0 and sum-of-logs", _rule("ema", decay=0.0), _rule("sum-of-logs")),
    Coincidence("fairgrad at alpha = 1 and nash-mtl", _rule("fairgrad", alpha=1.0), _rule("nash-mtl")),
    Coincidence("p-norm at p = 1 and linear", _rule("p-norm", p=1.0), _rule("linear")),
    Coincidence(
        "fairgrad, alpha to infinity, and mgda", _limit("fairgrad", "alpha"), _rule("mgda"), (2, 3), (1.0, 4.0, 16.0, 64.0)
    ),
    Coincidence("cagrad, c to infinity, and mgda", _limit("cagrad", "c"), _rule("mgda"), (2, 3), (1.0, 10.0, 100.0, 1e6)),
    Coincidence(
        "imtl-l on settled losses after 200 steps of a growing learning rate, and sum-of-logs",
        _limit("imtl-l", "lr"),
        _rule("sum-of-logs"),
        (2, 3),
        (1e-4, 1e-3, 1e-2, 1e-1),
        200,
        settled=True,
    ),
    Coincidence("bmtl, T to infinity, and equal", _limit("bmtl", "temperature"), _rule("equal"), along=(1.0, 10.0, 100.0, 1e4)),
    Coincidence(
        "bmtl, T to 0, and tchebycheff with equal preferences",
        _limit("bmtl", "temperature"),
        _rule("tchebycheff"),
        (2, 3),
        (1.0, 0.1, 0.01, 1e-4),
    ),
)
