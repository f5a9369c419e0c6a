"""The weights that each rule gives the tasks over the epochs, mean and range over seeds: a panel per rule."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from moo_mtl import plotting
from moo_mtl.experiment import Record
from moo_mtl.plotting import style

COLUMNS = 3


def draw(records: Sequence[Record]) -> Figure:
    """Each panel has its own scale: rules differ in the length of what they return."""
    seeds: dict[str, list[Record]] = {}
    for record in records:
        if not record.alone:
            seeds.setdefault(record.label, []).append(record)
    columns = min(COLUMNS, len(seeds))
    lines = -(-len(seeds) // columns)
    width, _ = style.size(columns=2)
    figure, panels = plt.subplots(lines, columns, figsize=(width, width * 0.28 * lines), sharex=True, squeeze=False)
    for panel in panels.flat[len(seeds) :]:
        panel.set_visible(False)
    for (label, runs), panel in zip(seeds.items(), panels.flat, strict=False):
        histories = [record.load() for record in runs]
        weights = torch.stack([history.weights for history in histories], dim=1)
        plotting.task_weights(torch.arange(1, len(weights) + 1), weights, panel, tasks=histories[0].tasks)
        panel.set(title=label, xlabel="epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
    for panel in panels[:, 1:].flat:
        panel.set_ylabel("")
    for panel in panels[:-1].flat:
        panel.set_xlabel("")
    panels.flat[0].legend()
    return figure
