"""BMTL over its temperature, against the five classes of approaches that its paper names."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from contenders import by_rule, mark, places
from matplotlib.figure import Figure

from moo_mtl.experiment import Record
from moo_mtl.plotting import style

VENUE = "icml"
CLASSES = {
    "equal": "direct sum",
    "uw": "weighted sum (UW)",
    "tchebycheff": "maximum",
    "dwa": "curriculum-like (DWA)",
    "mgda": "multi-objective (MGDA)",
}


def draw(records: Sequence[Record]) -> Figure:
    """Delta_m against equal weights where no task was trained alone; lower is better."""
    (place,) = places(records)
    temperatures = {str(one.config.rule): one.config.rule.parameters.get("temperature", 1.0) for one in records}
    width, _ = style.size(VENUE)
    figure, ax = plt.subplots(figsize=(width * 1.35, width * 0.75))
    drawn = style.look("bmtl")
    curve = sorted((temperatures[one.rule], one) for one in by_rule(place, records).values() if one.rule.startswith("bmtl"))
    for temperature, one in curve:
        mark(ax, temperature, one.delta_m, drawn)
    ax.plot([t for t, _ in curve], [one.delta_m.mean for _, one in curve], color=drawn.colour, label="BMTL")
    for rule, label in CLASSES.items():
        for one in place.contenders:
            if one.rule == rule:
                look = style.look(rule)
                shown = f"{label}: {one.delta_m.mean:+.1f}"
                ax.axhline(one.delta_m.mean, color=look.colour, linestyle=look.line, linewidth=1, label=shown)
    ax.set(xscale="log", xlabel="temperature $T$", ylabel=rf"$\Delta_m$ to {place.against}, %")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
