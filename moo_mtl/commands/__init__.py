"""The subcommands of ``moo-mtl``, one a file; heavy imports are inside the functions, so that ``--help`` is instant."""
