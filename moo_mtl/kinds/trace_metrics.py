"""The numbers by which a trace is judged, at its end."""

from __future__ import annotations

from typing import Any

from moo_mtl.fronts.indicators import hypervolume
from moo_mtl.kinds import resolving
from moo_mtl.problems import Problem
from moo_mtl.tracing import Trace


def metrics(path: Trace, problem: Problem) -> dict[str, Any]:
    """Per task the mean over the starts, the certificate of the worst start, and each start by itself.

    Where the problem has a reference point, the hypervolume of all ends together as well.
    """
    losses, end, moving = path.losses[-1].flatten(0, -2), path.x[-1].flatten(0, -2), path.moving().flatten()
    means = {f"loss {task}": value for task, value in enumerate(losses.mean(dim=0).tolist(), start=1)}
    bounds = {"lower bound": path.lower[-1].amax().item(), "upper bound": path.upper[-1].amax().item()}
    found = losses[losses.isfinite().all(dim=-1)]
    front = {} if problem.ref_point is None else {"hypervolume": hypervolume(found, problem.ref_point).item()}
    counts = {"starts": len(end), "still moving": int(moving.sum())}
    each = {"end": end, "losses": losses, "upper bound": path.upper[-1].flatten(), "still moving": moving}
    numbers: dict[str, Any] = resolving.plain({**means, **bounds, **front, **counts, "of each start": each})
    return numbers
