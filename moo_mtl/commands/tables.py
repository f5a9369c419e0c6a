"""Tables on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable


def print_table(title: str, header: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> None:
    """A table as wide as the terminal; where there is none, as wide as it needs to be."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD)
    for column in header:
        table.add_column(Text(column), overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))
    console = Console() if sys.stdout.isatty() else Console(width=240)
    console.print(table)
