"""The tables of a report: a line for each rule over its seeds, and a line for each run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moo_mtl import summary
from moo_mtl.report.found import Section

Cell = tuple[str, Any]  # as it is read, and what it is sorted by
Table = dict[str, Any]

ROWS = 2000  # runs listed one by one, at most


def of_rules(section: Section) -> Table:
    """Means and standard deviations over seeds, where there are finished runs."""
    finished = [one for one in section.found if one.finished]
    rows = summary.rows(finished)
    columns = list(dict.fromkeys(key for row in rows for key in row.cells))
    lines = []
    for row in rows:
        rule = next(one.colour_of for one in finished if one.label == row.label)
        cells: list[Cell] = [(row.label, row.label), (str(row.seeds), row.seeds)]
        for key in columns:
            cell = row.cells.get(key)
            cells.append(("-", None) if cell is None else (str(cell), cell.mean))
        lines.append({"rule": rule, "cells": cells})
    return {"title": "Rules", "columns": ["rule", "seeds", *columns], "lines": lines, "left_out": 0}


def of_runs(section: Section) -> Table:
    """Every run with the settings in which it differs, its numbers, and its folder."""
    shown = section.found[:ROWS]
    settings = [key for key in dict.fromkeys(key for one in shown for key in one.differs) if not key.startswith("rule.")]
    numbers = list(dict.fromkeys(key for one in shown for key in _numbers(one.metrics)))
    lines = []
    for one in shown:
        found = _numbers(one.metrics)
        status = one.run.status
        seconds = status.get("seconds")
        cells: list[Cell] = [(one.label, one.label)]
        cells += [_cell(one.differs.get(key, "-")) for key in settings]
        cells += [("-", None) if found.get(key) is None else (f"{found[key]:.5g}", found[key]) for key in numbers]
        cells += [(status["state"], status["state"]), ("-", None) if seconds is None else (f"{seconds:.1f}", seconds)]
        cells += [(one.run.folder.name, one.run.folder.name)]
        lines.append({"rule": one.colour_of, "cells": cells})
    columns = ["rule", *settings, *numbers, "state", "seconds", "folder"]
    return {"title": "Runs", "columns": columns, "lines": lines, "left_out": len(section.found) - len(shown)}


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if isinstance(value, int | float)}


def _cell(text: str) -> Cell:
    try:
        return text, float(text)
    except ValueError:
        return text, text
