"""Exact, batched solvers of the K-dimensional programs behind the rules. Each returns a Solution with its own proof."""

from moo_mtl.solvers.min_norm import min_norm
from moo_mtl.solvers.simplex import entropic_step
from moo_mtl.solvers.simplex import project as project_simplex
from moo_mtl.solvers.solution import Solution

# Imported at once: several functions carry their module's name, which a lazy attribute would lose to the module.
__all__ = ["Solution", "entropic_step", "min_norm", "project_simplex"]
