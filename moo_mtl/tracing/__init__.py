"""Tracing: a rule followed from many points at once on an analytic problem."""

from moo_mtl.tracing.record import MOVING, NONFINITE, STATIONARY, Trace
from moo_mtl.tracing.run import trace

__all__ = ["MOVING", "NONFINITE", "STATIONARY", "Trace", "trace"]
