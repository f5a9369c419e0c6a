"""The mechanism of each of the four papers, switched on and off: every ablation is a slot of a composition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moo_mtl.rules import compose, losses, memory, output, scaling, weights
from moo_mtl.rules.recipe import get
from moo_mtl.rules.rule import Rule

BASELINE = "equal"

ABLATIONS: Mapping[str, Mapping[str, Rule[Any]]] = {
    "DB-MTL": {
        "db-mtl": get("db-mtl"),
        "without max-norm": compose(weights.uniform, loss=losses.log(), memory=memory.row_ema(0.5, 0.5)),
        "without log": get("db-mtl", stages="gradient"),
        "without EMA": get("db-mtl", beta=0),
        "log alone": get("db-mtl", stages="loss"),
    },
    "BMTL": {
        "bmtl": get("bmtl"),
        "T = 0.1": get("bmtl", temperature=0.1),
        "T = 50": get("bmtl", temperature=50.0),
        "power in place of exp": get("bmtl", transform="power"),
        "log in place of exp": compose(weights.uniform, loss=losses.log()),
        "exp + unit gradients": compose(
            weights.uniform, loss=losses.convex(losses.exponential(1.0), "normalised", "bmtl"), scale=scaling.unit_norm
        ),
    },
    "Task tensioner": {
        "task-tensioner": get("task-tensioner"),
        "without tension": get("edm"),
        "alpha = 1": get("task-tensioner", alpha=1.0),
        "without unit gradients": compose(weights.min_norm, output=output.simplex),
    },
    "EMA": {
        "ema": get("ema"),
        "without EMA": get("ema", decay=0.0),
        "inverse-normalised": get("ema", variant="inverse-normalised"),
        "trend": get("ema", variant="trend"),
        "proportional": get("ema", variant="proportional"),
    },
}
