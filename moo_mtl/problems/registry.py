"""Every problem under its name; a user's own by ``module:attribute``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from inspect import Parameter, signature
from typing import Any, NamedTuple, ParamSpec

from moo_mtl.errors import InputError, unknown
from moo_mtl.naming import check_parameters, load
from moo_mtl.problems.problem import Problem, from_function

Parameters = ParamSpec("Parameters")


class Definition(NamedTuple):
    """A named problem: its factory, whose keywords are the problem's parameters, and where it comes from."""

    name: str
    factory: Callable[..., Problem]
    cite: str


REGISTRY: dict[str, Definition] = {}


def problem(name: str, *, cite: str) -> Callable[[Callable[Parameters, Problem]], Callable[Parameters, Problem]]:
    """Put a factory of problems into the registry; what it returns carries ``name`` and ``cite``."""

    def register(factory: Callable[Parameters, Problem]) -> Callable[Parameters, Problem]:
        @wraps(factory)
        def named(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Problem:
            return replace(factory(*args, **kwargs), name=name, cite=cite)

        REGISTRY[name] = Definition(name, named, cite)
        return named

    return register


def get(name: str, **parameters: Any) -> Problem:
    """The problem of that name, or a user's own.

    Args:
        name: one of ``problems.NAMES``; or ``module:attribute``, where the attribute is a ``Problem``, a function that
            returns one, or a plain differentiable function ``[..., D] -> [..., K]``.
        parameters: keywords of the problem; a plain function requires ``n_tasks`` and ``n_dim`` and takes those of
            ``from_function``.

    Raises:
        InputError: the name or a parameter is unknown (the message has the nearest match), a required one is missing,
            or the attribute is not what it should be.
    """
    if not isinstance(name, str):
        raise InputError(f'problems.get: found {name!r}, expected a name such as "zdt1"; moo-mtl list problems shows all')
    if ":" in name:
        return _own(name, parameters)
    if name not in REGISTRY:
        raise unknown("problem", name, REGISTRY)
    factory = REGISTRY[name].factory
    check_parameters("problem", name, factory, parameters)
    return factory(**parameters)


def _own(name: str, parameters: dict[str, Any]) -> Problem:
    found = load(name, "problem")
    if isinstance(found, Problem):
        if parameters:
            raise InputError(f"problem {name!r} is a finished Problem and takes no parameters, found {', '.join(parameters)}")
        return found
    if not callable(found):
        raise InputError(f"problem {name!r} is a {type(found).__name__}; expected a Problem, a function returning one, or f(x)")
    positional = [p for p in signature(found).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
    missing = [p.name for p in positional if p.default is Parameter.empty and p.name not in parameters]
    if missing:  # nobody supplies its argument, so that argument is x
        return _function(name, found, missing[0], parameters)
    check_parameters("problem", name, found, parameters)
    made = found(**parameters)
    if not isinstance(made, Problem):
        raise InputError(f"problem {name!r} returned a {type(made).__name__}; expected a Problem")
    return made


def _function(name: str, f: Callable[..., Any], argument: str, parameters: dict[str, Any]) -> Problem:
    absent = [key for key in ("n_tasks", "n_dim") if key not in parameters]
    if absent:
        raise InputError(
            f"problem {name!r}: a plain function of {argument!r} needs n_tasks and n_dim, missing {' and '.join(absent)}; "
            f"if it is a factory of a Problem, give it {argument}=..."
        )
    known = set(signature(from_function).parameters) - {"f", "name"}
    for key in parameters:
        if key not in known:
            raise unknown(f"parameter of problem {name!r}:", key, known)
    return from_function(f, name=name, **parameters)
