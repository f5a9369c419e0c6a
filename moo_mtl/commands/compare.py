"""``moo-mtl compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moo_mtl.errors import InputError

if TYPE_CHECKING:
    from moo_mtl.statistics import Comparison


def compare(
    folder: Annotated[Path, typer.Argument(metavar="RESULTS", help="Folder of an experiment's runs, or of many.")],
    metric: Annotated[list[str] | None, typer.Option(help="Compare this alone; may be given several times.")] = None,
    tune: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="What chooses each rule's settings, lower is better.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; default: RESULTS/comparison.")] = None,
) -> None:
    """Compare rules, each with its own settings, chosen on validation data and never on the test part.

    Mean, standard deviation and bootstrap interval over seeds, mean rank, Delta_m and Delta_p, Friedman's test, paired Wilcoxon
    tests with Holm's correction, and the time of a step. Equal weights must be among the rules. Writes comparison.md,
    comparison.tex and the critical-difference diagram as PDF and PNG.

    Analytic problems have no validation data: settings are chosen there by the upper bound of the certificate.

    [bold]Examples[/bold]

    moo-mtl compare runs/digits

    moo-mtl compare runs --metric hypervolume --out tables
    """
    from moo_mtl import statistics, storage
    from moo_mtl.statistics import tables

    if not folder.is_dir():
        raise InputError(f"there is no folder {folder} with runs; give the one of an experiment, as in runs/digits")
    comparison = statistics.compare(statistics.gather(folder, metric or (), tune))
    text, place = tables.markdown(comparison), out or folder / "comparison"
    print(text)
    written = [(place / "comparison.md", text), (place / "comparison.tex", tables.latex(comparison))]
    for file, content in written:
        storage.save(file, lambda part, content=content: part.write_text(content, encoding="utf-8"))  # type: ignore[misc]
        print(file)
    for file in _draw(comparison, place):
        print(file)


def _draw(comparison: Comparison, folder: Path) -> list[Path]:
    """The critical-difference diagram, where there were tests."""
    if comparison.tests is None:
        return []
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from moo_mtl import plotting, storage

    ranks = comparison.tests.ranks
    width, _ = plotting.style.size()
    files = [folder / f"critical-differences.{suffix}" for suffix in ("pdf", "png")]
    with mpl.rc_context(plotting.style.rc()):
        figure = Figure(figsize=(1.25 * width, 1.0 + 0.16 * len(ranks)))
        plotting.critical_differences(ranks, comparison.tests.pairs, figure.add_subplot())
        for file in files:
            storage.save(file, lambda part, file=file: figure.savefig(part, format=file.suffix[1:]))  # type: ignore[misc]
    return files
