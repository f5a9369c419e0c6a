"""How far from Pareto-stationarity each trajectory is over the steps: upper and lower bound, a panel per rule."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from moo_mtl import plotting
from moo_mtl.experiment import Record
from moo_mtl.plotting import style

COLUMNS = 3


def draw(records: Sequence[Record]) -> Figure:
    rules = {record.label: record for record in reversed(records)}  # one seed each: the first
    labels = list(reversed(rules))
    columns = min(COLUMNS, len(labels))
    lines = -(-len(labels) // columns)
    width, _ = style.size(columns=2)
    figure, panels = plt.subplots(
        lines, columns, figsize=(width, width * 0.28 * lines), sharex=True, sharey=True, squeeze=False
    )
    for panel in panels.flat[len(labels) :]:
        panel.set_visible(False)
    for label, panel in zip(labels, panels.flat, strict=False):
        trace = rules[label].load()
        lower, upper = trace.lower.flatten(1), trace.upper.flatten(1)
        plotting.certificate(trace.certified, lower, upper, panel, name=rules[label].config.rule.name)
        panel.set_title(label)
        panel.label_outer()
    return figure
