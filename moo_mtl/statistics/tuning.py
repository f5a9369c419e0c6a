"""Each rule's own settings, chosen on validation data: every rule has the same grid, and none is held to another's best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from moo_mtl.statistics.gather import Measured


class Tuned(NamedTuple):
    """The runs with the chosen settings.

    Attributes:
        runs: one for each seed, in the order of the seeds.
        tried: number of settings that there were.
        incomplete: number of those left out because a seed is missing, as after a run that failed.
    """

    runs: tuple[Measured, ...]
    tried: int
    incomplete: int


def tuned(runs: Sequence[Measured]) -> Tuned:
    """The settings with the lowest mean validation number over the seeds, among those that all seeds finished."""
    settings: dict[tuple[tuple[str, str], ...], dict[int, Measured]] = {}
    for run in runs:
        settings.setdefault(tuple(run.settings.items()), {})[run.seed] = run
    most = max(map(len, settings.values()))
    complete = [by_seed for by_seed in settings.values() if len(by_seed) == most]
    best = min(complete, key=lambda by_seed: fmean(run.validation for run in by_seed.values()))
    return Tuned(tuple(best[seed] for seed in sorted(best)), len(settings), len(settings) - len(complete))


def varied(runs: Sequence[Measured]) -> list[str]:
    """The settings that differ between runs, learning rate first."""
    values: dict[str, set[str | None]] = {key: set() for run in runs for key in run.settings}
    for run in runs:
        for key, found in values.items():
            found.add(run.settings.get(key))
    differing = [key for key, found in values.items() if len(found) > 1]
    return sorted(differing, key=lambda key: key != "lr")


def chosen(run: Measured, keys: Sequence[str]) -> Mapping[str, str]:
    """A run's values of some settings, as a file would have them."""
    return {key: run.settings.get(key, "-").strip('"') for key in keys}
