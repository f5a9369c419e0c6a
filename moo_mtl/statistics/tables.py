"""A comparison as Markdown for people and as LaTeX for a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from moo_mtl.results.export import escaped
from moo_mtl.statistics.compare import BASELINE, Comparison, Contender, Place
from moo_mtl.statistics.spread import Spread

ALPHA = 0.05


class Column(NamedTuple):
    """A column of a table of contenders: its heading, a spread or a text for each, and which of the means is best."""

    heading: str
    value: Callable[[Contender], Spread | str]
    best: Callable[[Sequence[float]], float] | None = None


def markdown(comparison: Comparison) -> str:
    """A table for each place, then the tests; the best mean of a column is bold."""
    return "\n".join(line for part in _parts(comparison) for line in [*part, ""])


def latex(comparison: Comparison) -> str:
    r"""The tables of the places; they need ``\usepackage{booktabs}``. The best mean of a column is bold."""
    return "\n".join(_tabular(place) for place in comparison.places)


def columns(place: Place) -> list[Column]:
    """What a table of a place shows."""
    settings = [Column(key, lambda one, key=key: one.settings[key]) for key in place.contenders[0].settings]  # type: ignore[misc]
    metrics = [
        Column(f"{key} {'↑' if way else '↓'}", lambda one, key=key: one.metrics[key], max if way else min)  # type: ignore[misc]
        for key, way in place.higher.items()
    ]
    return [
        Column("rule", lambda one: one.rule),
        *settings,
        Column("seeds", lambda one: str(len(one.seeds))),
        *metrics,
        Column("mean rank ↓", lambda one: Spread(one.rank, None, None, None), min),
        Column("Δm % ↓", lambda one: one.delta_m, min),
        Column("Δp % ↑", lambda one: one.delta_p, max),
        Column("ms per step ↓", lambda one: one.ms, min),
    ]


def _parts(comparison: Comparison) -> Iterator[list[str]]:
    for place in comparison.places:
        yield [f"## {place.name}"]
        table = columns(place)
        heading = [column.heading for column in table]
        lines = _cells(place, table, str, "**{}**".format)
        yield [_row(heading), _row(["---"] * len(heading)), *map(_row, lines)]
        yield list(_notes(place))
    yield ["## Tests"]
    yield list(_tests(comparison))


def _notes(place: Place) -> Iterator[str]:
    tried = sorted({one.tried for one in place.contenders})
    most = f"{tried[0]} to {tried[-1]}" if len(tried) > 1 else str(tried[0])
    yield f"Mean ± standard deviation over seeds, [95 % bootstrap interval of the mean]. Each rule has its own best of {most}"
    yield f"settings: that with the lowest mean {place.tuned_by} over the seeds."
    yield f"Δm (lower is better) and Δp (higher is better) are relative to {place.against}."
    for one in place.contenders:
        if one.incomplete:
            yield f"{one.rule}: {one.incomplete} settings were left out, because a seed of theirs is missing or has failed."
    if place.left_out:
        yield f"Not in Δm and Δp, because {place.against} are at or below 0: {', '.join(place.left_out)}."


def _tests(comparison: Comparison) -> Iterator[str]:
    found = comparison.tests
    if found is None:
        yield "No tests: they need at least two rules, and two seeds that all rules have."
        return
    yield f"On Δm over {found.blocks} blocks, a block being one seed of one problem or data set. Seeds of one data set say how"
    yield "sure its own ranking is; they do not say that another data set would give the same."
    yield ""
    if found.friedman is not None:
        verdict = "the rules differ" if found.friedman < ALPHA else "no difference is shown"
        yield f"Friedman test: p = {found.friedman:.3g}; at {ALPHA:g}, {verdict}."
        yield ""
    smallest = 2.0 ** (1 - found.blocks)
    yield f"Wilcoxon signed-rank tests against `{BASELINE}`, with Holm's correction over all pairs; even without it,"
    yield f"{found.blocks} blocks can show no p below {smallest:.3g}."
    yield ""
    yield _row(["rule", "mean rank over blocks", f"p against {BASELINE}"])
    yield _row(["---"] * 3)
    for rule, rank in sorted(found.ranks.items(), key=lambda item: item[1]):
        p = "-" if rule == BASELINE else f"{found.pairs[rule][BASELINE]:.3g}"
        yield _row([rule, f"{rank:.2f}", p])


def _tabular(place: Place) -> str:
    table = columns(place)
    arrows = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "Δ": r"$\Delta$"}

    def heading(column: Column) -> str:
        text = escaped(column.heading)
        for sign, command in arrows.items():
            text = text.replace(sign, command)
        return text

    def spread(value: Spread) -> str:
        return f"{value.mean:.4g}" if value.sd is None else rf"{value.mean:.4g} $\pm$ {value.sd:.2g}"

    lines = _cells(place, table, spread, r"\textbf{{{}}}".format, escaped)
    body = [" & ".join(line) + r" \\" for line in ([heading(column) for column in table], *lines)]
    layout = "l" + "r" * (len(table) - 1)
    rules = [rf"% {place.name}", rf"\begin{{tabular}}{{{layout}}}", r"\toprule", body[0], r"\midrule", *body[1:]]
    return "\n".join([*rules, r"\bottomrule", r"\end{tabular}", ""])


def _cells(
    place: Place,
    table: Sequence[Column],
    spread: Callable[[Spread], str],
    bold: Callable[[str], str],
    text: Callable[[str], str] = str,
) -> Iterator[list[str]]:
    values = [[column.value(one) for column in table] for one in place.contenders]
    best = [
        column.best([value.mean for value in found if isinstance(value, Spread)]) if column.best else None
        for column, found in zip(table, zip(*values, strict=True), strict=True)
    ]
    for line in values:
        cells = []
        for value, winner in zip(line, best, strict=True):
            if isinstance(value, str):
                cells.append(text(value))
            else:
                cells.append(bold(spread(value)) if value.mean == winner else spread(value))
        yield cells


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
