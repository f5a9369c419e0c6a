"""What an experiment asks for, and what of it is there already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from moo_mtl import runs
from moo_mtl.config import AnyRun, Experiment
from moo_mtl.errors import DamageError
from moo_mtl.kinds import single_run
from moo_mtl.sweeps.job import End, Item, end_of


@dataclass(frozen=True)
class Survey:
    """The runs of an experiment.

    Attributes:
        folder: of the experiment, which holds the run folders.
        items: all of them, in the order of the file.
        found: how those ended that need no computing: finished, failed before, or damaged.
        wanted: those to compute.
    """

    folder: Path
    items: tuple[Item, ...]
    found: tuple[End, ...]
    wanted: tuple[Item, ...]

    def check(self) -> None:
        """Hold every run that is to be computed against what it names.

        Raises:
            MooMtlError: the first thing that is wrong.
        """
        kinds: dict[str, AnyRun] = {}
        for item in self.wanted:
            same = {"seed": None} if isinstance(item.single.lr, str) else {"seed": None, "lr": None}
            kinds.setdefault(str({**item.single.resolved(), **same}), item.single)
        for single in kinds.values():
            single_run.kind(single).check(single)


def survey(experiment: Experiment, root: Path, *, retry: bool) -> Survey:
    """Look at the folder of every run that the experiment asks for.

    Args:
        experiment: asks for runs.
        root: the runs folder.
        retry: compute those again that failed.
    """
    items, found, wanted = [], [], []
    for single in experiment.singles:
        run = runs.locate(root, experiment.name, single.resolved())
        item = Item(f"{experiment.name}: {experiment.label(single)}, seed {single.seed}", single, run)
        items.append(item)
        try:
            end = end_of(item)
        except DamageError as error:
            end = End(item, "failed", str(error))
            found.append(end)
            continue
        if end.state == "finished" or (end.state == "failed" and not retry):
            found.append(end)
        else:
            wanted.append(item)
    return Survey(root / experiment.name, tuple(items), tuple(found), tuple(wanted))
