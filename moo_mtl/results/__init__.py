"""What all runs of a folder came to, in one SQLite database beside them: asked by a condition, answered as a table.

The run folders are the truth. The database is made from them, and is made again wherever it is absent, old or damaged.
"""

from moo_mtl.results.database import FILE, Database
from moo_mtl.results.query import Answer, ask, frame

__all__ = ["FILE", "Answer", "Database", "ask", "frame"]
