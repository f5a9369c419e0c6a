"""Validation Delta_m against wall time for the rules of the zoo on three real sets: ``python -m benchmarks.quality``.

Every rule trains the same small network for the same number of epochs at the same learning rate, one seed; each task is also
trained alone. Two numbers are read off: Delta_m at the best epoch, and at the best epoch within the time that equal weights
take for all of theirs. No learning rate is tuned here: ``moo-mtl compare`` is for that.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.section import Section, Table, run
from benchmarks.side_by_side import machine
from moo_mtl import data, fronts, models, rules
from moo_mtl.data import Dataset
from moo_mtl.errors import MooMtlError
from moo_mtl.observation import Needs
from moo_mtl.training import History, Task, Trainer, tasks_of

FIGURE = Path(__file__).parent.parent / "docs" / "results" / "quality.png"
KEY = ("equal", "db-mtl", "bmtl", "task-tensioner", "ema")


class Setting(NamedTuple):
    """A data set, a network for it, and how long it trains."""

    data: str
    model: str
    parameters: dict[str, object]
    epochs: int
    lr: float
    stored: bool  # whether the data lie below MOO_MTL_DATA


SETTINGS = (
    Setting("multi-digits", "small-lenet", {}, 12, 6e-3, False),
    Setting("sarcos", "mlp", {"widths": [64, 64]}, 12, 3e-3, True),
    Setting("tox21", "mlp", {"widths": [64, 64], "dropout": 0.3}, 5, 3e-3, True),
)


def measure(quick: bool = False) -> Section:
    """A table per data set, and the picture of Delta_m against seconds."""
    torch.set_num_threads(1)
    names = list(KEY) if quick else _rules()
    section = Section(
        "Quality at equal cost",
        f"{machine()}. One seed and one learning rate for all: what a rule's steps buy and cost, not which rule is best. "
        "Delta_m (percent, lower is better) is on the validation data, against each task trained alone for as many epochs.",
    )
    curves: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for setting in SETTINGS[:1] if quick else SETTINGS:
        if setting.stored and not os.environ.get("MOO_MTL_DATA"):
            section.tables.append(Table([f"{setting.data}: not measured, MOO_MTL_DATA names no folder"]))
            continue
        found, failed = _curves(setting, names)
        curves[setting.data] = found
        table = Table(["rule", "seconds over equal's", "Delta_m, best epoch", "Delta_m within equal's time"])
        table.caption = f"**{setting.data}**, {setting.model}, {setting.epochs} epochs"
        limit = found["equal"][0][-1]
        lines = [
            (name, seconds[-1] / limit, deltas.min(), deltas[seconds <= limit * 1.0001].min(initial=np.inf))
            for name, (seconds, deltas) in found.items()
        ]
        for name, cost, best, within in sorted(lines, key=lambda line: line[3]):
            table.rows.append([name, f"{cost:.2f}", f"{best:.1f}", f"{within:.1f}" if np.isfinite(within) else "no epoch"])
        table.rows += [[name, "-", reason, "-"] for name, reason in failed.items()]
        section.tables.append(table)
    if not quick and curves:
        _draw(curves)
        section.figures.append(FIGURE.name)
    return section


def _rules() -> list[str]:
    """Those that need neither a preference nor a population."""
    chosen = [*KEY]
    for name in sorted(rules.ZOO):
        needs = rules.get(name).needs
        if name not in chosen and not needs & (Needs.PREFERENCE | Needs.POPULATION):
            chosen.append(name)
    return chosen


def _curves(setting: Setting, names: list[str]) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, str]]:
    """Seconds and Delta_m after each epoch, ``[E]`` each, by rule; and why a rule gave none."""
    dataset = data.get(setting.data)
    tasks = tasks_of(dataset)
    keys = [f"{task.name}/{task.measures[0].name}" for task in tasks]
    higher = [task.measures[0].higher_is_better for task in tasks]
    singles = [_trained(setting, dataset, [task], "equal") for task in tasks]
    alone = torch.stack([_best(one, key, up) for one, key, up in zip(singles, keys, higher, strict=True)])
    found, failed = {}, {}
    for name in names:
        try:
            history = _trained(setting, dataset, tasks, name)
        except MooMtlError as error:
            failed[name] = str(error).split(";")[0]
            continue
        deltas = fronts.delta_m(torch.stack([history.metrics[key] for key in keys], dim=-1), alone, higher)
        steps = history.steps / history.epochs
        found[name] = (np.cumsum(history.seconds.numpy() * steps), deltas.nan_to_num(nan=np.inf).numpy())
    return found, failed


def _trained(setting: Setting, dataset: Dataset, tasks: list[Task] | tuple[Task, ...], rule: str) -> History:
    model = models.get(setting.model, dataset, seed=0, **setting.parameters)
    trainer = Trainer(model, tasks, rules.get(rule), epochs=setting.epochs, batch_size=256, lr=setting.lr)
    return trainer.fit(dataset.train, dataset.validation)


def _best(history: History, key: str, higher: bool) -> Tensor:
    values = history.metrics[key]
    return values.max() if higher else values.min()


def _draw(curves: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    from moo_mtl.plotting.style import look

    figure, axes = plt.subplots(1, len(curves), figsize=(4 * len(curves), 3.2), layout="constrained", squeeze=False)
    for ax, (title, found) in zip(axes[0], curves.items(), strict=True):
        for name, (seconds, deltas) in found.items():
            seen = look(name)
            style = (
                {"color": seen.colour, "linestyle": seen.line}
                if name in KEY
                else {"color": "0.8", "linewidth": 0.7, "zorder": 0}
            )
            ax.plot(seconds, np.minimum.accumulate(deltas), label=name if name in KEY else None, **style)
        finite = np.concatenate([deltas[np.isfinite(deltas)] for _, deltas in found.values()])
        ax.set(title=title, xlabel="seconds of steps", xscale="log", ylim=(finite.min() - 3, np.quantile(finite, 0.8)))
    axes[0][0].set_ylabel("best validation $\\Delta_m$ so far, %")
    axes[0][-1].legend(fontsize="small")
    figure.savefig(FIGURE, dpi=150)


if __name__ == "__main__":
    run(measure, __doc__)
