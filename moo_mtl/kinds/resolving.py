"""From the names in a configuration to the objects they stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from moo_mtl import rules
from moo_mtl.config import Choice
from moo_mtl.errors import InputError, MooMtlError
from moo_mtl.naming import load
from moo_mtl.rules.rule import Rule


def rule(choice: Choice, source: str, lower_bound: Sequence[float] | None) -> Rule[Any]:
    """The rule of that name, where ``lower_bound = "problem"`` stands for the bounds that its problem offers.

    Args:
        choice: the rule's name and hyper-parameters; a ``module:function`` string among them is a function of the step.
        source: of the losses, for the message.
        lower_bound: what the source offers, one number per task.

    Raises:
        InputError: a name or parameter is unknown, or the source offers no bounds.
    """
    parameters = {key: _loaded(key, value) for key, value in choice.parameters.items()}
    if parameters.get("lower_bound") == "problem":
        if lower_bound is None:
            raise InputError(
                f'rule {choice.name!r}: lower_bound = "problem", but {source!r} offers none; give one number per task'
            )
        parameters["lower_bound"] = list(lower_bound)
    return rules.get(choice.name, **parameters)


def number_or_function(key: str, value: Any) -> Any:
    """A ``module:function`` string becomes the function, a schedule over the steps; everything else stays.

    Args:
        key: what the value is for, for the messages.
        value: of a configuration.

    Returns:
        The value, or a function whose answer is checked at every step; it is tried at the first step at once.

    Raises:
        InputError: there is no such function, or it raises, or gives something else than a number that is at least 0; at later
            steps the function that is returned raises the same.
    """
    found = _loaded(key, value)
    if found is value:
        return value
    if not callable(found):
        raise InputError(f"{key} {value!r} is {found!r}, expected a function of the step")

    def schedule(step: int) -> float:
        try:
            answer = found(step)
            number = float(answer)
        except MooMtlError:
            raise
        except Exception as error:
            raise InputError(f"{key} {value!r} raised {type(error).__name__} at step {step}: {error}") from error
        if isinstance(answer, (bool, str)) or not 0 <= number < math.inf:
            raise InputError(f"{key} {value!r} gave {answer!r} at step {step}, expected a number that is at least 0")
        return number

    schedule(1)
    return schedule


def _loaded(key: str, value: Any) -> Any:
    return load(value, key) if isinstance(value, str) and ":" in value else value


def plain(value: Any) -> Any:
    """The value in JSON's types; NaN and infinities, which JSON lacks, become ``null``."""
    if isinstance(value, torch.Tensor):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
