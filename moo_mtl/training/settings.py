"""What a training run is made of, and the refusal of what no run could be made with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal

import torch
from torch import nn

from moo_mtl.engines import Processes
from moo_mtl.errors import InputError, unknown
from moo_mtl.models.multi_head import shared_parameters
from moo_mtl.models.synchronised import synchronised
from moo_mtl.observation import Needs
from moo_mtl.rules.rule import Rule, require_rule
from moo_mtl.rules.slot import Schedule
from moo_mtl.tensors import numbers, require_device
from moo_mtl.training.balancer import Balancer
from moo_mtl.training.precision import PRECISIONS, Name
from moo_mtl.training.schedules import Scheduler
from moo_mtl.training.selection import Selection, selection
from moo_mtl.training.task import Task

Optimizer = Literal["sgd", "adam", "adamw"] | Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


class Settings:
    """All that does not change while a ``Trainer`` trains, and its parts before their first step.

    Arguments and errors are those of ``Trainer``.
    """

    def __init__(
        self,
        model: nn.Module,
        tasks: Sequence[Task],
        rule: Rule[Any],
        *,
        epochs: int,
        batch_size: int | None = None,
        optimizer: Optimizer = "adam",
        lr: Schedule | None = None,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        seed: int = 0,
        shared: nn.Module | Iterable[nn.Parameter] | None = None,
        heads: Literal["paper", "raw", "loss", "weighted"] = "paper",
        engine: str = "auto",
        gramian_of: nn.Module | Iterable[nn.Parameter] | None = None,
        every: int = 1,
        preference: Sequence[float] | None = None,
        clip: float | None = None,
        accumulate: int = 1,
        precision: Name = "full",
        scheduler: Scheduler | None = None,
        average: float | None = None,
        certify_every: int = 0,
        until: float | None = None,
        select: str | Selection = "loss",
        patience: int | None = None,
        log_every: int = 0,
        tensorboard: bool = False,
        distributed: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_rule(rule, "Trainer")
        if not isinstance(model, nn.Module):
            raise InputError(f"Trainer: model is a {type(model).__name__}, expected a torch.nn.Module")
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise InputError(f"Trainer: dtype is {dtype!r}, expected one of floating-point numbers, such as torch.float32")
        self.model = model.to(device=require_device(device), dtype=dtype)
        self.across: Processes | None = None
        if distributed:
            self.model = synchronised(self.model)
            self.across = Processes(self.model)
        self.tasks = _tasks(tasks)
        self.names = tuple(task.name for task in self.tasks)
        self.rule, self.epochs, self.batch_size = rule, epochs, batch_size
        self.optimizer, self.lr, self.momentum, self.weight_decay = optimizer, lr, momentum, weight_decay
        self.seed, self.clip, self.certify_every, self.until = seed, clip, certify_every, until
        self.accumulate, self.precision, self.scheduler, self.average = accumulate, precision, scheduler, average
        self.patience, self.log_every, self.tensorboard = patience, log_every, tensorboard
        self.select = selection(select)
        self.preference = None if preference is None else numbers("preference", preference)
        self.shared = _parameters(self.model if shared is None else shared)
        self._require(engine)
        self.device, self.dtype = self.shared[0].device, self.shared[0].dtype
        if self.preference is not None:
            self.preference = self.preference.to(self.device)
        self.balancing: dict[str, Any] = {"heads": heads, "engine": engine, "gramian_of": gramian_of, "every": every}
        self.new_balancer()  # so that an option it does not know is refused here

    def new_balancer(self) -> Balancer:
        """A balancer before its first step."""
        return Balancer(
            self.rule, self.shared, seed=self.seed, certify_every=self.log_every, across=self.across, **self.balancing
        )

    def new_optimizer(self) -> torch.optim.Optimizer:
        """An optimiser before its first step."""
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        if callable(self.optimizer):
            return self.optimizer(parameters)
        assert self.lr is not None
        lr = self.lr(1) if callable(self.lr) else self.lr
        options: dict[str, Any] = {"lr": lr, "weight_decay": self.weight_decay}
        if self.optimizer == "sgd":
            options["momentum"] = self.momentum
        return OPTIMIZERS[self.optimizer](parameters, **options)

    def require_data(self, validation: bool, log: bool) -> None:
        """Refuse settings that want data, or a folder, that ``fit`` was not given.

        Raises:
            InputError: says which.
        """
        if self.patience is not None and not validation:
            raise InputError(f"patience={self.patience} waits for the validation data, and there are none; pass validation=")
        if self.scheduler is not None and not validation:
            scheduler = self.scheduler(self.new_optimizer())
            if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
                raise InputError("a plateau is one of the validation data, and there are none; pass validation=")
        if self.log_every and not log:
            raise InputError(f"log_every={self.log_every} needs a folder to write to; pass log= to fit")
        if self.tensorboard and not self.log_every:
            raise InputError("tensorboard=True logs every log_every-th step, and log_every is 0; give one")

    def _require(self, engine: str) -> None:
        """Refuse what no run could be made with."""
        if not self.tasks:
            raise InputError("the list of tasks is empty; give at least one Task(name, loss)")
        for name in self.names:
            if self.names.count(name) > 1:
                raise InputError(f"two tasks are called {name!r}; names must differ")
        if not self.shared:
            raise InputError("no shared parameter requires a gradient; name them with shared=...")
        if self.preference is not None and self.preference.shape != (len(self.tasks),):
            found = self.preference.tolist()
            raise InputError(f"preference must have one number per task ({len(self.tasks)}), found {found}")
        self._require_optimizer()
        least_one = {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "accumulate": self.accumulate,
            "patience": self.patience,
        }
        _require_whole(least_one | {"certify_every": self.certify_every, "log_every": self.log_every, "seed": self.seed})
        _refuse(least_one, lambda value: value < 1, "at least 1")
        _refuse({"lr": self.lr, "clip": self.clip, "until": self.until}, lambda value: value <= 0, "positive")
        not_negative = {
            "momentum": self.momentum,
            "weight_decay": self.weight_decay,
            "certify_every": self.certify_every,
            "log_every": self.log_every,
        }
        _refuse(not_negative, lambda value: value < 0, "at least 0")
        _refuse({"average": self.average}, lambda value: not 0 <= value < 1, "in [0, 1)")
        if self.accumulate > 1:
            if Needs.CROSS in self.rule.needs:
                raise InputError(
                    f"accumulate={self.accumulate} does not go with rule {self.rule.name}, which multiplies gradients of "
                    "independent batches; use accumulate=1"
                )
            if engine not in ("auto", "looped", "vmapped"):
                raise InputError(
                    f"engine {engine!r} never holds the rows that accumulate= needs; use 'looped', 'vmapped' or 'auto'"
                )
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        if self.precision != "full" and self.shared[0].dtype != torch.float32:
            raise InputError(
                f"precision {self.precision!r} mixes with float32, and the parameters are {self.shared[0].dtype}; "
                "use dtype float32, or precision 'full'"
            )

    def _require_optimizer(self) -> None:
        if self.scheduler is not None and callable(self.lr):
            raise InputError("scheduler= and a function for lr= would both set the learning rate; give one of them")
        if self.scheduler is not None and not callable(self.scheduler):
            raise InputError(f"scheduler is {self.scheduler!r}, expected a function of the optimiser, as schedules.get gives")
        if isinstance(self.optimizer, torch.optim.Optimizer):
            kind = type(self.optimizer).__name__
            raise InputError(
                f"optimizer is an {kind} that has its parameters, expected a name, or a function that makes one of them: "
                f"lambda parameters: torch.optim.{kind}(parameters, lr=...)"
            )
        if callable(self.optimizer):
            return
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        if self.lr is None:
            raise InputError(f"optimizer {self.optimizer!r} needs a learning rate; give lr=...")
        if self.momentum and self.optimizer != "sgd":
            raise InputError(f"momentum={self.momentum} is SGD's; {self.optimizer!r} has none")


def _parameters(shared: nn.Module | Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return shared_parameters(shared) if isinstance(shared, nn.Module) else list(shared)


def _tasks(given: Sequence[Task]) -> tuple[Task, ...]:
    tasks = (given,) if isinstance(given, Task) else tuple(given) if isinstance(given, Iterable) else (given,)
    strange = [task for task in tasks if not isinstance(task, Task)]
    if strange:
        raise InputError(f"Trainer: tasks holds {strange[0]!r}, expected Task(name, loss) for each")
    return tasks


def _refuse(settings: Mapping[str, Any], wrong: Callable[[Any], bool], expected: str) -> None:
    for name, value in settings.items():
        if value is None or callable(value):
            continue
        if not isinstance(value, Real) or wrong(value):
            raise InputError(f"{name} must be {expected}, found {value!r}")


def _require_whole(settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        if value is not None and not isinstance(value, Integral):
            raise InputError(f"{name} must be a whole number, found {value!r}")
