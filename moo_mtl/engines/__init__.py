"""Engines: ways to the per-task gradients of a network, or to their Gramian."""

from moo_mtl.engines.graph import leaves
from moo_mtl.engines.looped import Gradients, looped

__all__ = ["Gradients", "leaves", "looped"]
