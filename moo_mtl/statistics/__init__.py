"""Rules compared honestly: each with settings chosen on validation data, over seeds, with intervals, ranks and tests."""

from moo_mtl.statistics.compare import Comparison, Contender, compare
from moo_mtl.statistics.gather import Measured, gather, measured

__all__ = ["Comparison", "Contender", "Measured", "compare", "gather", "measured"]
