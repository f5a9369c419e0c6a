"""The command ``moo-mtl``: its subcommands, and how an error ends it."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, Any

import typer

from moo_mtl import __version__, launch
from moo_mtl.commands.compare import compare
from moo_mtl.commands.data import data
from moo_mtl.commands.doctor import doctor
from moo_mtl.commands.figures import figures
from moo_mtl.commands.front import front
from moo_mtl.commands.list_ import list_
from moo_mtl.commands.report import report
from moo_mtl.commands.results import results
from moo_mtl.commands.run import run
from moo_mtl.commands.show import show
from moo_mtl.commands.sweep import sweep
from moo_mtl.commands.theory import theory
from moo_mtl.errors import InputError, MooMtlError
from moo_mtl.users_code import sentence, users_line

app = typer.Typer(
    name="moo-mtl",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="""Multi-objective optimisation for multi-task learning: gradient balancing as Pareto-stationarity, with certificates.

    [bold]Examples[/bold]

    moo-mtl list rules

    moo-mtl run experiments/toy-demo.toml

    moo-mtl run experiments/toy.toml --set rule=mgda --set problem.scale=1 --out /tmp/runs

    moo-mtl show runs/toy-demo/0123456789abcdef

    moo-mtl front zdt1 --rules stch,epo --preferences 100 --out fronts/zdt1

    moo-mtl report runs/toy-demo
    """,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"moo_mtl {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """What stands before a subcommand."""


def main() -> None:
    """Run the command; an error of the package, or of a user's own code, is one sentence on standard error and exit code 2."""
    before, warnings.showwarning = warnings.showwarning, _Notes()
    try:
        if launch.launched() and sys.argv[1:2] != ["run"]:
            raise InputError("torchrun starts several processes, and only `run` shares its work; start this one alone")
        app(prog_name="moo-mtl")
    except MooMtlError as error:
        print(f"moo-mtl: {error}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        if users_line(error) is None:  # ours, and then its traceback is what a report needs
            raise
        print(f"moo-mtl: {sentence(error)}", file=sys.stderr)
        sys.exit(2)
    finally:
        warnings.showwarning = before


class _Notes:
    """Warnings as a command shows them: the sentence without the line of code, and once, however many runs give it."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def __call__(self, message: Warning | str, *where: Any, **more: Any) -> None:
        if str(message) not in self._shown:
            self._shown.add(str(message))
            print(f"moo-mtl: note: {message}", file=sys.stderr)


app.command("list")(list_)
app.command()(run)
app.command()(sweep)
app.command()(results)
app.command()(compare)
app.command()(show)
app.command()(front)
app.command()(figures)
app.add_typer(theory)
app.command()(report)
app.add_typer(data, name="data")
app.command()(doctor)
