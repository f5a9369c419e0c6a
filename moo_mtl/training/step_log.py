"""A line of JSON for every n-th step: what the rule saw, and what it answered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from moo_mtl.errors import InputError, RunError
from moo_mtl.training.report import StepReport


class StepLog:
    """Steps in ``steps.jsonl`` of a folder, and with ``tensorboard`` in event files beside it.

    A line holds ``step``, ``epoch``, ``lr`` and by task ``losses``, ``weights``, ``norms`` of the shared gradients; ``cosines``
    by pair of tasks; ``certificate``, the bounds (lower, upper) of this batch's gradients. A killed run drops the lines
    written after its last checkpoint and writes them again.

    Args:
        folder: where to write; created if need be.
        every: so many steps.
        tasks: their names.
        tensorboard: whether to write event files as well.

    Raises:
        InputError: tensorboard is not installed.
        RunError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, every: int, tasks: Sequence[str], tensorboard: bool = False) -> None:
        self.folder, self.every, self.tasks, self.tensorboard = folder, every, tasks, tensorboard
        self._lines: IO[str] | None = None
        self._events: Any = None

    @contextmanager
    def after(self, step: int) -> Iterator[None]:
        """Keep the log while steps after ``step`` are taken; what an earlier attempt wrote of these is dropped."""
        self._open(step)
        try:
            yield
        finally:
            for stream in (self._lines, self._events):
                if stream is not None:
                    stream.close()
            self._lines = self._events = None

    def write(self, step: int, epoch: int, lr: float, report: StepReport) -> None:
        """Log one step if it is due."""
        if self._lines is None or step % self.every:
            return
        line = {"step": step, "epoch": epoch, "lr": lr, **_numbers(report, self.tasks)}
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        if self._events is not None:
            for group, values in line.items():
                for name, value in (values if isinstance(values, dict) else {}).items():
                    if value is not None:
                        self._events.add_scalar(f"{group}/{name}", value, step)

    def _open(self, step: int) -> None:
        file = self.folder / "steps.jsonl"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            kept = [line for line in _whole_lines(file) if json.loads(line)["step"] <= step]
            part = file.with_name(".part-steps.jsonl")
            part.write_text("".join(kept), encoding="utf-8")
            part.replace(file)
            self._lines = file.open("a", encoding="utf-8")
        except OSError as error:
            raise RunError(f"cannot write the log {file}: {error.strerror}; choose another folder") from error
        if self.tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise InputError("tensorboard is not installed; pip install moo_mtl[tensorboard], or leave it out") from error
            self._events = SummaryWriter(str(self.folder / "tensorboard"), purge_step=step + 1)


def _numbers(report: StepReport, tasks: Sequence[str]) -> dict[str, Any]:
    found = {"losses": report.losses, "weights": report.weights, "norms": report.norms}
    line: dict[str, Any] = {
        group: dict(zip(tasks, _plain(values), strict=True)) for group, values in found.items() if values is not None
    }
    if report.cosines is not None:
        pairs = [(i, j) for i in range(len(tasks)) for j in range(i + 1, len(tasks))]
        values = _plain(report.cosines)
        line["cosines"] = {f"{tasks[i]}, {tasks[j]}": values[i][j] for i, j in pairs}
    if report.certificate is not None:
        line["certificate"] = {"lower": _plain(report.certificate.lower), "upper": _plain(report.certificate.upper)}
    return line | {"finite": bool(report.finite)}


def _plain(values: Tensor) -> Any:
    """Numbers as JSON has them; it has no NaN, so that is null."""
    values = values.detach().double().cpu()
    if values.dim():
        return [_plain(value) for value in values]
    return float(values) if bool(torch.isfinite(values)) else None


def _whole_lines(file: Path) -> list[str]:
    """Without the last where a kill cut it short."""
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]
