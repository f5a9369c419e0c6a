"""Mean ranks on a line, with a bar over those that no test tells apart."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from moo_mtl.errors import InputError
from moo_mtl.plotting.style import look

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def critical_differences(
    ranks: Mapping[str, float], p_values: Mapping[str, Mapping[str, float]], ax: Axes, *, alpha: float = 0.05
) -> Axes:
    """The critical-difference diagram of Demsar (2006), best rank left; a bar joins rules that do not differ at ``alpha``.

    Args:
        ranks: mean rank of each rule.
        p_values: of each two rules, corrected for their number.
        ax: to draw on.
        alpha: level of the tests.

    Raises:
        InputError: scikit-posthocs, the extra [stats], is not installed.
    """
    import pandas as pd

    if find_spec("scikit_posthocs") is None:
        raise InputError("the diagram needs scikit-posthocs; pip install 'moo_mtl[stats]'")
    posthocs: Any = import_module("scikit_posthocs")
    table = pd.DataFrame(p_values).loc[list(ranks), list(ranks)]
    posthocs.critical_difference_diagram(
        dict(ranks),
        table,
        alpha=alpha,
        ax=ax,
        label_fmt_left="{label} ({rank:.2f}) ",  # a space to the line
        label_fmt_right=" ({rank:.2f}) {label}",
        color_palette={name: look(name.partition("(")[0]).colour for name in ranks},
        crossbar_props={"color": "#222222", "linewidth": 2, "marker": "o", "markersize": 3},
        marker_props={"s": 14},
    )
    ax.set_title("mean rank over blocks; a bar joins rules without a significant difference")
    return ax
