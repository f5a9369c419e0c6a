"""From a name to the object it stands for: ``module:attribute`` strings, and keyword arguments checked before a call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import Parameter, signature
from operator import attrgetter
from pathlib import Path
from typing import Any

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

    >>> check_parameters("rule", "db-mtl", lambda beta=0.5: None, {"beta": 0.1})

    Raises:
        InputError: a keyword that ``factory`` does not take, or a required one that is missing.
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


def _imported(module_name: str) -> Any:
    # As under `python -m`. It stays on the path: the module may import its neighbours later, also in worker processes.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return import_module(module_name)
