"""A section of the benchmark page: its tables and what loses, kept as JSON between measuring and writing."""

from __future__ import annotations

import json
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

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Section:
        found = json.loads(file.read_text(encoding="utf-8"))
        tables = [Table(**table) for table in found.pop("tables")]
        return cls(**found, tables=tables)
