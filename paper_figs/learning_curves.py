"""Validation metric of each task over the epochs, mean and standard deviation over seeds: a panel per task, a line per rule."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from moo_mtl import plotting
from moo_mtl.experiment import Record
from moo_mtl.plotting import style


def draw(records: Sequence[Record]) -> Figure:
    """The first metric of each task; a task trained alone is drawn in its own panel."""
    seeds: dict[str, list[Record]] = {}
    for record in records:
        seeds.setdefault(record.label, []).append(record)
    histories = {label: [record.load() for record in runs] for label, runs in seeds.items()}
    tasks = next(iter(histories.values()))[0].tasks
    width, _ = style.size(columns=2)
    figure, panels = plt.subplots(1, len(tasks), figsize=(width, width * 0.4), sharey=True, squeeze=False)
    for task, panel in zip(tasks, panels.flat, strict=True):
        for label, runs in histories.items():
            metrics = [name for name in runs[0].metrics if name.startswith(f"{task}/")]
            if not metrics:
                continue  # another task, trained alone
            values = torch.stack([run.metrics[metrics[0]] for run in runs], dim=-1)
            epochs = torch.arange(1, len(values) + 1)
            alone = seeds[label][0].alone
            name = "single task" if alone else seeds[label][0].config.rule.name
            plotting.learning_curves(epochs, values, panel, name=name, label="alone" if alone else label)
            panel.set(xlabel="epoch", ylabel=f"validation {metrics[0].partition('/')[2]}", title=task)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.label_outer()
    panels[0, -1].legend()
    return figure
