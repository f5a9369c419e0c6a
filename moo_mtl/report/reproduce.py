"""How to compute a run again: its configuration as an experiment file, and the command that reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from moo_mtl.report.found import Found, Section


def experiment_file(section: Section) -> str | None:
    """One TOML file for all runs of a section, where they are every combination of some rules and some seeds.

    Runs of single tasks come back through ``single_tasks``. Where anything else differs there is no such file: ``None``.
    """
    several = [one for one in section.found if not one.alone]
    alone = list(dict.fromkeys(one.config.tasks[0] for one in section.found if one.alone))  # type: ignore[union-attr,index]
    if not several:
        return None
    configs = [one.config.resolved() for one in several]
    shared = [{key: value for key, value in one.items() if key not in ("rule", "seed")} for one in configs]
    if any(one != shared[0] for one in shared):
        return None
    rules = _distinct(one["rule"] for one in configs)
    seeds = _distinct(one["seed"] for one in configs)
    if len(rules) * len(seeds) != len(configs):
        return None
    header = {"single_tasks": alone} if alone else {}
    return toml(
        {**shared[0], **header, "rule": rules if len(rules) > 1 else rules[0], "seed": seeds if len(seeds) > 1 else seeds[0]}
    )


def run_file(one: Found) -> str:
    """A TOML file for one run alone."""
    return toml(one.config.resolved())


def toml(table: Mapping[str, Any]) -> str:
    """A table of numbers, strings, lists and tables as TOML, a line for each key.

    >>> print(toml({"kind": "trace", "rule": {"name": "mgda"}, "lr": 1e-3}), end="")
    kind = "trace"
    rule = "mgda"
    lr = 0.001
    """
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        if value.keys() == {"name"}:
            return _value(value["name"])  # something chosen by name, without parameters
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)  # numbers, true and false, and strings: TOML writes them as JSON does


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() and key.isascii() else json.dumps(key)


def _distinct(values: Iterable[Any]) -> list[Any]:
    distinct: list[Any] = []
    for value in values:
        if value not in distinct:
            distinct.append(value)
    return distinct
