"""Figures of the theory pages, put together from the functions of ``moo_mtl.plotting`` and written to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moo_mtl.theory.equivalence import Atlas
from moo_mtl.theory.landing import Map
from moo_mtl.theory.laws import LAWS
from moo_mtl.theory.rates import Pace
from moo_mtl.theory.table import Line

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _figure(width: float, height: float, **panels: Any) -> Iterator[tuple[Any, Any]]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from moo_mtl.plotting import style

    with mpl.rc_context(style.rc("screen")):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(**panels)


def table(found: Sequence[Line], file: Path) -> Path:
    """The grid of verdicts."""
    from moo_mtl.plotting.theory import verdict_grid

    with _figure(12, 2.2 + 0.19 * len(found)) as (figure, ax):
        marks = [[line.mark(property) for property in LAWS] for line in found]
        verdict_grid(marks, [line.rule for line in found], [property.name for property in LAWS], ax)
        figure.savefig(file)
    return file


def equivalences(atlas: Atlas, file: Path) -> Path:
    """Tree of rules beside the map of angles between them."""
    from moo_mtl.plotting.theory import angle_map, family_tree

    size = 0.155 * len(atlas.rules) + 1.5
    with _figure(1.75 * size, size, ncols=2, width_ratios=(1, 2)) as (figure, (tree, image)):
        family_tree(atlas.linkage, atlas.named, tree)
        angle_map(atlas.angles, atlas.rules, image)
        figure.savefig(file)
    return file


def landings(found: Sequence[Map], file: Path, columns: int = 2) -> Path:
    """A panel a map, one legend for those that share their curves."""
    from moo_mtl.plotting.theory import landing

    lines = -(-len(found) // columns)
    shared = len({tuple(one.places) for one in found}) == 1
    with _figure(11 if shared else 14, 3.1 * lines + (0.6 if shared else 0), nrows=lines, ncols=columns, squeeze=False) as (
        figure,
        panels,
    ):
        for one, ax in zip(found, panels.flat, strict=False):
            landing(one.knob, one.places, ax, log=one.log)
            if one.even is not None:
                ax.plot(one.knob, one.even, color="#999999", linewidth=0.8, zorder=0)
            ax.set(title=one.title, xlabel=one.label, ylabel="place on the front" if one.even is None else "share of task 1")
            if not shared:
                ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
        for ax in list(panels.flat)[len(found) :]:
            ax.set_visible(False)
        if shared:
            figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
        figure.savefig(file)
    return file


def paces(found: Mapping[str, Pace], file: Path) -> Path:
    """Which learning rates arrive, and how many steps they take."""
    from moo_mtl.plotting.style import look
    from moo_mtl.plotting.theory import rate_region

    with _figure(13, 4.2, ncols=2) as (figure, (region, time)):
        rates = next(iter(found.values())).rates
        rate_region(rates, list(found), [pace.share.tolist() for pace in found.values()], region)
        region.set_title("share of the starts that arrive")
        for name, pace in found.items():
            drawn = look(name)
            time.loglog(pace.rates, pace.steps, color=drawn.colour, linestyle=drawn.line, marker=drawn.marker, label=name)
        time.set(title="steps to a hundredth of the first distance", xlabel="learning rate", ylabel="steps (median of starts)")
        time.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
        figure.savefig(file)
    return file
