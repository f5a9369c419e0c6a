"""What is wrong with a file, in one sentence: what was found, at which key, and what is expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from moo_mtl.config.keys import Header
from moo_mtl.errors import InputError, unknown
from moo_mtl.grid import SPELT
from moo_mtl.naming import in_words

Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], table: Mapping[str, Any]) -> Model:
    """The values of ``table``.

    Raises:
        InputError: a key is unknown or missing, or a value is not of its kind.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        strange = [problem for problem in problems if problem["type"] == "extra_forbidden"]
        raise _sentence(model, table, strange or problems) from error


def _sentence(model: type[BaseModel], table: Mapping[str, Any], problems: Sequence[Any]) -> InputError:
    """Pydantic's first finding in our words; where a key may be one of several types, each of them is named."""
    problem, keys = problems[0], _keys(table, problems[0]["loc"])
    if problem["type"] == "extra_forbidden":
        return unknown("key", keys, [*model.model_fields, *Header.model_fields])
    if problem["type"] == "missing":
        return InputError(f"{problem['loc'][-1]} is missing")
    if problem["type"] == "value_error":
        message = problem["msg"].removeprefix("Value error, ")
        return InputError(f"{keys}: {message}" if keys else message)
    same = in_words([other["msg"] for other in problems if _keys(table, other["loc"]) == keys])
    field = model.model_fields.get(keys)
    expected, found = (field and field.description) or same, problem["input"]
    return InputError(f"{keys}: expected {expected}, found {found!r}{_advice(expected, found)}")


def _advice(expected: str, found: Any) -> str:
    """What to write instead, where that is easily told."""
    if isinstance(found, Mapping):
        return f"; write {found['name']!r}" if [*found] == ["name"] else f"; several values are a list, or one of {SPELT}"
    if expected == "a list" and isinstance(found, str):
        return f"; write [{found!r}]"
    if "number" in expected or "integer" in expected:
        with suppress(TypeError, ValueError, OverflowError):
            if isinstance(found, str) and isfinite(float(found)):
                return "; leave out the quotes"
            if "integer" in expected and not isinstance(found, bool) and int(found) == found:
                return f"; write {int(found)}"
    return ""


def _keys(table: Any, location: Iterable[str | int]) -> str:
    """The part of a location that the file's author wrote; pydantic adds the members of unions to it."""
    keys: list[str] = []
    for key in location:
        written = isinstance(table, Mapping) and key in table
        if written or (isinstance(table, list) and isinstance(key, int)):
            table = table[key]
            keys.append(str(key))
    return ".".join(keys)
