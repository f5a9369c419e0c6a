"""Finished runs as measurements: what was set, what was scored, and by what the settings may be chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moo_mtl import runs
from moo_mtl.config import Choice
from moo_mtl.errors import InputError, RunError, unknown
from moo_mtl.runs import Run

_APART = ("rule", "seed", "tasks", "threads", "processes", "device", "deterministic")  # neither a place nor a setting to choose
_PLACE = ("kind", "problem", "data", "model")


@dataclass(frozen=True)
class Measured:
    """One finished run.

    Attributes:
        place: what it was measured on: a problem, or a data set with a model.
        rule: with its parameters; of a task trained alone, the task.
        alone: whether it is of one task by itself.
        settings: everything else that was set, but for the seed, as JSON by key.
        seed: of the run.
        scores: the metrics that are compared.
        higher: for each, whether higher is better.
        validation: what settings are chosen by; lower is better.
        tuned_by: its name.
        ms: per step.
    """

    place: str
    rule: str
    alone: bool
    settings: Mapping[str, str]
    seed: int
    scores: Mapping[str, float]
    higher: Mapping[str, bool]
    validation: float
    tuned_by: str
    ms: float


def gather(folder: str | Path, metrics: Sequence[str] = (), tune: str | None = None) -> list[Measured]:
    """The finished runs below a folder.

    Args:
        folder: of an experiment, or of many.
        metrics: those to compare; without any, all of a training's test metrics, and a trace's upper bound and hypervolume.
        tune: the number, lower is better, that chooses settings; by default a training's validation score and a trace's upper
            bound.

    Raises:
        RunError: there is no finished run, or one is damaged.
        InputError: a run lacks one of the metrics.
    """
    places = sorted(file.parent for file in Path(folder).rglob("status.json"))
    found = [run for run in map(runs.read, places) if run.state == "finished"]
    if not found:
        raise RunError(f"no finished run lies below {folder}; moo-mtl sweep FILE --out {folder} makes some")
    return [measured(run, metrics, tune) for run in found]


def measured(run: Run, metrics: Sequence[str] = (), tune: str | None = None) -> Measured:
    """One finished run as a measurement; the arguments are those of ``gather``.

    Raises:
        InputError: the run lacks one of the metrics.
    """
    return _measured(run.config, run.metrics, run.status, metrics, tune)


def _measured(
    config: Mapping[str, Any], numbers: Mapping[str, Any], status: Mapping[str, Any], metrics: Sequence[str], tune: str | None
) -> Measured:
    training = config["kind"] == "train"
    higher = {name: way == "higher" for name, way in numbers["better"].items()} if training else dict(_OF_TRACES)
    scores = numbers["test"] if training else {name: numbers[name] for name in _OF_TRACES if name in numbers}
    alone = training and len(config.get("tasks", [])) == 1
    for name in () if alone else metrics:
        if name not in scores:
            raise unknown("metric", name, scores)
    scores = {name: value for name, value in scores.items() if value is not None and (not metrics or name in metrics)}
    keys = [key for key in config if key not in (*_APART, *_PLACE)]
    return Measured(
        place=" ".join(str(Choice.model_validate(config[key])) for key in _PLACE[1:] if key in config),
        rule=config["tasks"][0] if alone else str(Choice.model_validate(config["rule"])),
        alone=alone,
        settings={key: json.dumps(config[key], sort_keys=True) for key in keys},
        seed=config["seed"],
        scores=scores,
        higher={name: higher[name] for name in scores},
        validation=_validation(numbers, training, tune),
        tuned_by=tune or ("validation score" if training else "upper bound"),
        ms=numbers["training"]["ms per step"] if training else 1000 * status["seconds"] / config["steps"],
    )


_OF_TRACES = {"upper bound": False, "hypervolume": True}


def _validation(numbers: Mapping[str, Any], training: bool, tune: str | None) -> float:
    if tune is None:
        value = numbers["training"].get("validation score") if training else numbers["upper bound"]
    else:
        value = numbers.get("validation", {}).get(tune, numbers.get(tune))
    if value is None:
        wanted = tune or "validation score"
        raise InputError(f"a run has no {wanted!r} to choose settings by; name another number of metrics.json with --tune")
    return float(value)
