"""Fronts of networks on the test part: for every rule that of the seed with the median hypervolume."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from moo_mtl.experiment import Record
from moo_mtl.fronts import non_dominated
from moo_mtl.plotting import front_panels


def draw(records: Sequence[Record]) -> Figure:
    """One panel a rule; points that another one dominates are left out."""
    found = {}
    for record in records:
        fronts = record.load()
        points = fronts.points[int(fronts.median)]
        found[record.label] = points[non_dominated(points)]
    return front_panels(found)
