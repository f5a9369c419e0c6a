"""The compiled programs are collected for doctests only where Numba is installed."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("numba") else ["moo_mtl/solvers/compiled.py"]
