"""Trajectories over the landscape of a two-dimensional problem, a panel per rule; the end points as a table."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from moo_mtl import plotting, problems
from moo_mtl.experiment import Record
from moo_mtl.plotting import style
from moo_mtl.results.export import escaped

VENUE = "icml"
COLUMNS = 5


def draw(records: Sequence[Record]) -> Figure:
    """A hollow end marks a start that still moved when the run ended; the dark curve is the Pareto set."""
    shown = _first(records)
    chosen = records[0].config.problem
    problem = problems.get(chosen.name, **chosen.parameters)
    columns = min(COLUMNS, len(shown))
    lines = -(-len(shown) // columns)
    width, _ = style.size(VENUE, columns=2)
    figure, panels = plt.subplots(
        lines, columns, figsize=(width * columns / COLUMNS, width / COLUMNS * 1.12 * lines), sharex=True, sharey=True
    )
    panels = list(panels.flat) if len(shown) > 1 else [panels]
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    for record, panel in zip(shown, panels, strict=False):
        trace = record.load()
        plotting.landscape(problem, panel, resolution=120)
        if problem.exact_set is not None:
            plotting.pareto_set(problem.pareto_set(200), panel)
        plotting.trajectories(trace.x, panel, name=record.config.rule.name, moving=trace.moving(), linewidth=1.0)
        panel.set_title(record.config.rule.name)
        panel.label_outer()
    return figure


def table(records: Sequence[Record]) -> str:
    """Where each start ended; a star marks one that still moved."""
    shown = _first(records)
    rows = []
    for record in shown:
        trace = record.load()
        ends = [
            f"$({a:.2f}, {b:.2f})${'*' if moved else ''}"
            for (a, b), moved in zip(trace.x[-1].tolist(), trace.moving().tolist(), strict=True)
        ]
        rows.append(" & ".join([escaped(record.config.rule.name), *ends]) + r" \\")
    starts = [f"$({a:g}, {b:g})$" for a, b in shown[0].load().x[0].tolist()]
    layout = "l" + "r" * len(starts)
    head = " & ".join(["rule", *starts]) + r" \\"
    return "\n".join(
        [rf"\begin{{tabular}}{{{layout}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", ""]
    )


def _first(records: Sequence[Record]) -> list[Record]:
    """One run for each rule: that of the first seed."""
    return list({str(record.config.rule): record for record in reversed(records)}.values())[::-1]
