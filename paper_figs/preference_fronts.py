"""Where each preference ended, in loss space with the exact front, a panel per rule; the hypervolumes as a table."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from moo_mtl import plotting, problems
from moo_mtl.experiment import Record
from moo_mtl.plotting import style
from moo_mtl.plotting.panels import label_outer
from moo_mtl.results.export import escaped

VENUE = "icml"
COLUMNS = 4


def draw(records: Sequence[Record]) -> Figure:
    """The number is the hypervolume of the points, for the problem's reference point."""
    chosen = records[0].config.problem
    problem = problems.get(chosen.name, **chosen.parameters)
    lines = -(-len(records) // COLUMNS)
    width, _ = style.size(VENUE, columns=2)
    figure, panels = plt.subplots(
        lines, COLUMNS, figsize=(width, width / COLUMNS * lines), sharex=True, sharey=True, squeeze=False
    )
    for panel in panels.flat[len(records) :]:
        panel.set_visible(False)
    for place, (record, panel) in enumerate(zip(records, panels.flat, strict=False)):
        ends = record.load().losses[-1].reshape(-1, problem.n_tasks)
        plotting.front(problem.front(300), panel)
        plotting.front(ends, panel, name=record.config.rule.name)
        panel.set_title(f"{record.config.rule.name}: {record.metrics['hypervolume']:.3f}")
        label_outer(panel, lowest=place + COLUMNS >= len(records))
    return figure


def table(records: Sequence[Record]) -> str:
    """Hypervolume of each rule's points."""
    rows = [rf"{escaped(record.config.rule.name)} & {record.metrics['hypervolume']:.3f} \\" for record in records]
    return "\n".join(
        [
            r"\begin{tabular}{lr}",
            r"\toprule",
            r"rule & hypervolume \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )
