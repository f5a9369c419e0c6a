"""Fronts on two overlaid images: a panel for each data set, and hypervolumes beside the published ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from moo_mtl.config import Choice
from moo_mtl.experiment import Record
from moo_mtl.fronts import non_dominated
from moo_mtl.plotting import style
from moo_mtl.results.export import escaped

VENUE = "icml"
# Hypervolume up to (2, 2) of the losses on the test part, LeNet, mean over ten seeds: Chen and Kwok, Multi-Objective Deep
# Learning with Adaptive Reference Vectors, NeurIPS 2022, table 1. PHN-LS is a hypernetwork that descends the weighted sum.
PUBLISHED = {
    ("epo", "multi-mnist"): 2.95,
    ("epo", "multi-fashion"): 2.31,
    ("epo", "fashion-and-mnist"): 2.86,
    ("cosmos, one network", "multi-mnist"): 2.95,
    ("cosmos, one network", "multi-fashion"): 2.31,
    ("cosmos, one network", "fashion-and-mnist"): 2.82,
    ("linear, hypernetwork", "multi-mnist"): 2.79,
    ("linear, hypernetwork", "multi-fashion"): 2.14,
    ("linear, hypernetwork", "fashion-and-mnist"): 2.67,
}
_HOW = {"input": "one network", "hyper": "hypernetwork"}


def draw(records: Sequence[Record]) -> Figure:
    """The front of the seed with the median hypervolume; points that another one dominates are left out."""
    data = _distinct(record.config.data.name for record in records)
    width, _ = style.size(VENUE, columns=2)
    share = min(width, width * (len(data) + 0.8) / 3)
    figure, panels = plt.subplots(1, len(data), figsize=(share, width * 0.32), squeeze=False)
    for name, panel in zip(data, panels.flat, strict=True):
        for record in records:
            if record.config.data.name != name:
                continue
            fronts = record.load()
            points = fronts.points[int(fronts.median)]
            points = points[non_dominated(points)]
            points = points[points[:, 0].argsort()]
            drawn = _look(record.config.rule)
            line = {"color": drawn.colour, "marker": drawn.marker, "linestyle": drawn.line, "linewidth": 0.8}
            panel.plot(*points.T.numpy(), label=_name(record.config.rule), **line)
        panel.set(xlabel="cross-entropy, first image", title=name)
        panel.grid()
    panels[0, 0].set_ylabel("cross-entropy, second image")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def table(records: Sequence[Record]) -> str:
    """Mean hypervolume over the seeds with its standard deviation; the published mean in brackets."""
    data = _distinct(record.config.data.name for record in records)
    found = {(_name(record.config.rule), record.config.data.name): record.metrics for record in records}
    rows = []
    for rule in _distinct(rule for rule, _ in found):
        cells = [_cell(found.get((rule, name)), PUBLISHED.get((rule, name))) for name in data]
        rows.append(" & ".join([escaped(rule), *cells]) + r" \\")
    head = " & ".join(["rule", *map(escaped, data)]) + r" \\"
    layout = "l" + "r" * len(data)
    return "\n".join(
        [rf"\begin{{tabular}}{{{layout}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", ""]
    )


def _cell(metrics: dict[str, float | None] | None, published: float | None) -> str:
    if metrics is None:
        return "--"
    spread = "" if metrics["HV sd"] is None else rf" $\pm$ {metrics['HV sd']:.2f}"
    beside = "" if published is None else f" [{published:.2f}]"
    return f"{metrics['HV']:.2f}{spread}{beside}"


def _name(rule: Choice) -> str:
    how = rule.parameters.get("condition")
    return rule.name if how is None else f"{rule.name}, {_HOW[how]}"


def _look(rule: Choice) -> style.Look:
    """A hypernetwork of a rule has the rule's colour, and another marker and line."""
    drawn = style.look(rule.name)
    return drawn._replace(marker="X", line=":") if rule.parameters.get("condition") == "hyper" else drawn


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
