"""Whether rules differ beyond chance: ranks, Friedman's test over all of them, paired Wilcoxon tests between each two.

Source: Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 2006; Holm (1979) for many tests at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from statistics import fmean
from typing import Any, NamedTuple

from moo_mtl.errors import InputError

LEAST_BLOCKS = 2
LEAST_RULES = 3  # for Friedman's test; with two, Wilcoxon's says it all


class Tests(NamedTuple):
    """Rules over blocks; a block is a seed of a problem, on which all were run.

    Attributes:
        blocks: how many.
        ranks: mean rank of each rule over the blocks, 1 is best.
        friedman: p-value that all rules are alike; ``None`` with fewer than three rules.
        pairs: p-value of each two rules, after Holm's correction; the table is symmetric.
    """

    blocks: int
    ranks: dict[str, float]
    friedman: float | None
    pairs: dict[str, dict[str, float]]


def ranked(values: Sequence[float], *, higher: bool) -> list[float]:
    """Ranks from 1, best first; equal values share the mean of theirs."""
    from scipy.stats import rankdata

    return [float(rank) for rank in rankdata([-value if higher else value for value in values])]


def tests(scores: Mapping[str, Sequence[float]]) -> Tests | None:
    """The tests on each rule's scores, one a block in the same order, lower is better; ``None`` below two blocks or rules.

    Raises:
        InputError: scikit-posthocs, the extra [stats], is not installed.
    """
    names, blocks = list(scores), len(next(iter(scores.values())))
    if blocks < LEAST_BLOCKS or len(names) < 2:
        return None
    if find_spec("scikit_posthocs") is None:
        raise InputError("the tests need scikit-posthocs; pip install 'moo_mtl[stats]'")
    from scipy.stats import friedmanchisquare

    posthocs: Any = import_module("scikit_posthocs")
    by_block = [ranked([scores[name][block] for name in names], higher=False) for block in range(blocks)]
    ranks = {name: fmean(block[place] for block in by_block) for place, name in enumerate(names)}
    alike = len({tuple(values) for values in scores.values()}) == 1
    friedman = None
    if len(names) >= LEAST_RULES:
        friedman = 1.0 if alike else float(friedmanchisquare(*scores.values()).pvalue)
    table = posthocs.posthoc_wilcoxon([list(scores[name]) for name in names], zero_method="zsplit", p_adjust="holm").to_numpy()
    pairs = {one: {other: float(table[i, j]) for j, other in enumerate(names)} for i, one in enumerate(names)}
    return Tests(blocks, ranks, friedman, pairs)
