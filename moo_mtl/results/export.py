"""An answer as text or as a file: CSV, Parquet, a LaTeX table in the style of booktabs."""

from __future__ import annotations

import csv
import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from moo_mtl import storage
from moo_mtl.errors import InputError
from moo_mtl.results.query import Answer


def as_csv(answer: Answer) -> str:
    """Comma-separated values with a header; numbers to their last bit, nothing where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows(answer.rows)
    return text.getvalue()


def as_tex(answer: Answer) -> str:
    """A LaTeX ``tabular``; it needs ``\\usepackage{booktabs}``. Numbers have four significant digits."""
    numeric = [
        all(isinstance(row[place], (int, float, type(None))) for row in answer.rows) for place in range(len(answer.columns))
    ]
    layout = "".join("r" if right else "l" for right in numeric)
    lines = [" & ".join(map(escaped, line)) + r" \\" for line in (answer.columns, *(map(shown, row) for row in answer.rows))]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{layout}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def write_parquet(answer: Answer, file: Path) -> None:
    """Write a Parquet file.

    Raises:
        InputError: pyarrow, the extra [parquet], is not installed.
        RunError: the file cannot be written.
    """
    import pandas as pd

    table = pd.DataFrame(answer.rows, columns=list(answer.columns))
    if find_spec("pyarrow") is None:
        raise InputError("--format parquet needs pyarrow; pip install 'moo_mtl[parquet]'")
    storage.save(file, lambda part: table.to_parquet(part))


def shown(value: Any) -> str:
    """A value as a table shows it."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def escaped(text: str) -> str:
    """Text with LaTeX's special characters made harmless."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)
