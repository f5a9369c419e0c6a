"""From a name to the object it stands for: ``module:attribute`` strings, and keyword arguments checked before a call."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from inspect import Parameter, signature, unwrap
from operator import attrgetter
from pathlib import Path
from typing import Any, get_type_hints

from moo_mtl.errors import InputError, unknown


def load(path: str, kind: str) -> object:
    """The object behind ``module:attribute``; modules of the current directory can be imported.

    >>> load("math:pi", "problem")
    3.141592653589793

    Args:
        path: a dotted module, a colon, an attribute (which may be dotted too).
        kind: what the caller is looking for ("rule", "problem"), for the messages.

    Raises:
        InputError: the string is not of that form, the module is absent or fails on import, or it has no such attribute.
    """
    module_name, colon, attribute = path.partition(":")
    parts = [*module_name.split("."), *attribute.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise InputError(f"{kind} {path!r} is not of the form module:attribute, such as my_module:my_{kind}")
    try:
        module = _imported(module_name)
    except ModuleNotFoundError as error:
        absent = error.name or module_name
        if module_name == absent or module_name.startswith(f"{absent}."):
            raise InputError(
                f"{kind} {path!r}: there is no module {absent!r}, neither installed nor in {Path.cwd()}; "
                "install it or change to the folder that holds it"
            ) from error
        raise InputError(f"{kind} {path!r}: module {module_name!r} imports {absent!r}, which is not installed") from error
    except Exception as error:
        raise InputError(f"{kind} {path!r}: importing {module_name!r} raised {type(error).__name__}: {error}") from error
    try:
        found: object = attrgetter(attribute)(module)
    except AttributeError as error:
        public = [name for name in vars(module) if not name.startswith("_")]
        raise unknown(f"attribute of module {module_name!r}", attribute, public) from error
    return found


def check_parameters(kind: str, name: str, factory: Callable[..., Any], given: Mapping[str, object]) -> None:
    """Hold the keywords ``given`` against the signature of ``factory``, so that a typing slip is an error with a suggestion.

    Their values are held against its annotations, as far as these can be resolved; true and false are no numbers.

    >>> check_parameters("rule", "db-mtl", lambda beta=0.5: None, {"beta": 0.1})

    Raises:
        InputError: a keyword that ``factory`` does not take, a required one that is missing, or a value of another type.
    """
    parameters = signature(factory).parameters.values()
    named = [p for p in parameters if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)]
    open_ended = any(p.kind is Parameter.VAR_KEYWORD for p in parameters)
    takes = [p.name for p in named]
    for keyword in given:
        if keyword not in takes and not open_ended:
            if not takes:
                raise InputError(f"{kind} {name!r} takes no parameters, found {keyword!r}; leave it out")
            raise unknown(f"parameter of {kind} {name!r}:", keyword, takes)
    missing = [p.name for p in named if p.default is Parameter.empty and p.name not in given]
    if missing:
        raise InputError(f"{kind} {name!r} needs {', '.join(missing)}; give it as {missing[0]}=...")
    types = _annotations(factory) if given else {}
    for keyword, value in given.items():
        expected = _mismatch(types[keyword], value) if keyword in takes and keyword in types else None
        if expected is not None:
            raise InputError(f"{kind} {name!r}: {keyword}: expected {expected}, found {value!r}")


def _annotations(factory: Callable[..., Any]) -> dict[str, Any]:
    annotated: Any = vars(factory).get("__init__") if isinstance(factory, type) else unwrap(factory)
    try:
        return get_type_hints(annotated)
    except (NameError, TypeError, AttributeError):  # names for type checkers alone, callable objects
        return {}


def _mismatch(annotation: Any, value: Any) -> str | None:
    """What is expected instead of ``value``; ``None`` where it will do, or where nobody can tell."""
    from pydantic import ValidationError

    adapter = _adapter(annotation)
    if adapter is None:
        return None
    try:
        adapter.validate_python(value.tolist() if type(value).__module__ == "numpy" else value)
    except ValidationError as error:
        with suppress(ValidationError, TypeError, ValueError):  # a file has no tuples and no paths
            adapter.validate_json(json.dumps(value))
            return None
        return in_words([problem["msg"] for problem in error.errors(include_url=False)])
    except TypeError:  # a protocol that cannot be looked at
        return None
    return None


def in_words(messages: Iterable[str]) -> str:
    """What pydantic expected, for somebody who does not know it.

    >>> in_words(["Input should be a valid number", "Input should be a valid list"])
    'a number, or a list'
    """
    found = [message.removeprefix("Input should be ") for message in messages if "not allowed" not in message]
    words = (f"a number {word}" if word.startswith(("greater", "less")) else _WORDS.get(word, word) for word in found)
    return ", or ".join(dict.fromkeys(words))


_WORDS = {
    "a valid number": "a number",
    "a valid integer": "an integer",
    "a valid boolean": "true or false",
    "a valid string": "text in quotes",
    "a valid list": "a list",
    "a valid dictionary": "a table",
    "callable": "a function",
    "an instance of Sequence": "a list",
    "an instance of Tensor": "a tensor",
}


@cache
def _adapter(annotation: Any) -> Any:
    """Pydantic's check of a type; ``None`` for a type that it does not know."""
    from pydantic import ConfigDict, TypeAdapter
    from pydantic.errors import PydanticUserError
    from pydantic_core import SchemaError

    try:
        return TypeAdapter(annotation, config=ConfigDict(strict=True, arbitrary_types_allowed=True))
    except (PydanticUserError, SchemaError, NameError, TypeError):
        return None


def _imported(module_name: str) -> Any:
    # As under `python -m`. It stays on the path: the module may import its neighbours later, also in worker processes.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return import_module(module_name)
