"""``moo-mtl data``: what data sets there are, what is in one, and how its files come here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from moo_mtl.commands.tables import print_table

data = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Data sets: list them, show one, fetch its files.")

_Root = Annotated[Path | None, typer.Option("--data-root", help="Folder of the data files; default: $MOO_MTL_DATA.")]


@data.command("list")
def list_(data_root: _Root = None) -> None:
    """List the data sets, and whether their files are here."""
    from moo_mtl.data import describing

    lines = ((one.name, one.state, one.title) for one in describing.every(data_root))
    print_table("data", ("name", "files", "what it is"), lines)


@data.command()
def show(
    name: Annotated[str, typer.Argument(help='As in "moo-mtl data list", or "my_module:my_function".')],
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As subset=yeast.")] = None,
    data_root: _Root = None,
) -> None:
    """Show a data set: what it is, its files, its parts and its tasks.

    [bold]Examples[/bold]

    moo-mtl data show multi-digits

    moo-mtl data show mulan-labels --set subset=yeast
    """
    from moo_mtl.config import assignments
    from moo_mtl.data import describing

    one = describing.described(name, data_root)
    print(f"{name}: {one.text}\n")
    if one.files:
        print_table("files", ("file", "state"), one.files)
    if one.state in ("absent", "incomplete"):
        print(one.advice)
        return
    whole = describing.loaded(name, assignments(settings or []), data_root)
    print_table("parts", ("part", "examples", "inputs that training has"), whole.parts)
    print_table("tasks", ("task", "kind", "outputs", "labels", "mean"), whole.tasks)
    print(f"inputs: {whole.inputs}\ncite: {whole.cite}")


@data.command()
def fetch(name: Annotated[str, typer.Argument(help='As in "moo-mtl data list".')], data_root: _Root = None) -> None:
    """Download a data set's files from their official source into the data folder; each is held to its checksum.

    [bold]Examples[/bold]

    moo-mtl data fetch adult --data-root ~/data
    """
    from moo_mtl.data.fetching import fetch as fetched

    said: set[str] = set()

    def advance(file: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            share = f"{done / total:4.0%}" if total else ""
            print(f"\r{file} {done / 1e6:8.1f} MB {share}", end="", file=sys.stderr, flush=True)
        elif file not in said:
            print(f"fetching {file}", file=sys.stderr, flush=True)
        said.add(file)

    for path in fetched(name, data_root, advance=advance):
        print(path)
