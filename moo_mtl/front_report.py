"""What ``moo-mtl front`` does: a front per rule on one problem, and a folder with figure, indicators and certified points."""

from __future__ import annotations

import csv
import math
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from moo_mtl import fronts, plotting, problems, rules, storage
from moo_mtl.errors import InputError
from moo_mtl.fronts.front import Front
from moo_mtl.fronts.reference import Reference, known
from moo_mtl.problems.problem import Problem
from moo_mtl.rules.rule import Rule

CLOSEST = 5e-3  # smallest share in a preference: some rules divide by it


class Report(NamedTuple):
    """One row of indicators per rule, in the order of ``columns``, and the files written."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    files: list[Path]


def report(
    problem: str,
    names: Sequence[str],
    *,
    preferences: int,
    steps: int,
    lr: float,
    seed: int,
    settings: Sequence[str],
    out: Path,
    hybrid: int = 0,
    algorithm: str | None = None,
    venue: str = "screen",
    advance: Callable[[str], None] = lambda name: None,
) -> Report:
    """Trace, measure, draw and write.

    Args:
        problem: a name for ``problems.get``.
        names: of rules.
        preferences: how many, spread evenly over the simplex.
        steps: of each rule.
        lr: Adam's learning rate in shares of the box; it falls to 0 along a cosine.
        seed: of the starts and rules.
        settings: ``"problem.n_dim=10"`` or ``"stch.mu=0.01"``.
        out: the folder.
        hybrid: evaluations of ``fronts.hybrid``, which then has a row of its own; 0 for none.
        algorithm: of pymoo, whose front is the reference; by default what is known without computing, if anything.
        venue: one of ``plotting.style.VENUES``, for the figure.
        advance: called with each name before its front is traced.

    Raises:
        InputError: a name, parameter or number is not what it should be.
        RunError: the folder cannot be written.
        NonFiniteError: as in ``trace``.
    """
    for what, value in (("preferences", preferences), ("steps", steps), ("lr", lr)):
        if not value > 0:
            raise InputError(f"front: {what} must be positive, found {value}")
    if hybrid < 0:
        raise InputError(f"front: hybrid must be a number of evaluations, 0 for none, found {hybrid}")
    if len(set(names)) < len(names) or not (names or hybrid):
        raise InputError(f"front: expected different rules, separated by commas, found {','.join(names)!r}")
    parameters = _parameters(settings, names)
    chosen = problems.get(problem, **parameters["problem"])
    if chosen.n_tasks < 2:
        raise InputError(f"front: {problem} has K = {chosen.n_tasks}; a front needs at least two tasks")
    wanted = spread(preferences, chosen.n_tasks)
    plotting.style.size(venue)  # refuses one that is unknown
    made = {name: rules.get(name, **parameters[name]) for name in names}
    storage.prepare(out)

    if algorithm is not None:
        advance(algorithm)
    reference = known(chosen) if algorithm is None else fronts.reference(chosen, algorithm)
    spanned = chosen if reference is None else across(chosen, reference.points)
    found, seconds = {}, {}
    tracers = {name: _tracer(spanned, rule, wanted, steps, lr, seed) for name, rule in made.items()}
    if hybrid:
        tracers["hybrid"] = lambda: _combined(chosen, preferences, hybrid, seed)
    for name, tracer in tracers.items():
        advance(name)
        begin = time.perf_counter()
        found[name] = tracer()
        seconds[name] = time.perf_counter() - begin
    columns, rows = indicators(found, reference)
    shown = [(*row, f"{seconds[row[0]]:.2f}") for row in rows]
    return Report((*columns, "seconds"), shown, _write(out, columns, rows, found, reference, venue))


def _tracer(problem: Problem, rule: Rule[Any], wanted: Tensor, steps: int, lr: float, seed: int) -> Callable[[], Front]:
    return lambda: fronts.trace_front(problem, rule, wanted, steps=steps, lr=_cosine(lr, steps), betas=(0.9, 0.99), seed=seed)


def _combined(problem: Problem, n: int, evaluations: int, seed: int) -> Front:
    rule = rules.get("soft-modified-tchebycheff", mu=0.05)
    return fronts.hybrid(problem, rule, n=n, evaluations=evaluations, seed=seed + 1).filled


def across(problem: Problem, front: Tensor) -> Problem:
    """The problem with the ends of a known front for ideal and nadir: published ones are not always those of the front."""
    return replace(problem, ideal=front.amin(dim=0), nadir=front.amax(dim=0))


def spread(n: int, n_tasks: int) -> Tensor:
    """``n`` preferences, ``[n, K]``, evenly over the simplex; none closer to its boundary than ``CLOSEST``.

    Raises:
        InputError: there are fewer preferences than tasks.
    """
    if n < n_tasks:
        raise InputError(f"front: {n} preferences are too few for {n_tasks} tasks; give at least one for each")
    if n_tasks == 2:
        first = torch.linspace(CLOSEST, 1 - CLOSEST, n, dtype=torch.float64)
        return torch.stack([first, 1 - first], dim=-1)
    inner = fronts.directions.evenly(n, n_tasks).clamp(min=CLOSEST)
    return inner / inner.sum(dim=-1, keepdim=True)


def indicators(found: Mapping[str, Front], reference: Reference | None) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Column names and a row per rule, as text. Losses are in units of the known front, or of all that was found."""
    ends = torch.cat([front.points for front in found.values()]) if reference is None else reference.points
    ends = ends[ends.isfinite().all(dim=-1)]
    low, span = ends.amin(dim=0), ends.amax(dim=0) - ends.amin(dim=0)
    span = torch.where(span > 0, span, 1.0)
    corner = torch.full_like(low, 1.1)

    def scaled(points: Tensor) -> Tensor:
        return (points[points.isfinite().all(dim=-1)] - low) / span

    against = ("HV ratio", "IGD+", "epsilon") if reference is not None else ()
    columns = ("rule", "points", "non-dominated", "HV", *against, "spacing", "median bound", "largest bound")
    rows = []
    for name, front in found.items():
        points, upper = scaled(front.points), front.upper[front.upper.isfinite()]
        volume = float(fronts.hypervolume(points, corner))
        row = [name, str(len(front)), str(len(front.non_dominated())), f"{volume:.4f}"]
        if reference is not None:
            best = scaled(reference.points)
            row.append(f"{volume / float(fronts.hypervolume(best, corner)):.4f}")
            row += [f"{float(measure(points, best)):.2e}" for measure in (fronts.igd_plus, fronts.epsilon)]
        row += [f"{float(fronts.spacing(points)):.2e}"]
        rows.append((*row, f"{float(upper.median()):.1e}", f"{float(upper.max()):.1e}"))
    return columns, rows


