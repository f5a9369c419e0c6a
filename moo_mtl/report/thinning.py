"""What is left out, so that a report of any number of runs stays a file that a browser opens at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from moo_mtl.plotting.values import Array

POINTS, MEMBERS, RECORDS = 40_000, 10_000, 200


class Budget(NamedTuple):
    """How much of each run is drawn, at most.

    Attributes:
        records: recorded points of a trajectory in figures over the steps.
        members: trajectories whose end is drawn, and over which medians are taken.
        points: of the trajectories that are drawn as lines.
    """

    records: int
    members: int
    points: int

    @classmethod
    def of(cls, runs: int) -> Budget:
        """A share for each of the runs in one figure."""
        return cls(RECORDS, max(1, MEMBERS // runs), max(10, POINTS // runs))

    def line(self, records: int, tracks: int) -> tuple[Array, Array]:
        """Which records of which trajectories are drawn as lines: few long ones rather than many short ones."""
        chosen = evenly(tracks, max(1, self.points // 40))
        return evenly(records, max(10, self.points // len(chosen))), chosen


class Thinned(NamedTuple):
    """What is drawn of a run: so many of so many.

    Attributes:
        records: recorded points of a trajectory: drawn as lines, recorded.
        tracks: trajectories: drawn as lines, whose end is drawn, computed.
    """

    records: tuple[int, int]
    tracks: tuple[int, int, int]


def evenly(n: int, most: int) -> Array:
    """Indices of at most ``most`` of n things in a row, evenly spread, the first and the last among them.

    >>> evenly(5, 10).tolist(), evenly(1001, 5).tolist()
    ([0, 1, 2, 3, 4], [0, 250, 500, 750, 1000])
    """
    return np.arange(n) if n <= most else np.unique(np.linspace(0, n - 1, most).round().astype(int))


def stated(thinned: list[Thinned]) -> str:
    """What was left out, in a sentence; empty if nothing was.

    >>> stated([Thinned((200, 501), (5, 5, 5))])
    'Thinned: lines have up to 200 of 501 recorded points.'
    """
    parts = []
    records = max(thinned, key=lambda one: one.records[1] / one.records[0], default=None)
    tracks = max(thinned, key=lambda one: one.tracks[2] / one.tracks[0], default=None)
    if records is not None and records.records[0] < records.records[1]:
        parts.append(f"lines have up to {records.records[0]:,} of {records.records[1]:,} recorded points")
    if tracks is not None and tracks.tracks[0] < tracks.tracks[2]:
        lines, ends, all_ = tracks.tracks
        parts.append(f"{lines:,} of a run's {all_:,} trajectories are drawn as lines")
        if ends < all_:
            parts.append(f"{ends:,} of them have their end drawn, and medians are over those")
    return f"Thinned: {'; '.join(parts)}." if parts else ""
