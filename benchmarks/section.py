"""A section of the benchmark page: its tables and what loses, kept as JSON between measuring and writing."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Table:
    """Rows of text under a header."""

    header: list[str]
    rows: list[list[str]] = field(default_factory=list)
    caption: str = ""

    def markdown(self) -> str:
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{self.caption}\n\n{table}" if self.caption else table


@dataclass
class Section:
    """What one module of ``benchmarks`` measured."""

    title: str
    about: str  # how it was measured, and in which units
    tables: list[Table] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)  # a sentence for each comparison that a peer wins
    figures: list[str] = field(default_factory=list)  # file names beside the page
    seconds: float = 0.0
    quick: bool = False  # with fewer sizes and rounds

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Section:
        found = json.loads(file.read_text(encoding="utf-8"))
        tables = [Table(**table) for table in found.pop("tables")]
        return cls(**found, tables=tables)


def run(measure: Callable[[bool], Section], about: str | None) -> None:
    """The command line of a module: measure, print, and keep the section where ``--save`` says."""
    parser = argparse.ArgumentParser(description=(about or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer sizes, fewer rounds")
    parser.add_argument("--save", type=Path, help="JSON file for `python -m benchmarks`")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    section = measure(arguments.quick)
    section.seconds, section.quick = time.perf_counter() - begin, arguments.quick
    if arguments.save is not None:
        section.save(arguments.save)
    print("\n\n".join([section.about, *section.losses, *(table.markdown() for table in section.tables)]))
