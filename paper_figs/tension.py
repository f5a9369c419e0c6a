"""Task tensioner: the tension function; losses, weights and direction over the steps where equal weights let a task diverge."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from moo_mtl.experiment import Record
from moo_mtl.plotting import style

VENUE = "icml"
ALPHAS = (0.1, 0.3, 1.0)
STILL = 1e-4  # of the first step: a shorter one has come to rest, and its direction is rounding


def draw(records: Sequence[Record]) -> Figure:
    """One column per rule; solid and dashed are the two tasks, the second being the one that is drowned."""
    width, _ = style.size(VENUE, columns=2)
    shown = len(records)
    figure = plt.figure(figsize=(width, width * 0.62))
    grid = figure.add_gridspec(3, shown + 1)
    _function(figure.add_subplot(grid[:, 0]))
    shared: list[list[plt.Axes]] = [[], [], []]
    for column, record in enumerate(records):
        trace = record.load()
        losses, weights = trace.losses[:, 0], trace.weights[:, 0]
        moves = trace.x[:, 0].diff(dim=0)
        heading = torch.rad2deg(torch.atan2(moves[:, 1], moves[:, 0]))
        heading[moves.norm(dim=-1) < STILL * moves[0].norm()] = torch.nan
        for line, row in enumerate(shared):
            like = row[0] if row else None
            row.append(figure.add_subplot(grid[line, column + 1], sharex=like, sharey=like))
        for task in range(losses.shape[-1]):
            drawn = style.numbered(task)
            label = f"task {task + 1}"
            shared[0][-1].plot(
                trace.steps, losses[:, task] / losses[0, task], color=drawn.colour, linestyle=drawn.line, label=label
            )
            shared[1][-1].plot(trace.steps, weights[:, task], color=drawn.colour, linestyle=drawn.line)
        shared[2][-1].plot(trace.steps[1:], heading, color="#222222")
        shared[0][-1].set(title=record.label if shown > 1 else "", yscale="log")
    for row, name in zip(shared, ("loss / first loss", "weight", "direction, degrees"), strict=True):
        row[0].set_ylabel(name)
        for panel in row[1:]:
            panel.tick_params(labelleft=False)
    for row in shared[:2]:
        for panel in row:
            panel.tick_params(labelbottom=False)
    for panel in shared[2]:
        panel.set(xlabel="step")
    shared[0][0].legend()
    return figure


def _function(ax: plt.Axes) -> None:
    """c = alpha sigma(e (p - 1)) + 1 - alpha, with p the ratio of gradient lengths plus log10 of the loss."""
    p = torch.linspace(-2, 4, 200)
    for place, alpha in enumerate(ALPHAS):
        drawn = style.numbered(place)
        tension = alpha * torch.sigmoid(math.e * (p - 1)) + 1 - alpha
        ax.plot(p, tension, color=drawn.colour, linestyle=drawn.line, label=rf"$\alpha = {alpha:g}$")
    ax.axvline(1, color="#BBBBBB", linewidth=0.6, zorder=0)
    ax.set(xlabel=r"$S_k / S_k^{\mathrm{prev}} + \log_{10} \ell_k$", ylabel="tension $c_k$", ylim=(0, 1.02))
    ax.legend()
