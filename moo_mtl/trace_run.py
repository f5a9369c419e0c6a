"""``kind = "trace"``: trajectories of a rule on a problem, from a configuration to numbers in the run's folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from moo_mtl import problems, resolving, runs
from moo_mtl.config import TraceRun
from moo_mtl.errors import InputError, RunError
from moo_mtl.problems import Problem
from moo_mtl.randomness import uniforms
from moo_mtl.rules.rule import Rule
from moo_mtl.runs import Run
from moo_mtl.tracing import Trace, trace


def check(config: TraceRun) -> None:
    """Look at the start without a step: names, shapes and the rule's domain are then known to fit.

    Raises:
        MooMtlError: something does not.
    """
    problem, rule, arguments = _arguments(config)
    trace(problem, rule, **{**arguments, "steps": 0})


def length(config: TraceRun) -> tuple[int, str]:
    """How many of what the run takes."""
    return config.steps, "step"


def perform(config: TraceRun, run: Run, advance: Callable[[int], None]) -> dict[str, Any]:
    """Trace, from the checkpoint if there is one; the result is written, the metrics are returned."""
    problem, rule, arguments = _arguments(config)
    path = trace(problem, rule, **arguments, resume=_resumed(run), checkpoint=_Checkpoints(run), progress=advance)
    runs.write(run.result, path.save)
    return _metrics(path)


def result(run: Run) -> Trace:
    """The arrays of a finished run."""
    return Trace.load(run.result)


def _arguments(config: TraceRun) -> tuple[Problem, Rule[Any], dict[str, Any]]:
    problem = problems.get(config.problem.name, **config.problem.parameters)
    bound = None if problem.lower_bound is None else problem.lower_bound.tolist()
    rule = resolving.rule(config.rule, problem.name, bound)
    same = ("steps", "optimizer", "clip", "gradient_noise", "record_every", "certify_every", "until", "epoch_steps", "seed")
    arguments = {key: getattr(config, key) for key in same} | {
        "starts": _starts(config, problem),
        "preferences": None if config.preferences is None else _table("preferences", config.preferences, problem.n_tasks),
        "betas": tuple(config.betas),
        "lr": resolving.number_or_function("lr", config.lr),
        "box": None if config.box == "none" else config.box,
        "device": resolving.device(config.device),
    }
    return problem, rule, arguments


def _starts(config: TraceRun, problem: Problem) -> Tensor:
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


def _metrics(path: Trace) -> dict[str, Any]:
    """Numbers of the end: per task the mean over the starts, the certificate of the worst start, and each start by itself."""
    losses, end, moving = path.losses[-1].flatten(0, -2), path.x[-1].flatten(0, -2), path.moving().flatten()
    means = {f"loss {task}": value for task, value in enumerate(losses.mean(dim=0).tolist(), start=1)}
    bounds = {"lower bound": path.lower[-1].amax().item(), "upper bound": path.upper[-1].amax().item()}
    counts = {"starts": len(end), "still moving": int(moving.sum())}
    each = {"end": end, "losses": losses, "upper bound": path.upper[-1].flatten(), "still moving": moving}
    metrics: dict[str, Any] = resolving.plain({**means, **bounds, **counts, "of each start": each})
    return metrics


class _Checkpoints:
    """Writes the state to the run's folder when it is time to."""

    def __init__(self, run: Run) -> None:
        self.file, self.written = run.checkpoint, time.monotonic()

    def __call__(self, state: Mapping[str, Tensor]) -> None:
        if time.monotonic() - self.written >= runs.CHECKPOINT_EVERY:
            try:
                runs.write(self.file, lambda part: torch.save(dict(state), part))
            except RuntimeError as error:  # what torch makes of a full disk
                raise RunError(f"cannot write the checkpoint {self.file}: {error}") from error
            self.written = time.monotonic()


def _resumed(run: Run) -> dict[str, Tensor] | None:
    if not run.checkpoint.exists():
        return None
    try:
        state: dict[str, Tensor] = torch.load(run.checkpoint, weights_only=True)
    except Exception as error:  # torch raises what the damage happens to hit: pickle, zip, end of file
        raise RunError(
            f"the checkpoint {run.checkpoint} is damaged; delete the folder {run.folder} and run the experiment again"
        ) from error
    return state