def _parameters(settings: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    parameters: dict[str, dict[str, Any]] = {name: {} for name in ("problem", *names)}
    for setting in settings:
        path, equals, value = setting.partition("=")
        owner, dot, key = path.strip().rpartition(".")
        if not equals or not dot or owner not in parameters or not key.isidentifier():
            raise InputError(f"--set {setting!r} is not of the form problem.KEY=VALUE or RULE.KEY=VALUE with one of the rules")
        try:
            parameters[owner][key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parameters[owner][key] = value.strip()
    return parameters


def _cosine(highest: float, steps: int) -> Callable[[int], float]:
    return lambda step: highest * (1 + math.cos(math.pi * step / steps)) / 2


def _write(
    out: Path,
    columns: tuple[str, ...],
    rows: Iterable[tuple[str, ...]],
    found: Mapping[str, Front],
    reference: Reference | None,
    venue: str,
) -> list[Path]:
    import matplotlib as mpl

    files = []

    def put(name: str, write: Callable[[Any], object]) -> None:
        files.append(out / name)
        storage.write(files[-1], write)

    for name, front in found.items():
        stem = name.replace(":", "-")
        put(f"{stem}.csv", front.write_csv)
        put(f"{stem}.npz", front.save)
    put("indicators.csv", lambda path: _table(path, [columns, *rows]))
    figure = plotting.front_panels(
        {name: front.points for name, front in found.items()},
        known=None if reference is None else reference.points,
        venue=venue,
    )
    with mpl.rc_context(plotting.style.rc(venue)):
        for suffix in ("pdf", "png"):
            put(f"front.{suffix}", partial(figure.savefig, format=suffix))
    return files


def _table(path: Path, lines: Iterable[Sequence[str]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
