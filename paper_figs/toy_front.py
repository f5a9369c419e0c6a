"""Two-dimensional problem: trajectories over the landscape, and in loss space with the exact front; a column per rule."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from moo_mtl import plotting, problems
from moo_mtl.experiment import Record
from moo_mtl.plotting import style


def draw(records: Sequence[Record]) -> Figure:
    """A hollow end marks a start that still moved when the run ended."""
    rules = {record.label: record for record in reversed(records)}  # one seed each: the first
    labels = list(reversed(rules))
    chosen = next(iter(records)).config.problem
    problem = problems.get(chosen.name, **chosen.parameters)
    width, _ = style.size(columns=2)
    figure, (above, below) = plt.subplots(
        2, len(labels), figsize=(width * len(labels) / 4, width / 2), sharex="row", sharey="row", squeeze=False
    )
    for label, plane, space in zip(labels, above, below, strict=True):
        name, trace = rules[label].config.rule.name, rules[label].load()
        plotting.landscape(problem, plane)
        if problem.exact_set is not None:
            plotting.pareto_set(problem.pareto_set(200), plane)
        plotting.trajectories(trace.x, plane, name=name, moving=trace.moving())
        if problem.exact_front is not None or problem.exact_set is not None:
            plotting.front(problem.front(200), space)
        plotting.loss_space(trace.losses, space, name=name, moving=trace.moving())
        plane.set_title(label)
        space.label_outer()
        if plane is not above[0]:
            plane.set_ylabel("")
    return figure
