"""How far runs have come: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress

PLAIN_EVERY = 10.0  # seconds between two lines about one run, or about all, where there is no terminal


class Reporter(Protocol):
    """Where runs report to."""

    def say(self, line: str) -> None:
        """One line that stays."""

    def running(self, count: int) -> None:
        """How many jobs are computed at a time from now on."""

    def follow(self, label: str, total: int, unit: str) -> Callable[[int], None]:
        """Begin the next job; the answer is called with the number of steps done so far."""

    def done(self, line: str, *, failed: bool = False) -> None:
        """A run, which may have needed no computing, is complete."""


@contextmanager
def reporting(runs: int, *, each: bool = True) -> Iterator[Reporter]:
    """A reporter for a number of single runs, on standard error; ``each`` of them has a line, or they are only counted."""
    if not sys.stderr.isatty():
        lines = _Lines(runs, each)
        yield lines
        lines.total()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=each, speed_estimate_period=300) as bars:
        yield _Bars(bars, runs, each)


class _Lines:
    def __init__(self, runs: int, each: bool) -> None:
        self.runs, self.each, self.completed, self.failed = runs, each, 0, 0
        self.began = self.last = time.monotonic()

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def running(self, count: int) -> None:
        pass

    def follow(self, label: str, total: int, unit: str) -> Callable[[int], None]:
        self.last = time.monotonic()
        return lambda step: self._rarely(f"{label}: {unit} {step} of {total}")

    def done(self, line: str, *, failed: bool = False) -> None:
        self.completed, self.failed = self.completed + 1, self.failed + failed
        if self.each:
            self.say(f"[{self.completed}/{self.runs}] {line}")
        else:
            seconds = (time.monotonic() - self.began) / self.completed * (self.runs - self.completed)
            self._rarely(f"{self._counts()}, about {seconds:.0f} s left")

    def total(self) -> None:
        if self.runs and not self.each:
            self.say(self._counts())

    def _counts(self) -> str:
        return f"{self.completed} of {self.runs} runs done" + (f", {self.failed} of them failed" if self.failed else "")

    def _rarely(self, line: str) -> None:
        if time.monotonic() - self.last >= PLAIN_EVERY:
            self.last = time.monotonic()
            self.say(line)


class _Bars:
    def __init__(self, bars: Progress, runs: int, each: bool) -> None:
        self.bars, self.each, self.failed, self.at_work = bars, each, 0, 1
        self.overall = bars.add_task("all", total=runs, unit="runs")
        self.current = bars.add_task("", total=None, unit="", visible=False)

    def say(self, line: str) -> None:
        self.bars.console.print(line, highlight=False, markup=False)

    def running(self, count: int) -> None:
        self.at_work = count
        self._count()

    def follow(self, label: str, total: int, unit: str) -> Callable[[int], None]:
        self.bars.reset(self.current, total=total, description=label, unit=f"{unit}s", visible=True)
        return lambda step: self.bars.update(self.current, completed=step)

    def done(self, line: str, *, failed: bool = False) -> None:
        self.failed += failed
        self.bars.advance(self.overall)
        self._count()
        if self.each:
            self.bars.update(self.current, visible=False)
            self.say(line)

    def _count(self) -> None:
        failed = f", {self.failed} failed" if self.failed else ""
        self.bars.update(self.overall, unit="runs" if self.each else f"runs done, {self.at_work} running{failed}")
