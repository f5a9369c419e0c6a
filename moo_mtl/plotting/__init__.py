"""Figures of values: every function draws on the axis it is given and returns it; none reads a file or computes a result."""

from moo_mtl.plotting import style
from moo_mtl.plotting.curves import certificate, learning_curves, task_weights
from moo_mtl.plotting.differences import critical_differences
from moo_mtl.plotting.fronts import front, parallel_coordinates, petal, radviz
from moo_mtl.plotting.panels import front_panels
from moo_mtl.plotting.tracks import landscape, loss_space, pareto_set, trajectories

__all__ = [
    "certificate",
    "critical_differences",
    "front",
    "front_panels",
    "landscape",
    "learning_curves",
    "loss_space",
    "parallel_coordinates",
    "pareto_set",
    "petal",
    "radviz",
    "style",
    "task_weights",
    "trajectories",
]
