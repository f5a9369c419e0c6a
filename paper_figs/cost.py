"""What a rule costs over the number of tasks: time of a step and peak memory beyond equal weights."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from moo_mtl.experiment import Record
from moo_mtl.plotting import style

VENUE = "icml"
BASELINE = "equal"


def draw(records: Sequence[Record]) -> Figure:
    """Medians over seeds; time in units of equal weights with as many tasks."""
    times, memories = (_by_rule(records, read) for read in (_milliseconds, _megabytes))
    width, _ = style.size(VENUE, columns=2)
    figure, (left, right) = plt.subplots(1, 2, figsize=(width * 0.85, width * 0.32))
    for rule in times:
        if rule == BASELINE:
            continue
        drawn, tasks = style.look(rule), sorted(times[rule])
        line = {"color": drawn.colour, "linestyle": drawn.line, "marker": drawn.marker}
        left.plot(tasks, [times[rule][k] / times[BASELINE][k] for k in tasks], label=rule, **line)
        right.plot(tasks, [memories[rule][k] - memories[BASELINE][k] for k in tasks], **line)
    for panel in (left, right):
        panel.set(xlabel="number of tasks", xscale="log", xticks=tasks, xticklabels=[str(k) for k in tasks])
        panel.minorticks_off()
        panel.grid(axis="y")
    left.axhline(1, color="#7F7F7F", linewidth=0.8, zorder=0)
    left.set(ylabel="time of a step / equal weights")
    right.set(ylabel="memory above equal, MB")
    figure.legend(loc="outside right center")
    return figure


def _by_rule(records: Sequence[Record], read: object) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, list[float]]] = {}
    for record in records:
        found.setdefault(record.config.rule.name, {}).setdefault(len(record.config.tasks), []).append(read(record))
    return {rule: {k: median(values) for k, values in counts.items()} for rule, counts in found.items()}


def _milliseconds(record: Record) -> float:
    return record.metrics["training"]["ms per step"]


def _megabytes(record: Record) -> float:
    return record.run.status["peak_mb"]
