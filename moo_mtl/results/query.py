"""Questions to the database: a condition in SQL, and the metrics wanted beside it. Nothing can be changed by asking."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from moo_mtl.errors import InputError, RunError, unknown
from moo_mtl.results.database import Database
from moo_mtl.results.row import COLUMNS, KEYS

if TYPE_CHECKING:
    import pandas as pd

_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}
_ALWAYS = ("experiment", "hash", "state", "rule")


class Answer(NamedTuple):
    """Names of columns, and a row of values for each run."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def ask(root: Path, where: str = "", metrics: Sequence[str] = (), *, every_column: bool = False) -> Answer:
    """The runs of a folder that meet a condition, in the order in which they were entered.

    Args:
        root: the runs folder.
        where: a condition in SQLite's language on the columns (the keys of an experiment file, and ``experiment``, ``state``,
            ``seconds``, ...) and on the metrics asked for; parameters are ``config ->> '$.rule.beta'``.
        metrics: names of numbers, as in ``metrics.json``, with the names of groups before them: ``test left/accuracy``.
        every_column: also those whose values are all alike.

    Raises:
        InputError: the condition is not one, or no run has such a metric.
        RunError: there is no runs folder, or its database can be neither read nor made.
    """
    if not root.is_dir():
        raise RunError(f"there is no folder {root} with runs; name the one given to moo-mtl run --out")
    database = Database(root)
    database.refresh()
    with database.reading() as connection:
        for metric in metrics:
            _require_metric(connection, metric)
        connection.set_authorizer(_only_read)
        rows = _select(connection, where, metrics)
    columns = (*COLUMNS, *metrics)
    if every_column or not rows:
        return Answer(columns, rows)
    differing = [place for place, column in enumerate(columns) if _worth_showing(column, place, rows, metrics)]
    return Answer(tuple(columns[place] for place in differing), [tuple(row[place] for place in differing) for row in rows])


def frame(root: str | Path = "runs", where: str = "", metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """The answer of ``ask`` as a pandas DataFrame with every column; ``metrics=None`` gives all metrics that some run has.

    Raises:
        InputError: as in ``ask``.
        RunError: as in ``ask``.
    """
    import pandas as pd

    answer = ask(Path(root), where, names(Path(root)) if metrics is None else metrics, every_column=True)
    return pd.DataFrame(answer.rows, columns=list(answer.columns))


def names(root: Path) -> list[str]:
    """The metrics that some run of the folder has.

    Raises:
        RunError: as in ``ask``.
    """
    database = Database(root)
    database.refresh()
    with database.reading() as connection:
        return _names(connection)


def _names(connection: sqlite3.Connection) -> list[str]:
    # Skips from name to name in the index instead of reading all numbers.
    following = (
        "WITH RECURSIVE n(x) AS "
        "(SELECT min(name) FROM metrics UNION SELECT (SELECT min(name) FROM metrics WHERE name > x) FROM n)"
    )
    return [name for (name,) in connection.execute(f"{following} SELECT x FROM n WHERE x IS NOT NULL")]


def _require_metric(connection: sqlite3.Connection, name: str) -> None:
    if connection.execute("SELECT 1 FROM metrics WHERE name = ? LIMIT 1", (name,)).fetchone() is None:
        raise unknown("metric", name, _names(connection))


def _select(connection: sqlite3.Connection, where: str, metrics: Sequence[str]) -> list[tuple[Any, ...]]:
    values = "".join(f", m{place}.value AS {_quoted(name)}" for place, name in enumerate(metrics))
    joins = "".join(
        f" LEFT JOIN metrics m{place} ON m{place}.name = ? AND m{place}.run = runs.id" for place in range(len(metrics))
    )
    table = f"SELECT runs.*{values} FROM runs{joins}"
    wanted = ", ".join(_quoted(name) for name in (*COLUMNS, *metrics))
    condition = f" WHERE (\n{where}\n)" if where.strip() else ""
    try:
        return connection.execute(f"SELECT {wanted} FROM ({table}){condition} ORDER BY id", tuple(metrics)).fetchall()
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _sentence(where, str(error).partition("\n")[0], [*COLUMNS, *metrics]) from error


def _sentence(where: str, error: str, columns: Sequence[str]) -> InputError:
    """SQLite's complaint as ours."""
    if "not authorized" in error or "prohibited" in error or "one statement" in error:
        return InputError(
            f"--where {where!r} is not a condition on columns alone; expected one such as \"rule = 'mgda' AND lr < 0.1\""
        )
    absent = error.removeprefix("no such column: ")
    if absent != error:
        near = get_close_matches(absent, columns, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        others = ", ".join(column for column in COLUMNS if column not in KEYS)
        return InputError(
            f"--where {where!r}: there is no column {absent}; {hint}Columns are the keys of an experiment file, {others}, and "
            "each --metric; text stands in single quotes"
        )
    return InputError(f"--where {where!r}: {error}; expected a condition such as \"rule = 'mgda' AND lr < 0.1\"")


def _only_read(action: int, first: str | None, second: str | None, database: str | None, trigger: str | None) -> int:
    allowed = action in _ALLOWED and second != "load_extension"
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _worth_showing(column: str, place: int, rows: Sequence[tuple[Any, ...]], metrics: Sequence[str]) -> bool:
    if column in ("config", "sources", "batch", "batch_runs"):
        return False
    return column in (*_ALWAYS, *metrics, "seconds") or any(row[place] != rows[0][place] for row in rows)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
