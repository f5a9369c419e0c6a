"""How far a rule lets a loss climb: its highest rise above its own lowest value so far, in units of its first value."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from moo_mtl.experiment import Record
from moo_mtl.plotting import style

VENUE = "icml"
LEAST = 1e-4  # the left end; a smaller rise is rounding, and is not drawn


def draw(records: Sequence[Record]) -> Figure:
    """The worst start and task; losses are recorded after every step."""
    width, _ = style.size(VENUE)
    figure, ax = plt.subplots(figsize=(width, 0.2 * len(records) + 0.5))
    for place, record in enumerate(records):
        losses = record.load().losses
        climbs = (losses - losses.cummin(dim=0).values) / losses[0]
        highest = climbs.max().item()
        drawn = style.look(record.config.rule.name)
        if highest < LEAST:
            ax.text(LEAST, place, " none", va="center", color=drawn.colour)
            continue
        ax.plot([LEAST, highest], [place, place], color=drawn.colour, linewidth=1)
        ax.plot(highest, place, marker=drawn.marker, color=drawn.colour)
    ax.set_yticks(range(len(records)), [record.config.rule.name for record in records])
    ax.invert_yaxis()
    ax.set(xscale="log", xlabel="highest climb of a loss / its first value")
    ax.set_xlim(left=LEAST)
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.grid(axis="x")
    return figure
