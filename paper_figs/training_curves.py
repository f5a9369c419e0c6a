"""Mean training loss over the epochs, a line per rule at the learning rate with the smallest area under the curve."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

from moo_mtl import plotting
from moo_mtl.experiment import Record
from moo_mtl.plotting import style
from moo_mtl.results.export import escaped

VENUE = "icml"


def draw(records: Sequence[Record]) -> Figure:
    """Mean and standard deviation over the seeds."""
    width, _ = style.size(VENUE)
    figure, ax = plt.subplots(figsize=(width, width * 0.75))
    for rule, (lr, curves) in _best(records).items():
        epochs = torch.arange(1, len(curves) + 1)
        plotting.learning_curves(epochs, curves, ax, name=rule, label=f"{rule}, {lr:g}")
    ax.set(xlabel="epoch", ylabel="mean training loss", yscale="log")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.minorticks_off()
    ax.legend(title="rule, learning rate")
    return figure


def table(records: Sequence[Record]) -> str:
    """Last mean training loss of each rule."""
    rows = [rf"{escaped(rule)} & {lr:g} & {curves[-1].mean().item():.4f} \\" for rule, (lr, curves) in _best(records).items()]
    head = [r"\begin{tabular}{lrr}", r"\toprule", r"rule & learning rate & training loss \\", r"\midrule"]
    return "\n".join([*head, *rows, r"\bottomrule", r"\end{tabular}", ""])


def _best(records: Sequence[Record]) -> dict[str, tuple[float, torch.Tensor]]:
    """By rule its learning rate and curves ``[E, seeds]``."""
    runs: dict[str, dict[float, list[torch.Tensor]]] = {}
    for record in records:
        curve = record.load().losses.mean(dim=-1)
        runs.setdefault(record.config.rule.name, {}).setdefault(record.config.lr, []).append(curve)
    chosen = {}
    for rule, rates in runs.items():
        lr = min(rates, key=lambda rate: float(torch.stack(rates[rate]).mean()))
        chosen[rule] = (lr, torch.stack(rates[lr], dim=-1))
    return chosen
