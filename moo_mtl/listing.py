"""What there is to name in an experiment file: rules, problems, data sets, models; and the experiment files themselves."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

Lines = Iterable[tuple[str, str]]  # name, source or title


def rules() -> Lines:
    """The zoo: what each rule looks at, keeps and costs, and its source."""
    from moo_mtl.rules import table

    for rule in table.entries():
        yield rule.recipe.name, f"Looks at {rule.inputs}; keeps {rule.state}; costs {rule.cost}. {rule.recipe.cite}"


def problems() -> Lines:
    """The analytic problems, with their sources."""
    from moo_mtl.problems import REGISTRY

    return ((name, definition.cite) for name, definition in REGISTRY.items())


def data() -> Lines:
    """The data sets, with what they are."""
    from moo_mtl.data import describing

    return ((one.name, one.title) for one in describing.every())


def models() -> Lines:
    """The networks, with the first line of what is said of them."""
    from moo_mtl.models import NAMES, factory

    return ((name, (factory(name).__doc__ or "").partition("\n")[0]) for name in NAMES)


def experiments() -> Lines:
    """The TOML files in ``experiments`` of the current folder, with their titles; a line that says so where there is none."""
    if not any(Path("experiments").glob("*.toml")):
        yield "none", "there is no TOML file in the folder experiments, here in the current one"
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
