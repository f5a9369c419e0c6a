"""What there is to name in an experiment file: rules, problems, data sets, models; and the experiment files themselves."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

Lines = Iterable[tuple[str, str]]  # name, source or title


def rules() -> Lines:
    from moo_mtl.rules import table

    for rule in table.entries():
        yield rule.recipe.name, f"Looks at {rule.inputs}; keeps {rule.state}; costs {rule.cost}. {rule.recipe.cite}"


def problems() -> Lines:
    from moo_mtl.problems import REGISTRY

    return ((name, definition.cite) for name, definition in REGISTRY.items())


def data() -> Lines:
    from moo_mtl.data import describing

    return ((one.name, one.title) for one in describing.every())


def models() -> Lines:
    from moo_mtl.models import NAMES

    return ((name, "") for name in NAMES)


def experiments() -> Lines:
    """The TOML files in ``experiments`` of the current folder, with their titles."""
    for file in sorted(Path("experiments").glob("*.toml")):
        try:
            title = tomllib.loads(file.read_text(encoding="utf-8")).get("title", "")
        except (OSError, ValueError) as error:
            title = f"cannot be read: {error}"
        yield str(file), str(title)


SECTIONS: dict[str, Callable[[], Lines]] = {
    "rules": rules,
    "problems": problems,
    "data": data,
    "models": models,
    "experiments": experiments,
}
