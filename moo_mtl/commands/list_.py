"""``moo-mtl list``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from moo_mtl.commands.tables import print_table

Listing = Literal["rules", "problems", "data", "models", "experiments"]


def list_(what: Annotated[Listing | None, typer.Argument(help="Leave out to list everything.")] = None) -> None:
    """List rules, problems, data sets, models and experiment files.

    Names work in every experiment file; so do your own, as "my_module:my_rule".
    """
    from moo_mtl import listing

    for section in [what] if what else listing.SECTIONS:
        print_table(section, ("name", "about"), listing.SECTIONS[section]())
