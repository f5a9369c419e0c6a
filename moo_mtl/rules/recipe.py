"""The zoo: one recipe per paper, with its citation and what it declares of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from moo_mtl.errors import InputError, unknown
from moo_mtl.naming import check_parameters, load
from moo_mtl.properties import Condition, Property
from moo_mtl.rules.rule import Rule

Factory = TypeVar("Factory", bound=Callable[..., Rule[Any]])


@dataclass(frozen=True)
class Recipe:
    """A rule of the literature.

    Attributes:
        name: as in ``rules.get``.
        factory: builds the rule from its hyper-parameters.
        cite: authors, title, venue, year, identifier, and where in it the formula stands.
        holds: properties the rule has for every input.
        fails: properties it is known not to have in general.
        when: for a property under ``fails``, the condition under which it holds all the same.
        min_tasks: the smallest K the rule is defined for.
        max_tasks: the largest, where there is one.
        probe: hyper-parameters under which four steps, each an epoch, show what the rule does after its warm-up.
        decades: of gradient lengths within which float64 decides the answer; fewer for rules that need the small
            eigenvalues of the Gramian, which spans twice as many.
    """

    name: str
    factory: Callable[..., Rule[Any]]
    cite: str
    holds: Sequence[Property] = ()
    fails: Sequence[Property] = ()
    when: Mapping[Property, Condition] = field(default_factory=dict)
    min_tasks: int = 1
    max_tasks: int | None = None
    probe: Mapping[str, Any] = field(default_factory=dict)
    decades: int = 6

    def probing(self, **parameters: Any) -> Rule[Any]:
        """The rule with its probing hyper-parameters, and others on top."""
        return self.factory(**{**self.probe, **parameters})


ZOO: dict[str, Recipe] = {}


def recipe(
    name: str,
    *,
    cite: str,
    holds: Sequence[Property] = (),
    fails: Sequence[Property] = (),
    when: Mapping[Property, Condition] | None = None,
    min_tasks: int = 1,
    max_tasks: int | None = None,
    probe: Mapping[str, Any] | None = None,
    decades: int = 6,
) -> Callable[[Factory], Factory]:
    """Enter a factory of rules into the zoo; laws, tables, documentation and the command line find it there.

    Args are those of ``Recipe``.

    Raises:
        InputError: a property is none of ``moo_mtl.properties``, or another factory has the name.
    """
    strange = next((one for one in (*holds, *fails, *(when or {})) if not isinstance(one, Property)), None)
    if strange is not None:
        raise InputError(
            f"recipe {name!r}: found {strange!r}, expected properties, as from moo_mtl.properties import common_descent"
        )

    def enter(factory: Factory) -> Factory:
        if name in ZOO and not _same(ZOO[name].factory, factory):
            raise InputError(f"recipe {name!r}: {ZOO[name].factory.__module__} has a rule of that name; give yours another")
        promises = (tuple(holds), tuple(fails), dict(when or {}))
        ZOO[name] = Recipe(name, factory, cite, *promises, min_tasks, max_tasks, dict(probe or {}), decades)
        return factory

    return enter


def _same(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether one factory is the other, written anew: a notebook's cell run twice, or a script that is imported as well."""
    modules = {one.__module__, other.__module__}
    return one.__qualname__ == other.__qualname__ and (len(modules) == 1 or "__main__" in modules)


def get(name: str, **parameters: Any) -> Rule[Any]:
    """A rule by its name in the zoo, or by ``"my_module:my_rule"`` (a rule, or a function that returns one).

    Raises:
        InputError: the name, or one of the parameters, is unknown; the message gives the nearest match.

    >>> from moo_mtl import rules
    >>> rules.get("db-mtl", beta=0.5).name
    'db-mtl'
    """
    if not isinstance(name, str):
        raise InputError(f'rules.get: found {name!r}, expected a name such as "mgda"; moo-mtl list rules shows all')
    if ":" in name:
        return of_user(name, load(name, "rule"), parameters)
    if name not in ZOO:
        raise unknown("rule", name, ZOO)
    factory = ZOO[name].factory
    check_parameters("rule", name, factory, parameters)
    return factory(**parameters)


def of_user(name: str, found: Any, parameters: Mapping[str, Any]) -> Rule[Any]:
    """A rule from what a user's module holds: a rule, or a function or class that gives one.

    Raises:
        InputError: it is neither, or does not take the parameters.
    """
    built = found
    if not hasattr(found, "weigh") or isinstance(found, type):
        if not callable(found):
            raise InputError(f"rule {name!r} is {type(found).__name__}, expected a rule or a function or class that gives one")
        check_parameters("rule", name, found, parameters)
        built = found(**parameters)
    elif parameters:
        raise InputError(
            f"rule {name!r} is a rule already and takes no parameters, found {', '.join(parameters)}; name a function that "
            f"builds it"
        )
    if not all(hasattr(built, attribute) for attribute in ("name", "needs", "init", "weigh")):
        raise InputError(
            f"rule {name!r} gave {type(built).__name__}, which lacks name, needs, init or weigh; derive it from moo_mtl.Rule"
        )
    return built
