"""Exact, batched solvers of the K-dimensional programs behind the rules. Each returns a Solution with its own proof."""

from moo_mtl.solvers.bargaining import fairgrad, nash
from moo_mtl.solvers.by_products import cagrad_by_products, dualproj_by_products, min_norm_by_products
from moo_mtl.solvers.dual_cone import dual_cone, dualproj, upgrad
from moo_mtl.solvers.min_norm import min_norm
from moo_mtl.solvers.simplex import entropic_step
from moo_mtl.solvers.simplex import project as project_simplex
from moo_mtl.solvers.solution import Solution
from moo_mtl.solvers.spectral import aligned, config, imtl_g
from moo_mtl.solvers.trust_region import cagrad, conicgrad

# Imported at once: several functions carry their module's name, which a lazy attribute would lose to the module.
__all__ = [
    "Solution",
    "aligned",
    "cagrad",
    "cagrad_by_products",
    "config",
    "conicgrad",
    "dual_cone",
    "dualproj",
    "dualproj_by_products",
    "entropic_step",
    "fairgrad",
    "imtl_g",
    "min_norm",
    "min_norm_by_products",
    "nash",
    "project_simplex",
    "upgrad",
]
