"""Rules: K losses and the Gramian of their gradients in, K weights out."""

from moo_mtl.rules import losses, memory, output, scaling, then, weights
from moo_mtl.rules.compose import compose
from moo_mtl.rules.recipe import ZOO, Recipe, get, recipe
from moo_mtl.rules.rule import Rule, Weighing
from moo_mtl.rules.zoo.gramian import edm, mgda
from moo_mtl.rules.zoo.key import bmtl, db_mtl, ema, task_tensioner
from moo_mtl.rules.zoo.loss_only import equal

__all__ = [
    "ZOO",
    "Recipe",
    "Rule",
    "Weighing",
    "bmtl",
    "compose",
    "db_mtl",
    "edm",
    "ema",
    "equal",
    "get",
    "losses",
    "memory",
    "mgda",
    "output",
    "recipe",
    "scaling",
    "task_tensioner",
    "then",
    "weights",
]
