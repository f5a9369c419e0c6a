"""Multi-objective problems: differentiable, batched, with their fronts, Pareto sets and reference points where known."""

from moo_mtl.problems import design_many, design_three, design_two, dtlz, maf, quadratic, toy, uf, vlmop, zdt
from moo_mtl.problems.problem import Problem, box, from_function
from moo_mtl.problems.registry import REGISTRY, Definition, get, problem

NAMES = tuple(sorted(REGISTRY))

__all__ = [
    "NAMES",
    "REGISTRY",
    "Definition",
    "Problem",
    "box",
    "design_many",
    "design_three",
    "design_two",
    "dtlz",
    "from_function",
    "get",
    "maf",
    "problem",
    "quadratic",
    "toy",
    "uf",
    "vlmop",
    "zdt",
]
