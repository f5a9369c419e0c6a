"""Training: the balancer for anybody's loop, and a trainer with checkpoints, validation and certificates."""

from moo_mtl.engines import Processes as Processes
from moo_mtl.training.balancer import Balancer as Balancer
from moo_mtl.training.history import History as History
from moo_mtl.training.metrics import METRICS as METRICS
from moo_mtl.training.metrics import Metric as Metric
from moo_mtl.training.report import StepReport as StepReport
from moo_mtl.training.sampling import Dirichlet as Dirichlet
from moo_mtl.training.scoring import Scores as Scores
from moo_mtl.training.stack_history import StackHistory as StackHistory
from moo_mtl.training.stack_trainer import StackTrainer as StackTrainer
from moo_mtl.training.task import LOSSES as LOSSES
from moo_mtl.training.task import Task as Task
from moo_mtl.training.task import tasks_of as tasks_of
from moo_mtl.training.trainer import Trainer as Trainer
