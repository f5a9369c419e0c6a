"""What a rule costs over the number of tasks: time of a step and peak memory beyond equal weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from moo_mtl.experiment import Record
from moo_mtl.plotting import style
from moo_mtl.results.export import escaped

VENUE = "icml"
BASELINE = "equal"


def draw(records: Sequence[Record]) -> Figure:
    """Time in units of equal weights with as many tasks; memory above theirs."""
    times, memories = _times(records), _memories(records)
    width, _ = style.size(VENUE, columns=2)
    figure, (left, right) = plt.subplots(1, 2, figsize=(width, width * 0.36))
    for rule in times:
        if rule == BASELINE:
            continue
        drawn, tasks = style.look(rule), sorted(times[rule])
        line = {"color": drawn.colour, "linestyle": drawn.line, "marker": drawn.marker}
        left.plot(tasks, [times[rule][k] / times[BASELINE][k] for k in tasks], label=rule, **line)
        right.plot(tasks, [memories[rule][k] - memories[BASELINE][k] for k in tasks], **line)
    for panel in (left, right):
        panel.set(xlabel="number of tasks", xscale="log", xticks=tasks, xticklabels=[str(k) for k in tasks])
        panel.xaxis.set_minor_locator(plt.NullLocator())
        panel.grid(axis="y")
    left.axhline(1, color="#7F7F7F", linewidth=0.8, zorder=0)
    left.set(ylabel="time of a step / equal weights", yscale="log")
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    left.yaxis.set_minor_formatter(NullFormatter())
    right.axhline(0, color="#7F7F7F", linewidth=0.8, zorder=0)
    right.set(ylabel="memory above equal weights, MB")
    figure.legend(loc="outside right center")
    return figure


def table(records: Sequence[Record]) -> str:
    """Milliseconds of a step and peak megabytes, a column for each number of tasks."""
    times, memories = _times(records), _memories(records)
    tasks = sorted(times[BASELINE])
    rows = []
    for rule in times:
        cells = [f"{times[rule][k]:.1f}" for k in tasks] + [f"{memories[rule][k]:.0f}" for k in tasks]
        rows.append(rf"{escaped(rule)} & {' & '.join(cells)} \\")
    head = rf"rule & {' & '.join([f'ms, K = {k}' for k in tasks] + [f'MB, K = {k}' for k in tasks])} \\"
    layout = "l" + "r" * 2 * len(tasks)
    ends = [r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join([rf"\begin{{tabular}}{{{layout}}}", r"\toprule", head, r"\midrule", *rows, *ends])


def _times(records: Sequence[Record]) -> dict[str, dict[int, float]]:
    """Milliseconds, by rule and number of tasks: the fastest epoch of all seeds, since whatever else runs only adds to it."""
    return _by_rule(records, lambda record: 1000 * float(record.load().seconds.min()), min)


def _memories(records: Sequence[Record]) -> dict[str, dict[int, float]]:
    """Peak megabytes, the median over the seeds."""
    return _by_rule(records, lambda record: record.run.status["peak_mb"], median)


def _by_rule(
    records: Sequence[Record], read: Callable[[Record], float], of: Callable[[Sequence[float]], float]
) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, list[float]]] = {}
    for record in records:
        found.setdefault(record.config.rule.name, {}).setdefault(len(record.config.tasks), []).append(read(record))
    return {rule: {k: of(values) for k, values in counts.items()} for rule, counts in found.items()}
