"""The page of all benchmarks: what loses first, then who took part, then every section."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers import PEERS, state
from benchmarks.section import Section, Table

SHOWN = 12  # losses of a section that are spelled out


def write(file: Path, sections: Mapping[str, Section], missing: list[str]) -> None:
    """The page in Markdown."""
    parts = [
        "# Benchmarks\n\n    make bench            # about 25 minutes on one core\n    make bench QUICK=1    # about 5",
        _method(),
        _losses(sections),
        "## Who took part\n\n" + _peers().markdown(),
        *(_section(name, section) for name, section in sections.items()),
    ]
    if missing:
        parts.append(f"## Not measured\n\nThese sections have no measurement: {', '.join(missing)}.")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _method() -> str:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return (
        f"Measured on {machine}, torch {importlib.metadata.version('torch')}, one thread. "
        "No accelerator was at hand: nothing here was run on one.\n\n"
        "Contenders take turns (A B C, A B C, ...) after a warm-up. A ratio is the median over rounds of the ratio within a "
        "round, with the 90 % bootstrap interval of that median in brackets: what slows the machine slows both. Absolute times "
        "wander by half between runs; ratios are what to trust. Sections marked *quick* have fewer sizes and rounds."
    )


def _losses(sections: Mapping[str, Section]) -> str:
    lines = []
    for section in sections.values():
        lines += [f"- {section.title}: {loss}" for loss in section.losses[:SHOWN]]
        if len(section.losses) > SHOWN:
            lines.append(f"- {section.title}: and {len(section.losses) - SHOWN} more, in its tables.")
    return "## What loses\n\n" + ("\n".join(lines) if lines else "Nothing that was measured.")


def _peers() -> Table:
    table = Table(["package", "version", "as released"])
    for name in PEERS:
        version, says = state(name)
        table.rows.append([name, version, says.replace("|", "\\|")])
    return table


def _section(module: str, section: Section) -> str:
    parts = [
        f"## {section.title}",
        f"    python -m benchmarks.{module}{' --quick' if section.quick else ''}",
        f"{section.about} ({section.seconds:.0f} s{', *quick*' if section.quick else ''})",
    ]
    parts += [f"![{name}]({name})" for name in section.figures]
    return "\n\n".join([*parts, *(table.markdown() for table in section.tables)])
