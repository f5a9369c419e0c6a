"""Sets of trade-offs: dominance, indicators, preferences, reference fronts, and the bridge to pymoo."""

from moo_mtl.fronts import directions
from moo_mtl.fronts.bridge import from_pymoo, to_pymoo
from moo_mtl.fronts.deltas import delta_m, delta_p
from moo_mtl.fronts.dominance import non_dominated
from moo_mtl.fronts.front import Front
from moo_mtl.fronts.hybrid import Hybrid, hybrid
from moo_mtl.fronts.indicators import (
    angle,
    epsilon,
    gd_plus,
    hypervolume,
    igd,
    igd_plus,
    inner_product,
    min_distance,
    pbi,
    soft_min_distance,
    spacing,
    sparsity,
    spread,
)
from moo_mtl.fronts.reference import Reference, reference
from moo_mtl.fronts.tracing import trace_front
from moo_mtl.fronts.units import in_units

__all__ = [
    "Front",
    "Hybrid",
    "Reference",
    "angle",
    "delta_m",
    "delta_p",
    "directions",
    "epsilon",
    "from_pymoo",
    "gd_plus",
    "hybrid",
    "hypervolume",
    "igd",
    "igd_plus",
    "in_units",
    "inner_product",
    "min_distance",
    "non_dominated",
    "pbi",
    "reference",
    "soft_min_distance",
    "spacing",
    "sparsity",
    "spread",
    "to_pymoo",
    "trace_front",
]
