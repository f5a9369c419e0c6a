"""Delta_m of every rule on every data set with finished runs: points with intervals, and a table."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from contenders import mark, places
from matplotlib.figure import Figure

from moo_mtl.experiment import Record
from moo_mtl.plotting import style
from moo_mtl.results.export import escaped


def draw(records: Sequence[Record]) -> Figure:
    """A panel per data set; each rule with its own tuned settings, mean and 95 % interval over its seeds."""
    compared = places(records)
    width, _ = style.size("icml", columns=2)
    with plt.rc_context(style.rc("icml")):
        share = min(width, width * (len(compared) + 0.3) / 4)
        figure, panels = plt.subplots(1, len(compared), figsize=(share, width * 0.3), squeeze=False)
        for place, panel in zip(compared, panels.flat, strict=True):
            shown = sorted(place.contenders, key=lambda one: one.rule)
            for x, one in enumerate(shown):
                mark(panel, x, one, style.look(one.rule.partition("(")[0]))
            panel.axhline(0, color="#7F7F7F", linewidth=0.8, zorder=0)
            panel.set_xticks(range(len(shown)), [one.rule for one in shown], rotation=45, ha="right", rotation_mode="anchor")
            panel.set_title(place.name.partition("(")[0].split()[0])
            panel.grid(axis="y")
        panels[0, 0].set_ylabel(r"$\Delta_m$, %")
        return figure


def table(records: Sequence[Record]) -> str:
    """Mean and standard deviation over seeds; the best mean of a data set is bold."""
    compared = places(records)
    rules = sorted({one.rule for place in compared for one in place.contenders})
    rows = []
    for rule in rules:
        cells = []
        for place in compared:
            one = next((one for one in place.contenders if one.rule == rule), None)
            best = min(other.delta_m.mean for other in place.contenders)
            if one is None:
                cells.append("--")
                continue
            text = f"{one.delta_m.mean:.2f}"
            text = rf"\textbf{{{text}}}" if one.delta_m.mean == best else text
            cells.append(text if one.delta_m.sd is None else rf"{text} $\pm$ {one.delta_m.sd:.2f}")
        rows.append(" & ".join([escaped(rule), *cells]) + r" \\")
    names = [escaped(place.name.partition("(")[0].split()[0]) for place in compared]
    layout = "l" + "r" * len(names)
    head = " & ".join(["rule", *names]) + r" \\"
    return "\n".join(
        [rf"\begin{{tabular}}{{{layout}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", ""]
    )
