"""Engines: ways to the per-task gradients of a network, or to their Gramian."""

from moo_mtl.engines.choose import ENGINES, Choice, Engine, choose
from moo_mtl.engines.distributed import Processes, reduced
from moo_mtl.engines.graph import leaves
from moo_mtl.engines.look import Look
from moo_mtl.engines.looped import looped
from moo_mtl.engines.split import features, layered, vmapped

__all__ = [
    "ENGINES",
    "Choice",
    "Engine",
    "Look",
    "Processes",
    "choose",
    "features",
    "layered",
    "leaves",
    "looped",
    "reduced",
    "vmapped",
]
