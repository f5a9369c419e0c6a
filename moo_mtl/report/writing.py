"""From a folder of runs to the file of their report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from moo_mtl import problems, storage
from moo_mtl.config import TraceRun
from moo_mtl.errors import MooMtlError, RunError
from moo_mtl.fronts.reference import known
from moo_mtl.plotting.values import Array
from moo_mtl.problems import Problem
from moo_mtl.report import curves, page, reproduce, space, tables, timelines
from moo_mtl.report.colours import colours
from moo_mtl.report.found import Found, Section, sections
from moo_mtl.report.space import Drawn
from moo_mtl.report.thinning import Budget, evenly, stated

FILES = 50  # runs whose configuration is written out one by one, at most


class Written(NamedTuple):
    """What was written.

    Attributes:
        file: the report.
        runs: how many runs it shows.
        bytes: its size.
        notes: what was left out, and which runs could not be read.
    """

    file: Path
    runs: int
    bytes: int
    notes: list[str]


def write(folder: Path, out: Path, advance: Callable[[str], None] = lambda name: None) -> Written:
    """A report on every run below a folder.

    Args:
        folder: of one run, of an experiment, or of many.
        out: the file, which must end in ``.html``.
        advance: called with the folder of each run before it is read.

    Raises:
        RunError: there is no run, or the file cannot be written.
        InputError: Plotly is not installed.
    """
    if out.suffix != ".html":
        raise RunError(f"the report {out} must be a file that ends in .html; give one with --out")
    found, refused = sections(folder, advance)
    if not found:
        raise RunError(f"no run below {folder} can be read: {refused[0]}")
    most = sum(len(section.found) for section in found)
    chosen = colours(sorted({one.colour_of for section in found for one in section.found}))
    parts = [_part(section, Budget.of(most), chosen) for section in found]
    title = folder.resolve().name if most > 1 else f"{found[0].found[0].label}, {found[0].name}"
    text = page.html(f"moo_mtl: {title}", parts, chosen, refused)
    storage.prepare(out.parent)
    storage.write(out, lambda part: part.write_text(text, encoding="utf-8"))
    notes = [note for part in parts for note in part.notes if note] + refused
    return Written(out, most, len(text.encode()), notes)


def _part(section: Section, budget: Budget, chosen: Mapping[str, str]) -> page.Part:
    kinds = {one.config.kind for one in section.found}
    several = [one for one in section.found if one.finished and not one.alone] or [one for one in section.found if one.finished]
    drawn, problem, notes = [], None, []
    for one in several:
        problem, sentence = _problem(one)
        notes += [sentence] if sentence else []
        arrays = one.load()
        left = (
            curves.of_trace(arrays, problem, budget) if isinstance(one.config, TraceRun) else curves.of_history(arrays, budget)
        )
        drawn.append(Drawn(one.label, one.colour_of, chosen[one.colour_of], one.config.seed, left))
    comparable = _comparable(drawn)
    if len(comparable) < len(drawn):
        notes.append(f"{len(drawn) - len(comparable)} runs with other tasks are in the tables alone.")
    unfinished = sum(not one.finished for one in section.found)
    if unfinished:
        notes.append(f"{unfinished} of {len(section.found)} runs are not finished and are in the table alone.")
    notes.append(stated([one.curves.thinned for one in comparable]))
    together = reproduce.experiment_file(section)
    each = [
        (f"{one.run.folder.name}.toml: {one.label}, seed {one.config.seed}", reproduce.run_file(one)) for one in section.found
    ]
    name = "experiment.toml" if together else f"{section.found[0].run.folder.name}.toml"
    status = section.found[0].run.status
    versions = ", ".join(f"{key} {value}" for key, value in status.get("versions", {}).items())
    listed = each[:FILES] if len(each) > 1 or not together else []
    if len(listed) < len(each) and len(each) > 1:
        notes.append(f"The configurations of {len(each) - len(listed)} more runs are in their folders, as config.json.")
    return page.Part(
        title=f"{section.name} ({', '.join(sorted(kinds))}, {len(section.found)} runs)"
        if len(section.found) > 1
        else section.name,
        notes=list(dict.fromkeys(notes)),
        figures=_figures(comparable, _front(problem)) if comparable else [],
        tables=[tables.of_rules(section), tables.of_runs(section)] if several else [tables.of_runs(section)],
        files=[*([("experiment.toml", together)] if together else []), *listed],
        commands=f"moo-mtl run {name}    # the text below, saved under this name",
        versions=f"Computed by {versions or 'unknown versions'}; sources {status.get('sources', 'unknown')[:16]}.",
    )


def _figures(drawn: Sequence[Drawn], front: Array | None) -> list[dict[str, Any]]:
    figures = []
    if len(drawn[0].curves.tasks) > 1:
        figures.append(space.losses(drawn, front))
    figures += timelines.figures(drawn)
    if all(one.curves.positions is not None for one in drawn):
        figures.append(space.positions(drawn))
    return figures


def _comparable(drawn: Sequence[Drawn]) -> list[Drawn]:
    """The runs with the most common tasks."""
    kinds = [(one.curves.axis, one.curves.tasks) for one in drawn]
    usual = max(kinds, key=kinds.count, default=None)
    return [one for one, kind in zip(drawn, kinds, strict=True) if kind == usual]


def _problem(one: Found) -> tuple[Problem | None, str]:
    if not isinstance(one.config, TraceRun):
        return None, ""
    try:
        return problems.get(one.config.problem.name, **one.config.problem.parameters), ""
    except MooMtlError as error:
        return None, f"Cosines and the known front are missing: {error}"


def _front(problem: Problem | None) -> Array | None:
    if problem is None:
        return None
    try:
        found = known(problem)
    except MooMtlError:
        return None
    if found is None:
        return None
    points: Array = found.points.numpy()
    return points[evenly(len(points), 2000)]
