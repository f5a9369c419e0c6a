"""The values that a sweep is made of: a run that is wanted, a job that computes one or many of them, and how each ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from moo_mtl.config import AnyRun, TrainRun
from moo_mtl.runs import Run


@dataclass(frozen=True)
class Item:
    """A run that is wanted.

    Attributes:
        title: for messages.
        single: what it computes.
        run: its folder.
    """

    title: str
    single: AnyRun
    run: Run


@dataclass(frozen=True)
class Job:
    """What one process computes at a time.

    Attributes:
        items: one run, or the members of a batch in their order.
        batches: the folder of the batch's manifest, checkpoint and lock; ``None`` for a run by itself.
        name: of the batch, from the names of its members; of the run.
    """

    items: tuple[Item, ...]
    batches: Path | None
    name: str

    @property
    def lock(self) -> Path:
        """The file whose lock is held, and whose age is set anew, by the process that computes the job."""
        return self.items[0].run.folder / "lock" if self.batches is None else self.batches / f"{self.name}.lock"

    @property
    def gpus(self) -> int:
        """How many it needs on one machine."""
        single = self.items[0].single
        if not single.device.startswith("cuda"):
            return 0
        return single.processes if isinstance(single, TrainRun) else 1


class End(NamedTuple):
    """How a run ended; ``"open"`` where it has not, because another process is at it."""

    item: Item
    state: Literal["finished", "failed", "open"]
    error: str = ""


def end_of(item: Item) -> End:
    """What the run's folder says.

    Raises:
        DamageError: the folder cannot be trusted.
    """
    state = item.run.state
    if state == "failed":
        return End(item, "failed", str(item.run.status.get("error")))
    return End(item, "finished" if state == "finished" else "open")
