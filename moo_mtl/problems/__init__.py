"""Multi-objective problems: differentiable, batched, with their fronts, Pareto sets and reference points where known."""

from moo_mtl.problems import dtlz, engineering_many, engineering_three, engineering_two, maf, quadratic, toy, uf, vlmop, zdt
from moo_mtl.problems.problem import Problem, box, from_function
from moo_mtl.problems.registry import REGISTRY, Definition, get, problem

NAMES = tuple(sorted(REGISTRY))

__all__ = [
    "NAMES",
    "REGISTRY",
    "Definition",
    "Problem",
    "box",
    "dtlz",
    "engineering_many",
    "engineering_three",
    "engineering_two",
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
