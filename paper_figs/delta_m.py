"""Delta_m of the rules on every data set with finished runs: points with intervals, and a table with ranks and tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moo_mtl import statistics
from moo_mtl.experiment import Record
from moo_mtl.plotting import style
from moo_mtl.results.export import escaped
from moo_mtl.statistics.compare import Place
from moo_mtl.statistics.ranks import LEAST_BLOCKS, Tests, tests
from moo_mtl.statistics.spread import Spread, spread

VENUE = "icml"
PANELS = 4  # in a row

# The order of rules in every panel; whatever else was run comes below. Sets that have all of the first five are tested
# together.
TESTED = ("equal", "bmtl", "ema", "db-mtl", "task-tensioner")
ORDER = (*TESTED, "mgda", "upgrad", "cagrad", "nash-mtl")


class Column(NamedTuple):
    """A data set, or a suite of several tables: what Delta_m is against, and each rule's, over seeds or over the tables."""

    name: str
    against: str
    rules: dict[str, Spread]


def draw(records: Sequence[Record]) -> Figure:
    """A panel per data set; each rule with its own tuned settings, mean and 95 % interval."""
    columns = _columns(_places(records))
    rules = _ordered(rule for column in columns for rule in column.rules)
    width, _ = style.size(VENUE, columns=2)
    down, across = -(-len(columns) // PANELS), min(PANELS, len(columns))
    size = (width * (across + 0.4) / (PANELS + 0.4), (0.16 * len(rules) + 0.55) * down)
    figure, grid = plt.subplots(down, across, figsize=size, squeeze=False, sharey=True)
    for column, panel in zip(columns, grid.flat, strict=False):
        for y, rule in enumerate(rules):
            if rule in column.rules:
                _mark(panel, column.rules[rule], y, style.look(rule.partition("(")[0]))
        panel.axvline(0, color="#7F7F7F", linewidth=0.8, zorder=0)
        panel.set_title(column.name)
        panel.set_xlabel(rf"$\Delta_m$ to {column.against}, %")
        panel.grid(axis="x")
        panel.tick_params(axis="y", length=0)
    grid[0, 0].set_yticks(range(len(rules)), rules)
    grid[0, 0].set_ylim(len(rules) - 0.4, -0.6)
    for panel in list(grid.flat)[len(columns) :]:
        panel.set_axis_off()
    return figure


def table(records: Sequence[Record]) -> str:
    """Mean and standard deviation, the best mean in bold; mean ranks. Below, the tests over all sets and over each suite."""
    places = _places(records)
    columns = _columns(places)
    tested = _tests([place for place in places if set(TESTED) <= {one.rule for one in place.contenders}])
    rules = _ordered(rule for column in columns for rule in column.rules)
    ranks = {} if tested is None else tested.ranks
    rows = [
        " & ".join(
            [escaped(rule), *(_cell(column, rule) for column in columns), f"{ranks[rule]:.1f}" if rule in ranks else "--"]
        )
        for rule in rules
    ]
    head = " & ".join(["rule", *(escaped(column.name) for column in columns), "rank"])
    against = " & ".join(["against", *(column.against for column in columns), ""])
    lines = [rf"{line} \\" for line in rows]
    layout = "l" + "r" * (len(columns) + 1)
    ends = [r"\bottomrule", r"\end{tabular}", *_said("all", tested)]
    for name, members in _suites(places).items():
        ends += _said(name, _tests(members)) + _medians(name, members)
    return "\n".join(
        [rf"\begin{{tabular}}{{{layout}}}", r"\toprule", rf"{head} \\", rf"{against} \\", r"\midrule", *lines, *ends, ""]
    )


def _mark(ax: Axes, value: Spread, y: float, look: style.Look) -> None:
    if value.low is not None and value.high is not None:
        ax.plot((value.low, value.high), (y, y), color=look.colour, linewidth=1)
    ax.plot(value.mean, y, marker=look.marker, color=look.colour, linestyle="none")


def _places(records: Sequence[Record]) -> tuple[Place, ...]:
    return statistics.compare([statistics.measured(record.run) for record in records]).places


def _tests(places: Sequence[Place]) -> Tests | None:
    """Of the rules that all these data sets have, on means over the seeds: the seeds of one set are no independent blocks."""
    if len(places) < LEAST_BLOCKS:
        return None
    means = [{one.rule: one.delta_m.mean for one in place.contenders} for place in places]
    shared = _ordered(set.intersection(*(set(one) for one in means)))
    return tests({rule: [one[rule] for one in means] for rule in shared})


def _said(name: str, tested: Tests | None) -> list[str]:
    """As comments: mean ranks, p of Friedman's test, and of Wilcoxon's against equal weights after Holm's correction."""
    if tested is None:
        return []
    ranks = ", ".join(f"{rule} {rank:.1f}" for rule, rank in sorted(tested.ranks.items(), key=lambda one: one[1]))
    pairs = ", ".join(f"{rule} {p:.2g}" for rule, p in tested.pairs.get("equal", {}).items() if rule != "equal")
    friedman = "" if tested.friedman is None else f"; Friedman's test: p = {tested.friedman:.2g}"
    return [f"% {name}, {tested.blocks} sets: mean ranks {ranks}{friedman}; against equal weights: {pairs}"]


def _medians(name: str, members: Sequence[Place]) -> list[str]:
    """As a comment: each rule's median over the tables of a suite, and on how many it is below 0."""
    if len(members) < LEAST_BLOCKS:
        return []
    means: dict[str, list[float]] = {}
    for member in members:
        for one in member.contenders:
            means.setdefault(one.rule, []).append(one.delta_m.mean)
    others = [rule for rule in _ordered(means) if rule != "equal"]
    parts = [f"{rule} {median(means[rule]):.1f} ({sum(value < 0 for value in means[rule])})" for rule in others]
    return [f"% {name}: medians, and on how many sets below 0: {', '.join(parts)}"]


def _suites(places: Sequence[Place]) -> dict[str, list[Place]]:
    """By data set; the tables of a suite have its name before the bracket."""
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(place.name.partition("(")[0].split()[0], []).append(place)
    return found


def _columns(places: Sequence[Place]) -> list[Column]:
    """The tables of a suite make one column: the spread is then over the tables."""
    found = []
    for name, members in _suites(places).items():
        by_table = [{one.rule: one.delta_m for one in place.contenders} for place in members]
        rules = [rule for rule in by_table[0] if all(rule in one for one in by_table)]
        several = {rule: spread([one[rule].mean for one in by_table]) for rule in rules}
        title = name if len(members) == 1 else f"{name} ({len(members)} sets)"
        against = "equal" if members[0].against == "equal weights" else "single"
        found.append(Column(title, against, by_table[0] if len(members) == 1 else several))
    return found


def _ordered(rules: Iterable[str]) -> list[str]:
    """Those of ``ORDER`` first, each once."""
    there = set(rules)
    return [rule for rule in ORDER if rule in there] + sorted(there - set(ORDER))


def _cell(column: Column, rule: str) -> str:
    if rule not in column.rules:
        return "--"
    value, best = column.rules[rule], min(one.mean for one in column.rules.values())
    text = f"{round(value.mean, 2) + 0.0:.2f}"  # no minus before a zero
    bold = rf"\textbf{{{text}}}" if value.mean == best else text
    return bold if value.sd is None else rf"{bold} $\pm$ {value.sd:.2f}"
