"""What one single run computes: a configuration in, metrics and arrays in the run's folder out, resumed where it was left."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from moo_mtl import problems, rules, runs
from moo_mtl.config import Choice, Single, TraceRun, TrainRun
from moo_mtl.errors import InputError, RunError
from moo_mtl.naming import load
from moo_mtl.problems import Problem
from moo_mtl.randomness import uniforms
from moo_mtl.rules.rule import Rule
from moo_mtl.runs import Run
from moo_mtl.trace import Trace, trace

CHECKPOINT_EVERY = 5.0  # seconds: what a kill -9 costs at most

Metrics = dict[str, Any]
Advance = Callable[[int], None]


def check(config: Single) -> None:
    """Build everything that the run will use, so that what is wrong shows before any run starts.

    Raises:
        MooMtlError: a name, a parameter, a shape, a device or a data file is not what it should be.
    """
    _device(config)
    if isinstance(config, TraceRun):
        _trace_arguments(config)


def length(config: Single) -> tuple[int, str]:
    """How many steps or epochs the run takes, and which of the two they are."""
    if isinstance(config, TraceRun):
        return config.steps, "step"
    assert isinstance(config, TrainRun)
    return config.epochs, "epoch"


def perform(config: Single, run: Run, advance: Advance) -> Metrics:
    """Compute the run, or what is left of it, and complete its folder.

    Args:
        config: what to compute.
        run: the folder to write to; a checkpoint in it is gone on from.
        advance: called with the number of steps or epochs done so far.

    Raises:
        MooMtlError: the computation fails by name (a loss is NaN, say), or the folder is in use or damaged.
    """
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(config.deterministic)
    with run.writing():
        run.begin()
        started = time.monotonic()
        assert isinstance(config, TraceRun)
        metrics = _trace(config, run, advance)
        run.finish(metrics, time.monotonic() - started)
    return metrics


def result(config: Single, run: Run) -> Trace:
    """The arrays of a finished run."""
    return Trace.load(run.result)


def _trace(config: TraceRun, run: Run, advance: Advance) -> Metrics:
    problem, rule, arguments = _trace_arguments(config)
    path = trace(problem, rule, **arguments, resume=_checkpoint(run), checkpoint=_Checkpoints(run), progress=advance)
    runs.write(run.result, path.save)
    return _trace_metrics(path)


def _trace_arguments(config: TraceRun) -> tuple[Problem, Rule[Any], dict[str, Any]]:
    problem = problems.get(config.problem.name, **config.problem.parameters)
    rule = _rule(config.rule, problem.name, problem.lower_bound)
    dtype, device = getattr(torch, config.dtype), _device(config)
    preferences = None
    if config.preferences is not None:
        preferences = _table("preferences", config.preferences, problem.n_tasks).to(device, dtype)
    same = ("steps", "optimizer", "clip", "gradient_noise", "record_every", "certify_every", "until", "seed")
    return (
        problem,
        rule,
        {
            **{key: getattr(config, key) for key in same},
            "starts": _starts(config, problem).to(device, dtype),
            "preferences": preferences,
            "betas": tuple(config.betas),
            "box": None if config.box == "none" else config.box,
            "lr": _number_or_function("lr", config.lr),
            "device": device,
        },
    )


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
    members = torch.arange(config.starts)
    return lower + uniforms(config.seed, members, 0, problem.n_dim) * (upper - lower)


def _table(key: str, rows: list[list[float]], width: int) -> Tensor:
    for row in rows:
        if len(row) != width:
            raise InputError(f"{key}: every row needs {width} numbers, found {row}")
    if not rows:
        raise InputError(f"{key} is an empty list; give at least one row of {width} numbers")
    return torch.tensor(rows, dtype=torch.float64)


def _rule(choice: Choice, source: str, lower_bound: Tensor | None) -> Rule[Any]:
    """The rule, where ``lower_bound = "problem"`` stands for the bounds that the problem offers."""
    parameters: dict[str, Any] = {key: _number_or_function(key, value) for key, value in choice.parameters.items()}
    if parameters.get("lower_bound") == "problem":
        if lower_bound is None:
            raise InputError(
                f'rule {choice.name!r}: lower_bound = "problem", but {source!r} offers none; give one number per task'
            )
        parameters["lower_bound"] = lower_bound.tolist()
    return rules.get(choice.name, **parameters)


def _number_or_function(key: str, value: Any) -> Any:
    """A ``module:function`` string becomes the function, a schedule over the steps; everything else stays."""
    return load(value, key) if isinstance(value, str) and ":" in value else value


def _device(config: Single) -> torch.device:
    try:
        device = torch.device(config.device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {config.device!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device


def _trace_metrics(path: Trace) -> Metrics:
    """Numbers of a trace's end: per task the mean over the starts, the certificate of the worst start, each start by itself."""
    losses, end = path.losses[-1], path.x[-1]
    starts = losses.reshape(-1, losses.shape[-1])
    moving = path.moving().reshape(-1)
    scalars = {f"loss {task + 1}": float(value) for task, value in enumerate(starts.mean(dim=0))}
    certificate = {"lower": float(path.lower[-1].max()), "upper": float(path.upper[-1].max())}
    lists = {
        "end": end.reshape(-1, end.shape[-1]).tolist(),
        "losses": starts.tolist(),
        "upper bounds": path.upper[-1].reshape(-1).tolist(),
    }
    metrics: Metrics = _plain(
        {
            **scalars,
            **certificate,
            "moving": int(moving.sum()),
            "starts": len(starts),
            "of each start": {**lists, "moving": moving.tolist()},
        }
    )
    return metrics


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become ``null``."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Checkpoints:
    """Writes the newest state to the run's folder, at most once in ``CHECKPOINT_EVERY`` seconds."""

    def __init__(self, run: Run) -> None:
        self.file, self.written = run.checkpoint, time.monotonic()

    def __call__(self, state: Mapping[str, Tensor]) -> None:
        if time.monotonic() - self.written >= CHECKPOINT_EVERY:
            runs.write(self.file, lambda part: torch.save(dict(state), part))
            self.written = time.monotonic()


def _checkpoint(run: Run) -> dict[str, Tensor] | None:
    if not run.checkpoint.exists():
        return None
    try:
        state: dict[str, Tensor] = torch.load(run.checkpoint, weights_only=True)
    except Exception as error:  # torch raises what the damage happens to hit: pickle, zip, end of file
        raise RunError(
            f"the checkpoint {run.checkpoint} is damaged; delete the folder {run.folder} and run the experiment again"
        ) from error
    return state
