"""DB-MTL in parts: its two stages, the logarithm before other rules, other common lengths, and the moving average."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from contenders import by_rule, mark, name, places
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moo_mtl.experiment import Record
from moo_mtl.plotting import style
from moo_mtl.statistics.compare import Contender

VENUE = "icml"
OTHERS = ("pcgrad", "gradvac", "imtl-g", "cagrad", "nash-mtl", "aligned-mtl")
LENGTHS = ("min", "mean", "median", 1.0)
BETAS = (0.1, 0.5, 0.9)


def draw(records: Sequence[Record]) -> Figure:
    """Four panels of Delta_m against single-task training; lower is better."""
    (place,) = places(records)
    found = by_rule(place, records)
    width, _ = style.size(VENUE, columns=2)
    figure, panels = plt.subplots(1, 4, figsize=(width, width * 0.32), width_ratios=[3, 5, 4, 3])
    _stages(panels[0], found)
    _logarithms(panels[1], found)
    _lengths(panels[2], found)
    _averages(panels[3], found)
    panels[0].set_ylabel(r"$\Delta_m$, %")
    for panel in panels:
        panel.grid(axis="y")
    return figure


def _stages(ax: Axes, found: dict[str, Contender]) -> None:
    stages = {
        "equal": name("equal"),
        "log": name("db-mtl", {"stages": "loss"}),
        "gradient": name("db-mtl", {"stages": "gradient"}),
        "both": name("db-mtl"),
    }
    _row(ax, {label: found[key] for label, key in stages.items() if key in found}, "equal")
    ax.set_title("stages")


def _logarithms(ax: Axes, found: dict[str, Contender]) -> None:
    """Hollow: the rule as it is; filled: after the logarithm."""
    shown = [rule for rule in OTHERS if _plain(found, rule)]
    for x, rule in enumerate(shown):
        drawn, before = style.look(rule), _plain(found, rule)
        after = found.get(name("after_log", {"of": rule}))
        assert before is not None
        if after is not None:
            arrow = {"arrowstyle": "->", "color": drawn.colour, "linewidth": 1}
            ax.annotate("", (x, after.delta_m.mean), (x, before.delta_m.mean), arrowprops=arrow)
            mark(ax, x, after.delta_m, drawn)
        mark(ax, x, before.delta_m, drawn, markerfacecolor="white")
    ax.set_xticks(range(len(shown)), shown, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_title("hollow: plain, filled: after log")


def _plain(found: dict[str, Contender], rule: str) -> Contender | None:
    return next((one for key, one in found.items() if key.startswith(f"{rule} ")), None)


def _lengths(ax: Axes, found: dict[str, Contender]) -> None:
    lengths = {"max": name("db-mtl")} | {str(one): name("dual_balancing", {"magnitude": one}) for one in LENGTHS}
    _row(ax, {label: found[key] for label, key in lengths.items() if key in found}, "db-mtl")
    ax.set_title("common length")


def _averages(ax: Axes, found: dict[str, Contender]) -> None:
    for place, (sigma, label) in enumerate(((0.5, r"$\beta/\sqrt{t}$"), (0.0, "constant"))):
        drawn, line = style.numbered(place), []
        for beta in BETAS:
            parameters = ({} if beta == 0.5 else {"beta": beta}) if sigma else {"beta": beta, "sigma": sigma}
            one = found.get(name("db-mtl", parameters))
            if one is not None:
                mark(ax, beta, one.delta_m, drawn)
                line.append((beta, one.delta_m.mean))
        shown = {"color": drawn.colour, "linestyle": drawn.line, "marker": drawn.marker}
        ax.plot(*zip(*line, strict=True), label=label, **shown)
    without = found.get(name("db-mtl", {"beta": 0}))
    if without is not None:
        ax.axhline(without.delta_m.mean, color="#7F7F7F", linewidth=0.8, zorder=0)  # no average at all
    ax.set(title="moving average", xlabel=r"$\beta$", xticks=BETAS)
    ax.legend(loc="upper left")
    ax.margins(x=0.2)


def _row(ax: Axes, contenders: dict[str, Contender], rule: str) -> None:
    for x, one in enumerate(contenders.values()):
        mark(ax, x, one.delta_m, style.look("equal" if one.rule == "equal" else "db-mtl"))
        ax.annotate(
            f"{one.delta_m.mean:.1f}", (x, one.delta_m.mean), xytext=(0, 5), textcoords="offset points", ha="center", size=6.5
        )
    ax.set_xticks(range(len(contenders)), list(contenders), rotation=45, ha="right", rotation_mode="anchor")
    ax.margins(x=0.15, y=0.15)
