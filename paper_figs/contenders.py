"""Finished runs as contenders: each rule with its own learning rate, chosen on validation data, over the seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from moo_mtl import statistics
from moo_mtl.config import Choice
from moo_mtl.experiment import Record
from moo_mtl.plotting import style
from moo_mtl.statistics.compare import Contender, Place
from moo_mtl.statistics.spread import Spread


def places(records: Sequence[Record]) -> tuple[Place, ...]:
    """A comparison for each data set, as ``moo-mtl compare`` makes it."""
    return statistics.compare([statistics.measured(record.run) for record in records]).places


def by_rule(place: Place, records: Sequence[Record]) -> dict[str, Contender]:
    """The contenders by rule, as ``key`` writes it."""
    keys = {str(record.config.rule): key(record.config.rule) for record in records if not record.alone}
    return {keys[one.rule]: one for one in place.contenders}


def key(rule: Choice) -> str:
    """A rule and its parameters, in an order that does not depend on the file."""
    return name(rule.name, rule.parameters)


def name(rule: str, parameters: Mapping[str, Any] | None = None) -> str:
    """What ``key`` makes of a rule with these parameters."""
    return f"{rule.rpartition(':')[2]} {json.dumps(parameters or {}, sort_keys=True)}"


def mark(ax: Axes, x: float, value: Spread, look: style.Look, **marker: Any) -> None:
    """The mean with its 95 % interval, where there is one."""
    if value.low is not None and value.high is not None:
        ax.plot((x, x), (value.low, value.high), color=look.colour, linewidth=1)
    ax.plot(x, value.mean, marker=look.marker, color=look.colour, linestyle="none", **marker)
