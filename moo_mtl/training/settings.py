"""Settings of a ``Trainer`` that no run could be made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from moo_mtl.errors import InputError, unknown
from moo_mtl.observation import Needs
from moo_mtl.training.precision import PRECISIONS

if TYPE_CHECKING:
    from moo_mtl.training.trainer import Trainer

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


def require_settings(trainer: Trainer, engine: str) -> None:
    """Refuse what ``trainer`` could not train with.

    Raises:
        InputError: an empty or duplicate list of tasks, a number out of range, an unknown name, or settings that exclude
            each other.
    """
    if not trainer.tasks:
        raise InputError("the list of tasks is empty; give at least one Task(name, loss)")
    for name in trainer.names:
        if trainer.names.count(name) > 1:
            raise InputError(f"two tasks are called {name!r}; names must differ")
    if not trainer.shared:
        raise InputError("no shared parameter requires a gradient; name them with shared=...")
    if trainer.preference is not None and trainer.preference.shape != (len(trainer.tasks),):
        found = trainer.preference.tolist()
        raise InputError(f"preference must have one number per task ({len(trainer.tasks)}), found {found}")
    _require_optimizer(trainer)
    least_one = {
        "epochs": trainer.epochs,
        "batch_size": trainer.batch_size,
        "accumulate": trainer.accumulate,
        "patience": trainer.patience,
    }
    _refuse(least_one, lambda value: value < 1, "at least 1")
    _refuse({"lr": trainer.lr, "clip": trainer.clip, "until": trainer.until}, lambda value: value <= 0, "positive")
    not_negative = {
        "momentum": trainer.momentum,
        "weight_decay": trainer.weight_decay,
        "certify_every": trainer.certify_every,
        "log_every": trainer.log_every,
    }
    _refuse(not_negative, lambda value: value < 0, "at least 0")
    _refuse({"average": trainer.average}, lambda value: not 0 <= value < 1, "in [0, 1)")
    if trainer.accumulate > 1:
        if Needs.CROSS in trainer.rule.needs:
            raise InputError(
                f"accumulate={trainer.accumulate} does not go with rule {trainer.rule.name}, which multiplies gradients of "
                "independent batches; use accumulate=1"
            )
        if engine not in ("auto", "looped", "vmapped"):
            raise InputError(
                f"engine {engine!r} never holds the rows that accumulate= needs; use 'looped', 'vmapped' or 'auto'"
            )
    if trainer.precision not in PRECISIONS:
        raise unknown("precision", trainer.precision, PRECISIONS)
    if trainer.precision != "full" and trainer.shared[0].dtype != torch.float32:
        raise InputError(
            f"precision {trainer.precision!r} mixes with float32, and the parameters are {trainer.shared[0].dtype}; "
            "use dtype float32, or precision 'full'"
        )


def require_data(trainer: Trainer, validation: bool, log: bool) -> None:
    """Refuse settings that want data, or a folder, that ``fit`` was not given.

    Raises:
        InputError: says which.
    """
    if trainer.patience is not None and not validation:
        raise InputError(f"patience={trainer.patience} waits for the validation data, and there are none; pass validation=")
    if trainer.scheduler is not None and not validation:
        scheduler = trainer.scheduler(trainer.new_optimizer())
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            raise InputError("a plateau is one of the validation data, and there are none; pass validation=")
    if trainer.log_every and not log:
        raise InputError(f"log_every={trainer.log_every} needs a folder to write to; pass log= to fit")
    if trainer.tensorboard and not trainer.log_every:
        raise InputError("tensorboard=True logs every log_every-th step, and log_every is 0; give one")


def _require_optimizer(trainer: Trainer) -> None:
    if trainer.scheduler is not None and callable(trainer.lr):
        raise InputError("scheduler= and a function for lr= would both set the learning rate; give one of them")
    if callable(trainer.optimizer):
        return
    if trainer.optimizer not in OPTIMIZERS:
        raise unknown("optimizer", trainer.optimizer, OPTIMIZERS)
    if trainer.lr is None:
        raise InputError(f"optimizer {trainer.optimizer!r} needs a learning rate; give lr=...")
    if trainer.momentum and trainer.optimizer != "sgd":
        raise InputError(f"momentum={trainer.momentum} is SGD's; {trainer.optimizer!r} has none")


def _refuse(numbers: Mapping[str, Any], wrong: Callable[[float], bool], expected: str) -> None:
    for name, value in numbers.items():
        if isinstance(value, (int, float)) and wrong(value):
            raise InputError(f"{name} must be {expected}, found {value}")
