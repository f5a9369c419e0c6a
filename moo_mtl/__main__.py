"""``python -m moo_mtl`` is ``moo-mtl``."""

from moo_mtl.cli import main

main()
