"""Many runs: what there is to do, how it is shared among processes or machines, and what has come of it."""

from moo_mtl.sweeps.execute import execute
from moo_mtl.sweeps.job import End, Item, Job
from moo_mtl.sweeps.survey import Survey, survey

__all__ = ["End", "Item", "Job", "Survey", "execute", "survey"]
