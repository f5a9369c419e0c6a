"""EMA loss weighting: its variants, and its decay, on several data sets; a panel for each data set."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from contenders import by_rule, mark, name, places
from matplotlib.figure import Figure

from moo_mtl.experiment import Record
from moo_mtl.plotting import style

VENUE = "icml"
VARIANTS = ("inverse", "inverse-normalised", "anchored", "log", "trend", "proportional")
DECAYS = (0.0, 0.5, 0.9, 0.99, 0.999)


def draw(records: Sequence[Record]) -> Figure:
    """Above, a point per variant, V1 to V6, with decay 0.9; below, V1 over its decay. The line at 0 is equal weights."""
    compared = places(records)
    width, _ = style.size(VENUE, columns=2)
    figure, panels = plt.subplots(2, len(compared), figsize=(width, width * 0.55), squeeze=False, sharex="row")
    for place, above, below in zip(compared, *panels, strict=True):
        found = by_rule(place, records)
        for x, variant in enumerate(VARIANTS):
            one = found.get(name("ema", {"variant": variant}))
            if one is not None:
                mark(above, x, one.delta_m, style.numbered(x))
        above.set_xticks(range(len(VARIANTS)), [f"V{x + 1}" for x in range(len(VARIANTS))])
        drawn, line = style.look("ema"), []
        for x, decay in enumerate(DECAYS):
            one = found.get(name("ema", {"variant": "inverse"} if decay == 0.9 else {"decay": decay}))
            if one is not None:
                mark(below, x, one.delta_m, drawn)
                line.append((x, one.delta_m.mean))
        below.plot(*zip(*line, strict=True), color=drawn.colour)
        below.set_xticks(range(len(DECAYS)), [f"{decay:g}" for decay in DECAYS])
        below.set(xlabel=r"decay $\beta$ of V1")
        for panel in (above, below):
            panel.axhline(0, color="#7F7F7F", linewidth=0.8)
        data = next(one.config.data for one in records if str(one.config.data) in place.name).parameters
        above.set_title(str(data.get("subset", data.get("of"))))
    for row in panels:
        row[0].set_ylabel(rf"$\Delta_m$ to {compared[0].against}, %")
    return figure
