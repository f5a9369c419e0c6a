"""Multi-objective optimisation for multi-task learning: one Pareto-stationarity problem, many rules, every run certified."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moo_mtl import fronts as fronts
    from moo_mtl import plotting as plotting
    from moo_mtl import problems as problems
    from moo_mtl import results as results
    from moo_mtl import rules as rules
    from moo_mtl import solvers as solvers
    from moo_mtl.certificate import Certificate as Certificate
    from moo_mtl.certificate import certify as certify
    from moo_mtl.errors import MooMtlError as MooMtlError
    from moo_mtl.observation import Needs as Needs
    from moo_mtl.observation import Observation as Observation
    from moo_mtl.rules.rule import Rule as Rule
    from moo_mtl.rules.rule import Weighing as Weighing
    from moo_mtl.tracing import Trace as Trace
    from moo_mtl.tracing import trace as trace
    from moo_mtl.training import Balancer as Balancer
    from moo_mtl.training import Task as Task
    from moo_mtl.training import Trainer as Trainer

__version__ = "0.1.0"

# Public name -> the module that defines it. Resolved on first use (PEP 562), so that `moo-mtl --help` does not import torch.
_HOME = {
    "Balancer": "moo_mtl.training",
    "Certificate": "moo_mtl.certificate",
    "MooMtlError": "moo_mtl.errors",
    "Needs": "moo_mtl.observation",
    "Observation": "moo_mtl.observation",
    "Rule": "moo_mtl.rules.rule",
    "Task": "moo_mtl.training",
    "Trace": "moo_mtl.tracing",
    "Trainer": "moo_mtl.training",
    "Weighing": "moo_mtl.rules.rule",
    "certify": "moo_mtl.certificate",
    "trace": "moo_mtl.tracing",
}
_MODULES = {"fronts", "plotting", "problems", "results", "rules", "solvers"}

__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"moo_mtl.{name}")
    raise AttributeError(f"module 'moo_mtl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
