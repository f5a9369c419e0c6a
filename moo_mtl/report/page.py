"""The HTML of a report: everything it needs is inside, and its own policy forbids it to ask the network for anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, NamedTuple

from moo_mtl.errors import InputError
from moo_mtl.report.tables import Table


class Part(NamedTuple):
    """A section of the page.

    Attributes:
        title: name of the experiment.
        notes: sentences on what is shown and what is not.
        figures: as plotly.js takes them.
        tables: of rules and of runs.
        files: name and text of what computes the runs again.
        commands: lines for a shell.
        versions: of what computed them.
    """

    title: str
    notes: Sequence[str]
    figures: Sequence[dict[str, Any]]
    tables: Sequence[Table]
    files: Sequence[tuple[str, str]]
    commands: str
    versions: str


def html(title: str, parts: Sequence[Part], colours: Mapping[str, str], notes: Sequence[str]) -> str:
    """The whole page.

    Args:
        title: of the report.
        parts: its sections.
        colours: of every rule in them, in order; each gets a button that hides it.
        notes: sentences for the top.

    Raises:
        InputError: Plotly is not installed.
    """
    figures = [figure for part in parts for figure in part.figures]
    data = json.dumps({"figures": figures}, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    first = 0
    body = []
    for part in parts:
        body.append(_section(part, first))
        first += len(part.figures)
    return _asset("page.html").format(
        title=escape(title),
        notes="".join(f"<p class='note'>{escape(note)}</p>" for note in notes),
        style=_asset("page.css"),
        filters=_filters(colours),
        body="\n".join(body),
        data=data,
        plotly=_plotly(),
        script=_asset("page.js"),
    )


def _filters(colours: Mapping[str, str]) -> str:
    chips = "".join(
        f'<button class="chip" type="button" aria-pressed="true" data-rule="{escape(rule)}">'
        f'<span class="dot" style="background:{colour}"></span>{escape(rule)}</button>'
        for rule, colour in colours.items()
    )
    return f'{chips}<button class="all" type="button">all</button><button class="none" type="button">none</button>'


def _section(part: Part, first: int) -> str:
    figures = "".join(_figure(figure, first + n) for n, figure in enumerate(part.figures))
    notes = "".join(f"<p class='note'>{escape(note)}</p>" for note in part.notes if note)
    tables = "".join(_table(table) for table in part.tables)
    texts = "".join(
        f"<details{' open' if n == 0 else ''}><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>"
        for n, (name, text) in enumerate(part.files)
    )
    return (
        f"<section><h2>{escape(part.title)}</h2>{notes}<div class='figures'>{figures}</div>{tables}"
        f"<h3>Configuration, and how to compute it again</h3><pre>{escape(part.commands)}</pre>{texts}"
        f"<p class='note'>{escape(part.versions)}</p></section>"
    )


def _figure(figure: dict[str, Any], number: int) -> str:
    options = "".join(f"<option>{escape(part)}</option>" for part in figure.get("parts", []))
    all_ = f"<option value=''{' selected' if figure['together'] else ''}>all</option>" if options else ""
    choice = f"<label>show <select data-figure='{number}'>{options}{all_}</select></label>" if options else ""
    return (
        f"<figure><figcaption><b>{escape(figure['title'])}</b>{choice}</figcaption>"
        f"<div class='plot' id='figure-{number}'></div><p class='note'>{escape(figure['caption'])}</p></figure>"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th scope='col' tabindex='0' aria-sort='none'>{escape(column)}</th>" for column in table["columns"])
    rows = "".join(
        f'<tr data-rule="{escape(line["rule"])}">'
        + "".join(f'<td data-v="{escape("" if key is None else str(key))}">{escape(text)}</td>' for text, key in line["cells"])
        + "</tr>"
        for line in table["lines"]
    )
    left = f"<p class='note'>{table['left_out']:,} more runs are not listed.</p>" if table["left_out"] else ""
    return (
        f"<h3>{escape(table['title'])}</h3><div class='scroll'><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{left}"
    )


@cache
def _asset(name: str) -> str:
    return (files("moo_mtl.report") / name).read_text(encoding="utf-8")


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise InputError('moo-mtl report draws with plotly, which is not installed: pip install "moo_mtl[report]"') from error
    source: str = get_plotlyjs()
    return source.replace("</script", "<\\/script")
