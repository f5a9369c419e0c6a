"""``kind = "trace"``: trajectories of a rule on a problem, from a configuration to numbers in the run's folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moo_mtl import problems, runs, storage
from moo_mtl.config import TraceRun
from moo_mtl.errors import DamageError, InputError, RunError
from moo_mtl.kinds import resolving
from moo_mtl.kinds.trace_metrics import metrics
from moo_mtl.problems import Problem
from moo_mtl.randomness import uniforms
from moo_mtl.rules.rule import Rule
from moo_mtl.runs import Run
from moo_mtl.tensors import require_device
from moo_mtl.tracing import Trace, trace


def check(config: TraceRun) -> None:
    """Look at the start without a step: names, shapes and the rule's domain are then known to fit.

    Raises:
        MooMtlError: something does not.
    """
    problem, rule, given = arguments(config)
    trace(problem, rule, **{**given, "steps": 0})


def length(config: TraceRun) -> tuple[int, str]:
    """How many of what the run takes."""
    return config.steps, "step"


def perform(config: TraceRun, run: Run, advance: Callable[[int], None]) -> dict[str, Any]:
    """Trace, from the checkpoint if there is one; the result is written, the metrics are returned."""
    problem, rule, given = arguments(config)
    state = resumed(run.checkpoint)
    path = trace(problem, rule, **given, resume=state, checkpoint=Checkpoints(run.checkpoint), progress=advance)
    storage.write(run.result, path.save)
    return metrics(path, problem)


def result(run: Run) -> Trace:
    """The arrays of a finished run."""
    return Trace.load(run.result)


def arguments(config: TraceRun) -> tuple[Problem, Rule[Any], dict[str, Any]]:
    """What ``trace`` is called with."""
    problem = _problem(config.problem.name, json.dumps(config.problem.parameters))
    bound = None if problem.lower_bound is None else problem.lower_bound.tolist()
    rule = resolving.rule(config.rule, problem.name, bound)
    same = ("steps", "optimizer", "clip", "gradient_noise", "record_every", "certify_every", "until", "epoch_steps", "seed")
    given = {key: getattr(config, key) for key in same} | {
        "starts": starts(config, problem),
        "preferences": None if config.preferences is None else _table("preferences", config.preferences, problem.n_tasks),
        "betas": tuple(config.betas),
        "lr": resolving.number_or_function("lr", config.lr),
        "box": None if config.box == "none" else config.box,
        "device": require_device(config.device),
    }
    return problem, rule, given


def starts(config: TraceRun, problem: Problem) -> Tensor:
    """The run's starting points, ``[S, D]``.

    Raises:
        InputError: the problem has none of its own and no box to draw from, or the points have another length.
    """
    if isinstance(config.starts, list):
        return _table("starts", config.starts, problem.n_dim)
    if config.starts is None:
        if problem.starts is None:
            raise InputError(
                f"problem {problem.name!r} has no starting points of its own; give starts = [[...], ...], or a number of them"
            )
        return problem.starts
    if problem.bounds is None:
        raise InputError(
            f"starts = {config.starts} draws points from a box, and problem {problem.name!r} has no bounds; list the points"
        )
    lower, upper = problem.bounds
    return lower + uniforms(config.seed, torch.arange(config.starts), 0, problem.n_dim) * (upper - lower)


def _table(key: str, rows: list[list[float]], width: int) -> Tensor:
    for row in rows:
        if len(row) != width:
            raise InputError(f"{key}: every row needs {width} numbers, found {row}")
    if not rows:
        raise InputError(f"{key} is an empty list; give at least one row of {width} numbers")
    return torch.tensor(rows, dtype=torch.float64)


def _problem(name: str, parameters: str) -> Problem:
    # Those of this package are kept: some compute their Pareto set when they are made. A user's own may have changed.
    return (_made if ":" in name else _kept)(name, parameters)


def _made(name: str, parameters: str) -> Problem:
    return problems.get(name, **json.loads(parameters))


_kept = lru_cache(maxsize=8)(_made)


class Checkpoints:
    """Writes the state to a file when it is time to."""

    def __init__(self, file: Path) -> None:
        self.file, self.written = file, time.monotonic()

    def __call__(self, state: Mapping[str, Tensor]) -> None:
        if time.monotonic() - self.written >= runs.CHECKPOINT_EVERY:
            try:
                storage.write(self.file, lambda part: torch.save(dict(state), part))
            except RuntimeError as error:  # what torch makes of a full disk
                raise RunError(f"cannot write the checkpoint {self.file}: {error}") from error
            self.written = time.monotonic()


def resumed(checkpoint: Path) -> dict[str, Tensor] | None:
    """The state to go on from, if there is one.

    Raises:
        DamageError: it cannot be read, or holds something else.
    """
    if not checkpoint.exists():
        return None
    state = storage.read_tensors(checkpoint)
    if not all(isinstance(part, Tensor) for part in state.values()):
        raise DamageError(f"the checkpoint {checkpoint} holds no state of a trace; delete it to start anew")
    return state
