"""Engines: ways to the per-task gradients of a network, or to their Gramian."""

from moo_mtl.engines.choose import ENGINES, Choice, choose
from moo_mtl.engines.distributed import Processes, reduced
from moo_mtl.engines.features import features
from moo_mtl.engines.graph import Behind, roots
from moo_mtl.engines.layered import layered
from moo_mtl.engines.look import Engine, Look
from moo_mtl.engines.looped import looped
from moo_mtl.engines.sweep import NotBatchedError
from moo_mtl.engines.vmapped import vmapped

__all__ = [
    "ENGINES",
    "Behind",
    "Choice",
    "Engine",
    "Look",
    "NotBatchedError",
    "Processes",
    "choose",
    "features",
    "layered",
    "looped",
    "reduced",
    "roots",
    "vmapped",
]
