"""How far a rule lets a loss climb: its highest rise above its own lowest value so far, in units of its first value."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from moo_mtl.experiment import Record
from moo_mtl.plotting import style

FLOOR = 1e-12  # stands for no rise at all


def draw(records: Sequence[Record]) -> Figure:
    """The worst start and task; losses are recorded after every step."""
    width, _ = style.size("icml")
    with plt.rc_context(style.rc("icml")):
        figure, ax = plt.subplots(figsize=(width, 0.2 * len(records) + 0.5))
        for place, record in enumerate(records):
            losses = record.load().losses
            climbs = (losses - losses.cummin(dim=0).values) / losses[0]
            highest = max(climbs.max().item(), FLOOR)
            drawn = style.look(record.config.rule.name)
            ax.plot([FLOOR, highest], [place, place], color=drawn.colour, linewidth=1)
            ax.plot(highest, place, marker=drawn.marker, color=drawn.colour)
        ax.set_yticks(range(len(records)), [record.config.rule.name for record in records])
        ax.invert_yaxis()
        ax.set(xscale="log", xlabel="highest climb of a loss / its first value")
        ax.grid(axis="x")
        return figure
