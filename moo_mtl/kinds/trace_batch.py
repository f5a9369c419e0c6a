"""Many traces as one tensor program: runs that differ in learning rate and seed alone are entries of a batch dimension."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from moo_mtl.config import TraceRun
from moo_mtl.kinds.trace_metrics import metrics
from moo_mtl.kinds.trace_run import Checkpoints, arguments, resumed, starts
from moo_mtl.tracing import NONFINITE, Trace, trace

TRAJECTORIES = 1000  # in one program at most: beyond that a step costs in proportion
NUMBERS = 2**25  # recorded by one program at most, 256 MiB


def alike(config: TraceRun) -> str | None:
    """What runs share that can be computed together; ``None`` for a run that stops by itself, and so must be alone."""
    if config.until is not None:
        return None
    differs = {"seed": None} if isinstance(config.lr, str) else {"seed": None, "lr": None}
    return json.dumps({**config.resolved(), **differs}, sort_keys=True)


def capacity(config: TraceRun) -> int:
    """How many runs like this one are computed together: whatever the machine, so that a sweep is batched in one way."""
    problem, _, given = arguments(config)
    preferences = given["preferences"]
    trajectories = given["starts"].shape[:-1].numel() * (1 if preferences is None else len(preferences))
    recorded = (config.steps // config.record_every + 2) * (problem.n_dim + 2 * problem.n_tasks + 3)
    return max(1, min(TRAJECTORIES // trajectories, NUMBERS // (trajectories * recorded)))


def perform(
    configs: Sequence[TraceRun], checkpoint: Path, advance: Callable[[int], None]
) -> list[tuple[Trace, dict[str, Any]] | None]:
    """Trace, from the checkpoint if there is one; each run's arrays and metrics, ``None`` where no finite trajectory is left.

    Each run is what it would be alone but for rounding: sums over longer batches may be taken in another order.

    Raises:
        MooMtlError: none of the runs goes on, or one fails in a way that stops the program, such as a loss below its bound.
    """
    problem, rule, given = arguments(configs[0])
    points = torch.stack([starts(config, problem) for config in configs])  # [R, S, D]
    seeds = torch.tensor([config.seed for config in configs])
    rates = given["lr"] if callable(given["lr"]) else torch.tensor([config.lr for config in configs], dtype=torch.float64)
    if given["preferences"] is not None:  # every preference from every start: [R, P, S, ...]
        wanted = given["preferences"][None, :, None, :]
        batch = (len(configs), wanted.shape[1], points.shape[1])
        points, given["preferences"] = points[:, None].expand(*batch, -1), wanted.expand(*batch, -1)
    together = {**given, "starts": points, "seed": seeds, "lr": rates, "paired": given["preferences"] is not None}
    path = trace(problem, rule, **together, resume=resumed(checkpoint), checkpoint=Checkpoints(checkpoint), progress=advance)
    parts = [path.entry(place) for place in range(len(configs))]
    return [None if bool((part.status == NONFINITE).all()) else (part, metrics(part, problem)) for part in parts]
