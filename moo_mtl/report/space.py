"""Figures of where runs went: in the space of the losses, or of x; lines, ends, and the known front behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from moo_mtl.plotting.values import Array
from moo_mtl.report.curves import Curves
from moo_mtl.report.encoding import packed

Figure = dict[str, Any]  # as plotly.js takes it, with a title, a caption, and what can be chosen in it


class Drawn(NamedTuple):
    """A run and what it left behind."""

    label: str
    rule: str
    colour: str
    seed: int
    curves: Curves


def losses(runs: Sequence[Drawn], front: Array | None) -> Figure:
    """Fronts and trajectories: in two or three dimensions where there are as many tasks, side by side for more."""
    tasks = runs[0].curves.tasks
    kept = "the epoch kept" if runs[0].curves.axis == "epoch" else "the end"
    caption = f"Lines are trajectories, markers {kept}. Hover for rule, seed, losses and certificate; drag to zoom."
    if len(tasks) > 3:
        return _side_by_side(runs, tasks, f"Losses at {kept}, task by task")
    if len(tasks) == 3:
        caption = caption.replace("drag to zoom", "drag to rotate")
    data = [_line(tracks, [one.curves.track for one in tracks]) for tracks in _by_label(runs)]
    data += [_ends(group) for group in _by_label(runs)]
    if front is not None:
        data.insert(0, _known(front))
        caption += " Grey: the best known front."
    if any(one.curves.moving.any() for one in runs):
        caption += " Hollow: still moving when the steps were over."
    return {"title": "Fronts and trajectories", "caption": caption, "data": data, "layout": _axes(tasks)}


def positions(runs: Sequence[Drawn]) -> Figure:
    """Trajectories in the space of two or three variables."""
    tracks = [[one.curves.positions for one in group] for group in _by_label(runs)]
    data = [_line(group, where) for group, where in zip(_by_label(runs), tracks, strict=True)]
    names = [f"x {d + 1}" for d in range(tracks[0][0].shape[-1])]  # type: ignore[union-attr]
    return {
        "title": "Trajectories in the space of x",
        "caption": "The same trajectories where the variables are.",
        "data": data,
        "layout": _axes(names),
    }


def _by_label(runs: Sequence[Drawn]) -> list[list[Drawn]]:
    labels = list(dict.fromkeys(one.label for one in runs))
    return [[one for one in runs if one.label == label] for label in labels]


def _line(group: Sequence[Drawn], where: Sequence[Array | None]) -> Figure:
    """All trajectories of a label as one line, with gaps between them."""
    points, notes = [], []
    for one, track in zip(group, where, strict=True):
        assert track is not None
        for m, number in enumerate(one.curves.number):
            points += [track[:, m], np.full((1, track.shape[-1]), np.nan)]
            on_the_way = np.column_stack(
                [
                    np.full(len(track), one.seed),
                    np.full(len(track), number),
                    one.curves.at,
                    one.curves.bounds[:, m],
                    one.curves.track[:, m],
                ]
            )
            notes += [on_the_way, np.full((1, on_the_way.shape[1]), np.nan)]
    first = group[0]
    bound = "<br>distance ≤ %{customdata[3]:.3g}" if first.curves.axis == "step" else ""
    told = "".join(f"<br>{task} %{{customdata[{4 + k}]:.5g}}" for k, task in enumerate(first.curves.tasks))
    return {
        **_placed(np.concatenate(points)),
        "mode": "lines",
        "name": first.label,
        "meta": {"rule": first.rule},
        "line": {"color": first.colour, "width": 1.5 if points[0].shape[-1] == 2 else 3},
        "opacity": 0.75,
        "customdata": packed(np.concatenate(notes)),
        "hovertemplate": f"<b>{first.label}</b>, seed %{{customdata[0]}}, trajectory %{{customdata[1]}}"
        f"<br>{first.curves.axis} %{{customdata[2]}}{told}{bound}<extra></extra>",
    }


def _ends(group: Sequence[Drawn]) -> Figure:
    first, colour = group[0], group[0].colour
    points = np.concatenate([one.curves.ends for one in group])
    moving = np.concatenate([one.curves.moving for one in group])
    notes = [
        np.column_stack([np.full(len(one.curves.ends), one.seed), one.curves.members, one.curves.lower, one.curves.upper])
        for one in group
    ]
    flat = points.shape[-1] == 2
    hollow: Any = colour if flat or not moving.any() else [colour if not one else "rgba(128,128,128,0.6)" for one in moving]
    symbols: Any = [f"circle{'-open' if one else ''}" for one in moving.tolist()] if moving.any() else "circle"
    told = "".join(f"<br>{task} %{{{axis}:.5g}}" for axis, task in zip("xyz", first.curves.tasks, strict=False))
    return {
        **_placed(points),
        "mode": "markers",
        "name": first.label,
        "meta": {"rule": first.rule},
        "marker": {"color": hollow, "symbol": symbols, "size": 9 if flat else 5, "line": {"width": 1.5 if flat else 0}},
        "customdata": packed(np.concatenate(notes)),
        "hovertemplate": f"<b>{first.label}</b>, seed %{{customdata[0]}}, trajectory %{{customdata[1]}}{told}"
        "<br>certificate: distance to Pareto-stationarity"
        "<br>between %{customdata[2]:.3g} and %{customdata[3]:.3g}<extra></extra>",
    }


def _known(front: Array) -> Figure:
    return {
        **_placed(front),
        "mode": "markers",
        "name": "best known front",
        "meta": {},
        "marker": {"color": "#888888", "size": 3 if front.shape[-1] == 2 else 1.5},
        "hoverinfo": "skip",
    }


def _side_by_side(runs: Sequence[Drawn], tasks: tuple[str, ...], title: str) -> Figure:
    data = []
    for group in _by_label(runs):
        ends = np.concatenate([one.curves.ends for one in group])[:200]
        lines = np.concatenate([ends, np.full((len(ends), 1), np.nan)], axis=1).ravel()
        places = np.tile(np.append(np.arange(len(tasks), dtype=float), np.nan), len(ends))
        first = group[0]
        data.append(
            {
                "type": "scatter",
                "x": packed(places),
                "y": packed(lines),
                "mode": "lines+markers",
                "name": first.label,
                "meta": {"rule": first.rule},
                "line": {"color": first.colour, "width": 1.2},
                "opacity": 0.7,
                "hovertemplate": f"<b>{first.label}</b><br>%{{y:.5g}}<extra></extra>",
            }
        )
    ticks = {"tickmode": "array", "tickvals": list(range(len(tasks))), "ticktext": list(tasks)}
    return {
        "title": title,
        "caption": "A line for each end, at most 200 a rule.",
        "data": data,
        "layout": {"xaxis": ticks, "yaxis": {"title": {"text": "loss"}}},
    }


def _placed(points: Array) -> Figure:
    kind = "scatter" if points.shape[-1] == 2 else "scatter3d"
    return {"type": kind, **{axis: packed(column) for axis, column in zip("xyz", points.T, strict=False)}}


def _axes(names: Sequence[str]) -> Figure:
    axes = {f"{axis}axis": {"title": {"text": name}} for axis, name in zip("xyz", names, strict=False)}
    return {"scene": axes} if len(names) == 3 else {**axes, "hovermode": "closest"}
