"""Figures of what changed on the way: for each rule the median over seeds and trajectories, and how far these differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from moo_mtl.plotting.values import Array
from moo_mtl.report.curves import DISTANCE, Series
from moo_mtl.report.encoding import packed
from moo_mtl.report.space import Drawn, Figure

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
FEW = 12  # trajectories that are still drawn one by one behind their median; more are a band


def figures(runs: Sequence[Drawn]) -> list[Figure]:
    """One figure for each quantity that the runs recorded."""
    names = list(dict.fromkeys(name for one in runs for name in one.curves.series))
    return [_figure(name, [one for one in runs if name in one.curves.series]) for name in names]


def _figure(name: str, runs: Sequence[Drawn]) -> Figure:
    parts = list(dict.fromkeys(part for one in runs for part in one.curves.series[name].parts))
    data: list[Figure] = []
    for label in dict.fromkeys(one.label for one in runs):
        group = [one for one in runs if one.label == label]
        at, values = _members([one.curves.series[name] for one in group])
        for p, part in enumerate(group[0].curves.series[name].parts):
            one = values[..., p]
            data += _band(group[0], part, parts.index(part), at, np.where(one > 0, one, np.nan) if name == DISTANCE else one)
    caption = "Strong lines are medians over seeds and trajectories; behind them each of these, or where the middle 80 % are."
    if 1 < len(parts) <= len(DASHES):
        caption += f" Line styles: {', '.join(f'{part} {dash}' for part, dash in zip(parts, DASHES, strict=False))}."
    layout: Figure = {"xaxis": {"title": {"text": runs[0].curves.axis}}, "hovermode": "closest", "yaxis": {}}
    if name == DISTANCE:
        layout["yaxis"] = {"type": "log", "exponentformat": "power"}
        caption += " An upper bound of exactly zero has no place on this axis and is left out."
    return {
        "title": name[0].upper() + name[1:],
        "caption": caption,
        "data": data,
        "layout": layout,
        "parts": parts if len(parts) > 1 else [],
        "together": len({one.label for one in runs}) == 1 and len(parts) <= len(DASHES),
    }


def _members(series: Sequence[Series]) -> tuple[Array, Array]:
    """All trajectories of a label on the steps of the longest run, ``[S]`` and ``[S, N, P]``; NaN after a run's end."""
    longest = max(series, key=lambda one: (one.at[-1], len(one.at)))
    aligned = []
    for one in series:
        if np.array_equal(one.at, longest.at):
            aligned.append(one.values)
            continue
        place = np.searchsorted(one.at, longest.at, side="right") - 1  # the last record at or before
        values = one.values[place.clip(min=0)].astype(float)
        values[(place < 0) | (longest.at > one.at[-1])] = np.nan
        aligned.append(values)
    return longest.at, np.concatenate(aligned, axis=1)


def _band(one: Drawn, part: str, place: int, at: Array, values: Array) -> list[Figure]:
    members = values.shape[1]
    finite = np.isfinite(values).any(axis=1)
    at, values = at[finite], values[finite]
    if not len(at):
        return []
    low, middle, high = np.nanquantile(values, [0.1, 0.5, 0.9], axis=1)
    colour, dash = one.colour, DASHES[place % len(DASHES)]
    meta = {"rule": one.rule, "part": part}
    drawn: list[Figure] = []
    behind: Figure = {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "name": one.label, "meta": meta}
    if members > FEW:
        around = {"x": packed(np.concatenate([at, at[::-1]])), "y": packed(np.concatenate([low, high[::-1]]))}
        drawn.append({**behind, **around, "fill": "toself", "fillcolor": _faint(colour), "line": {"width": 0}})
    elif members > 1:
        gap = np.full((1, members), np.nan)
        x = np.concatenate([np.tile(at[:, None], members), gap]).T.ravel()
        each = {"x": packed(x), "y": packed(np.concatenate([values, gap]).T.ravel())}
        drawn.append({**behind, **each, "opacity": 0.25, "line": {"color": colour, "width": 1, "dash": dash}})
    line: dict[str, Any] = {"color": colour, "width": 1.6, "dash": dash}
    drawn.append(
        {
            "type": "scatter",
            "x": packed(at),
            "y": packed(middle),
            "mode": "lines" if len(at) > 1 else "markers",
            "line": line,
            "marker": {"color": colour},
            "name": one.label,
            "meta": meta,
            "customdata": packed(np.column_stack([low, high])),
            "hovertemplate": f"<b>{one.label}</b>, {part}<br>{one.curves.axis} %{{x}}<br>%{{y:.5g}}"
            f" (%{{customdata[0]:.4g}} to %{{customdata[1]:.4g}}, {members} in all)<extra></extra>",
        }
    )
    return drawn


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.14)"
