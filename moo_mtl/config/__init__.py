"""Experiment files: TOML in, checked values out. An unknown key is an error that names its nearest match.

A file describes a grid: every key may have several values, as ``grid`` explains, and every combination is one single run. The
keys are the arguments of ``trace`` (``kind = "trace"``), of ``Trainer`` (``kind = "train"``) or ``StackTrainer`` (``"front"``).
"""

from moo_mtl.config.experiment import Experiment as Experiment
from moo_mtl.config.experiment import read as read
from moo_mtl.config.experiment import with_rule as with_rule
from moo_mtl.config.keys import KINDS as KINDS
from moo_mtl.config.keys import LISTS as LISTS
from moo_mtl.config.keys import AnyRun as AnyRun
from moo_mtl.config.keys import Choice as Choice
from moo_mtl.config.keys import FrontRun as FrontRun
from moo_mtl.config.keys import Single as Single
from moo_mtl.config.keys import TraceRun as TraceRun
from moo_mtl.config.keys import TrainRun as TrainRun
from moo_mtl.config.overrides import assignments as assignments
