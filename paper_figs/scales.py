"""How far the tasks' losses and gradients lie apart during training with equal weights: the largest over the smallest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from moo_mtl.errors import InputError
from moo_mtl.experiment import Record
from moo_mtl.plotting import style
from moo_mtl.results.export import escaped

VENUE = "icml"
RULE = "equal"
AT = np.linspace(0, 1, 21)  # shares of the training, at which runs of different lengths are read
WHAT = {"losses": "losses", "norms": "gradient norms"}


def draw(records: Sequence[Record]) -> Figure:
    """A line per data set: median over seeds, learning rates and the tables of a suite."""
    found = _spreads(records)
    width, _ = style.size(VENUE, columns=2)
    figure, panels = plt.subplots(1, 2, figsize=(width, width * 0.34), sharex=True)
    for panel, (group, name) in zip(panels, WHAT.items(), strict=True):
        for place, (data, values) in enumerate(found[group].items()):
            drawn = style.numbered(place)
            line = {"color": drawn.colour, "linestyle": drawn.line, "marker": drawn.marker, "markevery": 4}
            panel.plot(AT, np.median(values, axis=0), label=data, **line)
        panel.set(yscale="log", xlabel="share of the training", title=name)
        panel.set_ylim(bottom=1)
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        panel.minorticks_off()
        panel.grid(axis="y")
    panels[0].set_ylabel("largest / smallest")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def table(records: Sequence[Record]) -> str:
    """Medians at the beginning and at the end."""
    found = _spreads(records)
    rows = []
    for data in found["losses"]:
        ends = [median(float(run[at]) for run in found[group][data]) for group in WHAT for at in (0, -1)]
        rows.append(" & ".join([escaped(data), *(f"{value:.3g}" for value in ends)]) + r" \\")
    head = r"data set & losses, first & last & gradient norms, first & last \\"
    return "\n".join([r"\begin{tabular}{lrrrr}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", ""])


def _spreads(records: Sequence[Record]) -> dict[str, dict[str, list[np.ndarray]]]:
    """For losses and gradient norms, by data set: for each run the ratios at the shares ``AT``."""
    found: dict[str, dict[str, list[np.ndarray]]] = {group: {} for group in WHAT}
    for record in records:
        if record.alone or str(record.config.rule) != RULE:
            continue
        lines = list(_lines(record))
        for group in found if lines else ():
            shares = [line["step"] / lines[-1]["step"] for line in lines]
            ratios = [_ratio(line[group].values()) for line in lines]
            found[group].setdefault(record.config.data.name, []).append(np.interp(AT, shares, ratios))
    if not found["losses"]:
        raise InputError(f"scales: no run of {RULE} has a step log; set log_every in its experiment file")
    return found


def _lines(record: Record) -> Iterator[dict[str, Any]]:
    """The step log of a run."""
    file = record.run.folder / "steps.jsonl"
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def _ratio(values: Iterable[float | None]) -> float:
    """The largest over the smallest of the tasks that have one; a task without an example in the batch has none."""
    there = [value for value in values if value]
    return max(there) / min(there) if there else np.nan
