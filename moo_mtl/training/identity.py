"""What a checkpoint belongs to: every setting on which the rest of a run depends, by a name that a message can give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from torch import Tensor

from moo_mtl.data.dataset import Examples
from moo_mtl.rules.rule import Rule
from moo_mtl.training.batches import Data
from moo_mtl.training.settings import Settings

_SAME_STEPS = {"params", "foreach", "fused", "capturable", "differentiable"}  # how an optimiser computes, not what


def identity(settings: Settings, train: Data) -> dict[str, Any]:
    """The settings of a run by name, in types that ``torch.load(weights_only=True)`` reads.

    The number of epochs is none of them, since a run may be prolonged; nor is a learning rate after the first step, where it
    is a function.
    """
    optimizer = settings.new_optimizer()
    found: dict[str, Any] = {
        "tasks": list(settings.names),
        "rule": settings.rule.name,
        "seed": settings.seed,
        "batch size": settings.batch_size,
        "number of examples": len(train) if isinstance(train, Examples) else None,
        "optimizer": type(optimizer).__name__,
    }
    for number, group in enumerate(optimizer.param_groups):
        where = f" of parameter group {number}" if number else ""
        found |= {f"{key}{where}": _plain(value) for key, value in group.items() if key not in _SAME_STEPS}
    if callable(settings.lr):
        found["lr at the first step"] = float(settings.lr(1))
    found |= {key: settings.balancing[key] for key in ("heads", "engine", "every")}
    if settings.scheduler is not None:
        scheduler = settings.scheduler(optimizer)
        found["scheduler"] = type(scheduler).__name__
        plain = {key: value for key, value in vars(scheduler).items() if isinstance(value, (bool, int, float, str, list))}
        found |= {f"scheduler's {key}": value for key, value in plain.items() if not key.startswith("_")}
    found |= {key: getattr(settings, key) for key in ("accumulate", "precision", "average", "patience")}
    found |= {"clip": settings.clip, "preference": _plain(settings.preference), "select": _kind(settings.select)}
    shared = {id(parameter) for parameter in settings.shared}
    for name, parameter in settings.model.named_parameters():
        found[f"shape of parameter {name}"] = list(parameter.shape)
        found[f"share in parameter {name}"] = id(parameter) in shared
    return found | dict(hyper_parameters(settings.rule))


def hyper_parameters(rule: Rule[Any]) -> Iterator[tuple[str, Any]]:
    """Every number, word and function that ``rule`` is made of, by the names that lead to it.

    >>> from moo_mtl import rules
    >>> dict(hyper_parameters(rules.get("db-mtl", beta=0.25)))["rule's memory.act.beta"]
    0.25
    """
    return _leaves(rule, "", set())


def _leaves(value: Any, path: str, above: set[int]) -> Iterator[tuple[str, Any]]:
    name = f"rule's {path or 'type'}"
    if value is None or isinstance(value, (bool, int, float, str, Tensor, Enum)):
        yield name, _plain(value)
    elif id(value) not in above:
        yield name, _kind(value)
        for key, part in _parts(value):
            yield from _leaves(part, f"{path}.{key}" if path else key, above | {id(value)})


def _parts(value: Any) -> list[tuple[str, Any]]:
    """What a value is made of: the fields of an object, the variables that a function has enclosed."""
    if isinstance(value, MethodType):
        return [("self", value.__self__), ("function", value.__func__)]
    if isinstance(value, FunctionType):
        enclosed = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        numbers = [number for number in value.__code__.co_consts if isinstance(number, (int, float))]
        named = [(key, cell.cell_contents) for key, cell in enclosed]
        return [*named, ("defaults", value.__defaults__), ("constants", numbers)]
    if isinstance(value, partial):
        return [("function", value.func), ("arguments", value.args), ("keywords", value.keywords)]
    if isinstance(value, (list, tuple)):
        return [(str(place), part) for place, part in enumerate(value)]
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()]
    if is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in fields(value)]
    return [] if isinstance(value, type) else list(getattr(value, "__dict__", {}).items())


def _kind(value: Any) -> str:
    found: str = getattr(value, "__qualname__", type(value).__qualname__)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value
