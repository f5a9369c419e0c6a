"""``moo-mtl theory``: what rules guarantee, and where they lead."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from moo_mtl.commands.tables import print_table

theory = typer.Typer(
    name="theory", no_args_is_help=True, help="Verdicts on rules with counter-examples; equivalences; where rules land."
)
Format = Literal["md", "tex", "png"]
Out = Annotated[Path, typer.Option(help="Folder for figures.")]


@theory.command()
def check(
    rule: Annotated[str, typer.Option(help='A name, or your own as "my_module:my_rule".')],
    quick: Annotated[bool, typer.Option(help="A few random draws, no adversary.")] = False,
) -> None:
    """Verdicts on one rule: what holds, what fails and by which example. Takes less than a minute.

    [bold]Examples[/bold]

    moo-mtl theory check --rule my_module:MyRule

    moo-mtl theory check --rule mgda --quick
    """
    from moo_mtl.theory import writing
    from moo_mtl.theory.laws import LAWS
    from moo_mtl.theory.table import broken, line

    with _bar(rule, len(LAWS)) as advance:
        found = line(rule, thorough=not quick, advance=advance)
    examples = {name: writing.inline(one) for name, one in found.examples.items()}
    rows = [(*row, examples.get(row[0], "")) for row in writing.declared(found)]
    print_table(rule, ("property", "verdict", "tried", "declared", "counter-example: losses; gradients; weights"), rows)
    print(f"degree of homogeneity: {found.degree.words()}")
    for sentence in (*writing.unusable(found), *broken(found)):
        print(sentence, file=sys.stderr)


@theory.command()
def table(
    format: Annotated[Format, typer.Option(help="Markdown or LaTeX on standard output, or a picture.")] = "md",
    out: Annotated[Path, typer.Option(help="Of the picture.")] = Path("theory.png"),
    rules: Annotated[str, typer.Option(help="Names separated by commas; by default all.")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    folder: Annotated[Path, typer.Option(help="Where verdicts are kept, by the sources that gave them.")] = Path("runs/theory"),
) -> None:
    """The table of all rules and properties. Computed once for the same sources; an interrupted table goes on.

    [bold]Examples[/bold]

    moo-mtl theory table --jobs 2

    moo-mtl theory table --format png --out table.png --rules mgda,db-mtl,pcgrad
    """
    from moo_mtl.rules import ZOO
    from moo_mtl.theory import drawing, writing
    from moo_mtl.theory.table import broken, disagreements, lines, recipe_of

    names = [name.strip() for name in rules.split(",")] if rules else sorted(ZOO)
    for name in names:
        recipe_of(name)
    with _bar("rules", len(names)) as advance:
        found = lines(names, folder=folder, jobs=jobs, done=lambda name, kept: advance(f"{name}{' (kept)' if kept else ''}"))
    if format == "png":
        print(drawing.table(found, out))
    else:
        print(writing.markdown(found) if format == "md" else writing.latex(found), end="")
    for one in found:
        for sentence in disagreements(one) if one.rule in ZOO else broken(one):
            print(sentence, file=sys.stderr)


@theory.command()
def equivalences(tasks: Annotated[int, typer.Option(min=2, help="K.")] = 3, out: Out = Path("theory")) -> None:
    """Rules clustered by the angle between their directions: groups that coincide, and a figure.

    [bold]Example[/bold]

    moo-mtl theory equivalences --tasks 2 --out theory
    """
    from moo_mtl.storage import prepare
    from moo_mtl.theory import drawing
    from moo_mtl.theory.equivalence import atlas

    prepare(out)
    found = atlas(tasks)
    rows = [(str(len(group)), ", ".join(group)) for group in found.coincident()]
    print_table(f"same direction on every observation, K = {tasks}", ("rules", ""), rows)
    print(drawing.equivalences(found, out / f"equivalences-{tasks}.png"))


@theory.command()
def landing(out: Out = Path("theory"), rules: Annotated[str, typer.Option(help="Names separated by commas.")] = "") -> None:
    """Where rules land on the front, how long they take, which learning rates they bear; and the ablations of four papers.

    [bold]Example[/bold]

    moo-mtl theory landing --rules mgda,db-mtl,my_module:my_rule --out theory
    """
    from moo_mtl.rules import get
    from moo_mtl.storage import prepare
    from moo_mtl.theory import drawing
    from moo_mtl.theory.ablation import ABLATIONS
    from moo_mtl.theory.landing import SHOWN, ablations, maps
    from moo_mtl.theory.rates import pace

    names = [name.strip() for name in rules.split(",")] if rules else list(SHOWN)
    prepare(out)
    for name in names:
        get(name)
    with _bar("landing", 7 + len(ABLATIONS) + len(names)) as advance:
        print(drawing.landings(maps(names, advance), out / "landing.png"))
        print(drawing.landings(ablations(advance), out / "ablations.png"))
        found = {}
        for name in names:
            found[name] = pace(get(name))
            advance(name)
        print(drawing.paces(found, out / "rates.png"))


@contextmanager
def _bar(label: str, total: int) -> Iterator[Callable[[str], None]]:
    """A bar on a terminal, a line an item elsewhere; the answer is called with the name of what is done."""
    if not sys.stderr.isatty():
        yield lambda name: print(f"{label}: {name}", file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        running = bars.add_task(label, total=total)
        yield lambda name: bars.update(running, advance=1, description=f"{label}: {name}")
