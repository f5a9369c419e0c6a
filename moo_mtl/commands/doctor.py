"""``moo-mtl doctor``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from moo_mtl.commands.tables import print_table


def doctor(
    data_root: Annotated[Path | None, typer.Option(help="Folder of the data files; default: $MOO_MTL_DATA.")] = None,
) -> None:
    """Say what is installed, what devices there are, which data sets are found, and what is missing.

    Paste this into a bug report.
    """
    if data_root is not None:
        os.environ["MOO_MTL_DATA"] = str(data_root)
    from moo_mtl import diagnosis

    for title, header, lines in diagnosis.sections():
        print_table(title, header, lines)
