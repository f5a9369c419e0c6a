"""``moo-mtl front``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from moo_mtl.commands.tables import print_table


def front(
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help='As in "moo-mtl list problems".')],
    names: Annotated[str, typer.Option("--rules", help="Names separated by commas.")] = "linear,tchebycheff,pbi",
    preferences: Annotated[int, typer.Option(help="How many, spread evenly over the simplex.")] = 100,
    steps: Annotated[int, typer.Option(help="Of each rule.")] = 1000,
    lr: Annotated[float, typer.Option(help="Adam's, in shares of the box; it falls to 0 along a cosine.")] = 0.05,
    hybrid: Annotated[
        int,
        typer.Option(metavar="EVALUATIONS", help="Also gradients and evolution in turn, with so many; 50000 is usual."),
    ] = 0,
    reference: Annotated[
        str, typer.Option(metavar="ALGORITHM", help="Compare with the front that pymoo's nsga2, nsga3, ... finds.")
    ] = "",
    venue: Annotated[
        str, typer.Option(help="Whose widths and fonts: neurips, iclr, icml, jmlr, ieee, acm, screen.")
    ] = "screen",
    seed: Annotated[int, typer.Option(help="Of starts and rules.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As problem.n_dim=10 or stch.mu=0.01.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for figure and tables; default: fronts/PROBLEM.")] = None,
) -> None:
    """Trace a front per rule, a point for each preference, and certify every point.

    With --hybrid a front more, for problems with local fronts, holes or variables that gradients do not move.
    What is known of the front is drawn behind the points and measured against: its closed form or a published file, or
    with --reference what an evolutionary algorithm finds (500 generations of 200; kept on disk).
    Writes front.pdf and front.png, indicators.csv, and for each rule its points with certificates as CSV and NumPy's npz.

    [bold]Examples[/bold]

    moo-mtl front zdt1 --preferences 100 --out fronts/zdt1

    moo-mtl front zdt4 --rules "" --hybrid 50000

    moo-mtl front my_problem:two_losses --set problem.n_tasks=2 --set problem.n_dim=4 --set "problem.bounds=[-1.0, 1.0]"
    --rules tchebycheff,epo --reference nsga2 --venue neurips

    moo-mtl front dtlz2 --rules pbi,modified-tchebycheff --preferences 300 --set problem.n_tasks=3 --set pbi.theta=2
    """
    from moo_mtl import front_report

    found = front_report.report(
        problem,
        [name.strip() for name in names.split(",") if name.strip()],
        preferences=preferences,
        steps=steps,
        lr=lr,
        seed=seed,
        settings=settings or [],
        hybrid=hybrid,
        algorithm=reference or None,
        venue=venue,
        out=out or Path("fronts") / problem.replace(":", "-"),
        advance=lambda name: print(f"{problem}: {name}", file=sys.stderr),
    )
    print_table(problem, found.columns, found.rows)
    for file in found.files:
        print(file)
