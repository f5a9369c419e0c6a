"""Delta_m of every rule on every data set with finished runs: points with intervals, and a table with ranks and tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
from contenders import mark
from matplotlib.figure import Figure

from moo_mtl import statistics
from moo_mtl.experiment import Record
from moo_mtl.plotting import style
from moo_mtl.results.export import escaped
from moo_mtl.statistics.compare import Comparison, Place
from moo_mtl.statistics.spread import Spread, spread

PANELS = 4  # in a row


class Column(NamedTuple):
    """A data set, or a suite of several tables: what Delta_m is against, and each rule's, over seeds or over the tables."""

    name: str
    against: str
    rules: dict[str, Spread]


def draw(records: Sequence[Record]) -> Figure:
    """A panel per data set; each rule with its own tuned settings, mean and 95 % interval."""
    columns = _columns(_compared(records))
    width, _ = style.size("icml", columns=2)
    down, across = -(-len(columns) // PANELS), min(PANELS, len(columns))
    with plt.rc_context(style.rc("icml")):
        share = width * min(1, (across + 0.3) / PANELS)
        figure, grid = plt.subplots(down, across, figsize=(share, width * 0.3 * down), squeeze=False)
        for column, panel in zip(columns, grid.flat, strict=False):
            shown = sorted(column.rules)
            for x, rule in enumerate(shown):
                mark(panel, x, column.rules[rule], style.look(rule.partition("(")[0]))
            panel.axhline(0, color="#7F7F7F", linewidth=0.8, zorder=0)
            panel.set_xticks(range(len(shown)), shown, rotation=45, ha="right", rotation_mode="anchor")
            panel.set_title(column.name if column.against != "equal weights" else f"{column.name}, to equal")
            panel.grid(axis="y")
        for panel in list(grid.flat)[len(columns) :]:
            panel.set_axis_off()
        for row in grid:
            row[0].set_ylabel(r"$\Delta_m$, %")
        return figure


def table(records: Sequence[Record]) -> str:
    """Mean and standard deviation; the best mean of a data set is bold. Below, mean ranks and Friedman's test over all."""
    compared = _compared(records)
    columns = _columns(compared)
    rules = sorted({rule for column in columns for rule in column.rules})
    ranks = {} if compared.tests is None else compared.tests.ranks
    rows = [
        " & ".join(
            [escaped(rule), *(_cell(column, rule) for column in columns), f"{ranks[rule]:.1f}" if rule in ranks else "--"]
        )
        for rule in rules
    ]
    head = " & ".join(["rule", *(escaped(column.name) for column in columns), "rank"])
    against = " & ".join(["against", *(column.against.partition(" ")[0] for column in columns), ""])
    lines = [rf"{line} \\" for line in rows]
    layout = "l" + "r" * (len(columns) + 1)
    ends = [r"\bottomrule", r"\end{tabular}", ""]
    if compared.tests is not None and compared.tests.friedman is not None:
        ends.append(f"% Friedman's test over {compared.tests.blocks} blocks: p = {compared.tests.friedman:.2g}\n")
    return "\n".join(
        [rf"\begin{{tabular}}{{{layout}}}", r"\toprule", rf"{head} \\", rf"{against} \\", r"\midrule", *lines, *ends]
    )


def _compared(records: Sequence[Record]) -> Comparison:
    return statistics.compare([statistics.measured(record.run) for record in records])


def _columns(compared: Comparison) -> list[Column]:
    """The tables of a suite, which have its name before the bracket, make one column: the spread is then over the tables."""
    suites: dict[str, list[Place]] = {}
    for place in compared.places:
        suites.setdefault(place.name.partition("(")[0].split()[0], []).append(place)
    found = []
    for name, places in suites.items():
        by_table = [{one.rule: one.delta_m for one in place.contenders} for place in places]
        rules = [rule for rule in by_table[0] if all(rule in one for one in by_table)]
        several = {rule: spread([one[rule].mean for one in by_table]) for rule in rules}
        title = name if len(places) == 1 else f"{name} ({len(places)} sets)"
        found.append(Column(title, places[0].against, by_table[0] if len(places) == 1 else several))
    return found


def _cell(column: Column, rule: str) -> str:
    if rule not in column.rules:
        return "--"
    value, best = column.rules[rule], min(one.mean for one in column.rules.values())
    text = rf"\textbf{{{value.mean:.2f}}}" if value.mean == best else f"{value.mean:.2f}"
    return text if value.sd is None else rf"{text} $\pm$ {value.sd:.2f}"
