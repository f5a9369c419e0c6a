"""How far an experiment has come: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress

PLAIN_EVERY = 10.0  # seconds between two lines about one run where there is no terminal


class Reporter(Protocol):
    """Where an experiment reports to."""

    def say(self, line: str) -> None:
        """One line that stays."""

    def follow(self, label: str, total: int, unit: str) -> Callable[[int], None]:
        """Begin the next single run; the answer is called with the number of steps done so far."""

    def done(self, line: str) -> None:
        """The run begun last, or one that needed no computing, is complete."""


@contextmanager
def reporting(runs: int) -> Iterator[Reporter]:
    """A reporter for a number of single runs, on standard error."""
    if not sys.stderr.isatty():
        yield _Lines(runs)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars, runs)


class _Lines:
    def __init__(self, runs: int) -> None:
        self.runs, self.completed = runs, 0

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def follow(self, label: str, total: int, unit: str) -> Callable[[int], None]:
        last = time.monotonic()

        def advance(step: int) -> None:
            nonlocal last
            if time.monotonic() - last >= PLAIN_EVERY:
                last = time.monotonic()
                self.say(f"{label}: {unit} {step} of {total}")

        return advance

    def done(self, line: str) -> None:
        self.completed += 1
        self.say(f"[{self.completed}/{self.runs}] {line}")


class _Bars:
    def __init__(self, bars: Progress, runs: int) -> None:
        self.bars = bars
        self.overall = bars.add_task("all", total=runs, unit="runs")
        self.current = bars.add_task("", total=None, unit="", visible=False)

    def say(self, line: str) -> None:
        self.bars.console.print(line, highlight=False, markup=False)

    def follow(self, label: str, total: int, unit: str) -> Callable[[int], None]:
        self.bars.reset(self.current, total=total, description=label, unit=f"{unit}s", visible=True)
        return lambda step: self.bars.update(self.current, completed=step)

    def done(self, line: str) -> None:
        self.bars.update(self.current, visible=False)
        self.bars.advance(self.overall)
        self.say(line)
