"""Multi-objective problems: differentiable, batched, with their fronts, Pareto sets and reference points where known."""

from moo_mtl.problems import toy
from moo_mtl.problems.problem import Problem, box, from_function
from moo_mtl.problems.registry import REGISTRY, Definition, get, problem

NAMES = tuple(sorted(REGISTRY))

__all__ = ["NAMES", "REGISTRY", "Definition", "Problem", "box", "from_function", "get", "problem", "toy"]
