"""The picture of the one idea: two gradients, what rules make of them, and what a loss transform changes.

``python paper_figs/one_idea.py docs/explanation`` writes one-idea.pdf and .png there; nothing is computed but weights.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.patches import Polygon
from torch import Tensor

from moo_mtl import Observation, rules
from moo_mtl.errors import MooMtlError
from moo_mtl.plotting.style import look

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from paper_figs.style import figure

ROWS = torch.tensor([[2.4, 1.0], [-1.0, 0.55]], dtype=torch.float64)
LOSSES = torch.tensor([3.0, 0.8], dtype=torch.float64)
_ARROW = {"shrinkA": 0, "shrinkB": 0}
RULES = ("equal", "mgda", "nash-mtl", "upgrad", "imtl-g")


def draw(path: Path) -> Path:
    """Write the figure to ``path.pdf`` and ``path.png``.

    Raises:
        RunError: it cannot be written.
    """
    with figure(path, venue="screen", columns=2, aspect=0.375, ncols=2, sharex=True, sharey=True) as axes:
        _panel(axes[0], ROWS, "gradients of $\\ell_1$ and $\\ell_2$")
        _panel(axes[1], ROWS / LOSSES[:, None], "gradients of $\\log \\ell_1$ and $\\log \\ell_2$")
        axes[0].legend(loc="lower right", ncols=2)
    return path.with_name(f"{path.name}.png")


def _panel(ax: Axes, rows: Tensor, title: str) -> None:
    a, b = rows.tolist()
    sides = torch.stack([_across(rows[0], rows[1]), _across(rows[1], rows[0])])
    cone = [(0.0, 0.0), *(20 * sides).tolist()]
    ax.add_patch(Polygon(cone, facecolor=("#0072B2", 0.07), edgecolor=("#0072B2", 0.6), linestyle="--", zorder=0))
    ax.plot(*zip(a, b, strict=True), color="#222222", linewidth=1.2, zorder=1)
    for row, name in zip((a, b), ("$g_1$", "$g_2$"), strict=True):
        ax.annotate("", row, (0, 0), arrowprops={**_ARROW, "arrowstyle": "-|>", "color": "#222222", "linewidth": 1.6})
        ax.annotate(name, row, textcoords="offset points", xytext=(6, 6), fontsize=12)
    seen = Observation(torch.ones(2, dtype=torch.float64), gramian=rows @ rows.T)
    for rule in (rules.get(name) for name in RULES):
        weighing, _ = rule.weigh(seen, rule.init(seen))
        step, drawn = (rows.T @ weighing.weights).tolist(), look(rule.name)
        ax.annotate("", step, (0, 0), arrowprops={**_ARROW, "arrowstyle": "->", "color": drawn.colour, "linewidth": 1.2})
        ax.plot(*step, marker=drawn.marker, color=drawn.colour, linestyle="none", markersize=7, label=rule.name, zorder=3)
    ax.set(title=title, xlim=(-1.6, 3.1), ylim=(-0.6, 2.6), aspect="equal")


def _across(of: Tensor, towards: Tensor) -> Tensor:
    """The unit vector at right angles to one gradient, on the side of the other: an edge of the dual cone."""
    edge = torch.stack([-of[1], of[0]])
    return edge / edge.norm() * torch.sign(edge @ towards)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    try:
        print(draw(arguments.folder / "one-idea"))
    except MooMtlError as error:
        sys.exit(f"one_idea: {error}")


if __name__ == "__main__":
    main()
