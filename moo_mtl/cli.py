"""The command ``moo-mtl``. Heavy imports are inside the commands, so that ``--help`` is instant."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from moo_mtl.errors import InputError, MooMtlError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moo_mtl.config import Experiment
    from moo_mtl.experiment import Record

app = typer.Typer(
    name="moo-mtl",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="""Multi-objective optimisation for multi-task learning: gradient balancing as Pareto-stationarity, with certificates.

    [bold]Examples[/bold]

    moo-mtl list rules

    moo-mtl run experiments/toy-demo.toml

    moo-mtl run experiments/toy.toml --set rule=mgda --set problem.scale=1 --out /tmp/runs

    moo-mtl show runs/toy-demo/0123456789abcdef

    moo-mtl front zdt1 --rules stch,epo --preferences 100 --out fronts/zdt1
    """,
)

Listing = Literal["rules", "problems", "data", "models", "experiments"]


def main() -> None:
    """Run the command; an error of the package is one sentence on standard error and exit code 2."""
    try:
        app()
    except MooMtlError as error:
        print(f"moo-mtl: {error}", file=sys.stderr)
        sys.exit(2)


@app.command("list")
def list_(what: Annotated[Listing | None, typer.Argument(help="Leave out to list everything.")] = None) -> None:
    """List rules, problems, data sets, models and experiment files.

    Names work in every experiment file; so do your own, as "my_module:my_rule".
    """
    from moo_mtl import listing

    for section in [what] if what else listing.SECTIONS:
        lines = list(listing.SECTIONS[section]())
        described = any(description for _, description in lines)
        _print_table(
            section, ("name", "source") if described else ("name",), lines if described else [line[:1] for line in lines]
        )


@app.command()
def run(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Experiment files (TOML).")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as problem.scale=1.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("runs"),
    device: Annotated[str | None, typer.Option(help='As in torch: "cpu", "cuda", "cuda:1".')] = None,
    dtype: Annotated[str | None, typer.Option(help='"float32", "float64"; "bfloat16" for training.')] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Only operations that repeat to the last bit.")
    ] = False,
    data_root: Annotated[Path | None, typer.Option(help="Folder of the data files; default: $MOO_MTL_DATA.")] = None,
) -> None:
    """Run experiments, or find what has been run already, and draw their figures.

    All files are checked before the first starts. A run that was interrupted, however rudely, goes on from its last checkpoint.

    [bold]Examples[/bold]

    moo-mtl run experiments/toy-demo.toml experiments/multi-digits.toml

    moo-mtl run experiments/toy.toml --set rule='["mgda", "my_module:my_rule"]' --set steps=1000
    """
    if data_root is not None:
        os.environ["MOO_MTL_DATA"] = str(data_root)
    from moo_mtl import config, experiment, progress, runs

    overrides = [f"{key}={json.dumps(value)}" for key, value in (("device", device), ("dtype", dtype)) if value is not None]
    overrides += ["deterministic=true"] * deterministic
    experiments = [config.read(file, [*(settings or []), *overrides]) for file in files]
    names = [one.name for one in experiments]
    for file, name in zip(files, names, strict=True):
        if names.count(name) > 1:
            raise InputError(f"{file}: two of the files are called {name}, which names the folder of their runs; rename one")
        runs.prepare(out / name)
    for one in experiments:
        experiment.check(one, out)

    try:
        with progress.reporting(sum(len(one.singles) for one in experiments)) as reporter:
            outcomes = [(one, experiment.compute(one, out, reporter)) for one in experiments]
    except KeyboardInterrupt:
        print(
            f"Stopped. What is finished is kept in {out}; the same command goes on from the last checkpoint.", file=sys.stderr
        )
        raise typer.Exit(130) from None
    for one, outcome in outcomes:
        if outcome.records:
            _print_summary(one, outcome.records)
            for figure in experiment.draw(one, outcome.records, out):
                print(figure)
    failures = [failure for _, outcome in outcomes for failure in outcome.failures]
    for failure in failures:
        print(f"moo-mtl: {failure}", file=sys.stderr)
    if failures:
        raise typer.Exit(2)


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, runs/<experiment>/<hash>.")],
) -> None:
    """Show one run: its configuration, how far it has come, its numbers and its files."""
    from moo_mtl import runs

    one = runs.read(folder)
    _print_table("configuration", ("key", "value"), ((key, str(value)) for key, value in one.config.items()))
    _print_table("status", ("key", "value"), ((key, str(value)) for key, value in one.status.items() if key != "files"))
    if one.state == "finished":
        _print_table("metrics", ("name", "value"), _flat(one.metrics))
    _print_table("files", ("name", "bytes"), ((file.name, f"{file.stat().st_size:,}") for file in sorted(folder.iterdir())))


@app.command()
def front(
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help='As in "moo-mtl list problems".')],
    names: Annotated[str, typer.Option("--rules", help="Names separated by commas.")] = "linear,tchebycheff,pbi",
    preferences: Annotated[int, typer.Option(help="How many, spread evenly over the simplex.")] = 100,
    steps: Annotated[int, typer.Option(help="Of each rule.")] = 1000,
    lr: Annotated[float, typer.Option(help="Adam's, in shares of the box; it falls to 0 along a cosine.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Of starts and rules.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As problem.n_dim=10 or stch.mu=0.01.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for figure and tables; default: fronts/PROBLEM.")] = None,
) -> None:
    """Trace a front per rule, a point for each preference, and certify every point.

    Writes front.pdf and front.png, indicators.csv, and for each rule its points with certificates as CSV and NumPy's npz.

    [bold]Examples[/bold]

    moo-mtl front zdt1 --preferences 100 --out fronts/zdt1

    moo-mtl front dtlz2 --rules pbi,modified-tchebycheff --preferences 300 --set problem.n_tasks=3 --set pbi.theta=2
    """
    from moo_mtl import front_report

    found = front_report.report(
        problem,
        [name.strip() for name in names.split(",")],
        preferences=preferences,
        steps=steps,
        lr=lr,
        seed=seed,
        settings=settings or [],
        out=out or Path("fronts") / problem.replace(":", "-"),
        advance=lambda name: print(f"{problem}: {name}", file=sys.stderr),
    )
    _print_table(problem, found.columns, found.rows)
    for file in found.files:
        print(file)


def _print_summary(experiment: Experiment, records: list[Record]) -> None:
    from moo_mtl import summary

    rows = summary.rows(records)
    columns = list(dict.fromkeys(key for row in rows for key in row.cells))
    lines = ((row.label, str(row.seeds), *(str(row.cells.get(key, "-")) for key in columns)) for row in rows)
    _print_table(experiment.title or experiment.name, ("rule", "seeds", *columns), lines)


def _flat(metrics: dict[str, object], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in metrics.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}, ")
        else:
            yield f"{prefix}{key}", str(value)


def _print_table(title: str, header: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> None:
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
