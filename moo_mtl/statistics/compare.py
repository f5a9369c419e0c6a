"""The comparison of rules as a value: who was tuned to what, how good each is, against what, and at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import torch

from moo_mtl.errors import InputError
from moo_mtl.fronts.deltas import delta_m, delta_p
from moo_mtl.statistics.gather import Measured
from moo_mtl.statistics.ranks import Tests, ranked, tests
from moo_mtl.statistics.spread import Spread, spread
from moo_mtl.statistics.tuning import Tuned, chosen, tuned, varied

BASELINE = "equal"  # equal weights


class Contender(NamedTuple):
    """A rule at one place.

    Attributes:
        rule: with its parameters.
        settings: its own, of those that vary; what the validation data chose.
        tried: number of settings that it was tuned over.
        incomplete: how many of them were left out because a seed is missing.
        seeds: with the chosen settings.
        metrics: over the seeds.
        rank: mean over the metrics of its rank among the rules, 1 is best.
        delta_m: mean relative loss over metrics in percent, lower is better.
        delta_p: mean over tasks of the mean relative gain in percent, higher is better.
        ms: per step.
    """

    rule: str
    settings: Mapping[str, str]
    tried: int
    incomplete: int
    seeds: tuple[int, ...]
    metrics: Mapping[str, Spread]
    rank: float
    delta_m: Spread
    delta_p: Spread
    ms: Spread


class Place(NamedTuple):
    """The rules on one problem, or on one data set and model.

    Attributes:
        name: of the place.
        higher: for each metric, whether higher is better.
        tuned_by: the number that chose each rule's settings.
        against: what Delta_m and Delta_p are relative to: single-task runs, or equal weights where there are none.
        left_out: metrics without a relative change, because the baseline is at or below 0.
        contenders: best rank first.
    """

    name: str
    higher: Mapping[str, bool]
    tuned_by: str
    against: str
    left_out: tuple[str, ...]
    contenders: tuple[Contender, ...]


class Comparison(NamedTuple):
    """All places, and the tests over their seeds together: on Delta_m, so that no unit counts."""

    places: tuple[Place, ...]
    tests: Tests | None


def compare(runs: Sequence[Measured]) -> Comparison:
    """Compare the rules of all runs.

    Raises:
        InputError: there are no runs, a place has no run with equal weights, the rules share no metric, or no metric has a
            relative change.
    """
    if not runs:
        raise InputError("compare: there are no runs; gather(folder) finds those of an experiment")
    found = [_place(name, [run for run in runs if run.place == name]) for name in dict.fromkeys(run.place for run in runs)]
    rules = [rule for rule in found[0][1] if all(rule in deltas for _, deltas in found)]
    scores: dict[str, list[float]] = {rule: [] for rule in rules}
    for _, deltas in found:
        shared = sorted(set.intersection(*(set(deltas[rule]) for rule in rules)))
        for rule in rules:
            scores[rule] += [deltas[rule][seed] for seed in shared]
    return Comparison(tuple(place for place, _ in found), tests(scores))


def _place(name: str, runs: Sequence[Measured]) -> tuple[Place, dict[str, dict[int, float]]]:
    """A place, and each rule's Delta_m by seed."""
    rules = {rule: tuned([run for run in runs if run.rule == rule and not run.alone]) for rule in _names(runs, alone=False)}
    if BASELINE not in rules:
        raise InputError(
            f"{name} has no finished run with equal weights, which all are compared with; add the rule {BASELINE!r}"
        )
    metrics = [
        key for key in rules[BASELINE].runs[0].scores if all(key in run.scores for one in rules.values() for run in one.runs)
    ]
    if not metrics:
        raise InputError(f"the rules on {name} have no metric in common; name one that all have with --metric")
    higher = {key: rules[BASELINE].runs[0].higher[key] for key in metrics}
    against, baseline = _baseline(runs, rules[BASELINE], metrics)
    related = [key for key in metrics if baseline[key] > 0]
    if not related:
        raise InputError(
            f"on {name} every metric of {against} is at or below 0, so that nothing is relative to it; name others"
        )
    deltas = {rule: _deltas(one.runs, related, baseline, higher) for rule, one in rules.items()}
    ranks = _ranks(rules, higher)
    keys = varied([run for run in runs if not run.alone])
    contenders = [_contender(rule, one, keys, metrics, ranks[rule], deltas[rule]) for rule, one in rules.items()]
    left_out = tuple(key for key in metrics if key not in related)
    tuned_by = rules[BASELINE].runs[0].tuned_by
    place = Place(name, higher, tuned_by, against, left_out, tuple(sorted(contenders, key=lambda contender: contender.rank)))
    return place, {rule: {seed: m for seed, (m, _) in by_seed.items()} for rule, by_seed in deltas.items()}


def _names(runs: Sequence[Measured], *, alone: bool) -> list[str]:
    return list(dict.fromkeys(run.rule for run in runs if run.alone is alone))


def _baseline(runs: Sequence[Measured], equal: Tuned, metrics: Sequence[str]) -> tuple[str, dict[str, float]]:
    """Single-task means, each task with its own tuned settings; those of equal weights where a metric has none."""
    alone = [
        run for task in _names(runs, alone=True) for run in tuned([run for run in runs if run.rule == task and run.alone]).runs
    ]
    by_metric = {key: [run.scores[key] for run in alone if key in run.scores] for key in metrics}
    if all(by_metric.values()):
        return "single-task runs", {key: fmean(values) for key, values in by_metric.items()}
    return "equal weights", {key: fmean(run.scores[key] for run in equal.runs) for key in metrics}


def _deltas(
    runs: Sequence[Measured], keys: Sequence[str], baseline: Mapping[str, float], higher: Mapping[str, bool]
) -> dict[int, tuple[float, float]]:
    """Delta_m and Delta_p of each seed."""
    table = torch.tensor([[run.scores[key] for key in keys] for run in runs], dtype=torch.float64)
    base = torch.tensor([baseline[key] for key in keys], dtype=torch.float64)
    ways = [higher[key] for key in keys]
    losses, gains = delta_m(table, base, ways), delta_p(table, base, ways, [key.rpartition("/")[0] for key in keys])
    return {run.seed: pair for run, pair in zip(runs, zip(losses.tolist(), gains.tolist(), strict=True), strict=True)}


def _ranks(rules: Mapping[str, Tuned], higher: Mapping[str, bool]) -> dict[str, float]:
    means = {key: [fmean(run.scores[key] for run in one.runs) for one in rules.values()] for key in higher}
    by_metric = [ranked(means[key], higher=way) for key, way in higher.items()]
    return {rule: fmean(ranks[place] for ranks in by_metric) for place, rule in enumerate(rules)}


def _contender(
    rule: str, one: Tuned, keys: Sequence[str], metrics: Sequence[str], rank: float, deltas: Mapping[int, tuple[float, float]]
) -> Contender:
    return Contender(
        rule,
        chosen(one.runs[0], keys),
        one.tried,
        one.incomplete,
        tuple(run.seed for run in one.runs),
        {key: spread([run.scores[key] for run in one.runs]) for key in metrics},
        rank,
        spread([m for m, _ in deltas.values()]),
        spread([p for _, p in deltas.values()]),
        spread([run.ms for run in one.runs]),
    )
