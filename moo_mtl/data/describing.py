"""Data sets in words: what each is, whether its files are here, what is in it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from moo_mtl import data
from moo_mtl.data.dataset import Dataset, Target
from moo_mtl.data.files import ENVIRONMENT, locate
from moo_mtl.data.graphs import Graphs
from moo_mtl.data.repeats import repeats
from moo_mtl.data.sources import FOLDERS, SOURCES, files_of


class Description(NamedTuple):
    """What can be said of a data set without reading it.

    Attributes:
        name: as in ``data.get``.
        title: one line.
        text: all of it.
        state: of its files: ``"none needed"``, ``"here"``, ``"incomplete"`` or ``"absent"``.
        files: each with ``"here"``, ``"absent"`` or ``"absent, by hand"``.
        advice: what to do about absent ones.
    """

    name: str
    title: str
    text: str
    state: str
    files: list[tuple[str, str]]
    advice: str


class Contents(NamedTuple):
    """What is in a data set.

    Attributes:
        inputs: their shape.
        parts: name, number of examples, and of how many training has the very inputs.
        tasks: name, kind, number of outputs, number of labels, and their mean where that means something.
        cite: where the data come from.
    """

    inputs: str
    parts: list[tuple[str, str, str]]
    tasks: list[tuple[str, str, str, str, str]]
    cite: str


def every(root: Path | None = None) -> Iterator[Description]:
    """All data sets, in the order of ``data.NAMES``."""
    return (described(name, root) for name in data.NAMES)


def described(name: str, root: Path | None = None) -> Description:
    """One data set.

    Raises:
        InputError: there is none of that name.
    """
    text = inspect.getdoc(data.factory(name)) or ""
    given = root if root is not None else os.environ.get(ENVIRONMENT)
    place = Path(given) if given else None
    files = [(file, _state(file, place)) for file in files_of(name)]
    advice = f"`moo-mtl data fetch {name}` says where they come from, and downloads what can be downloaded."
    return Description(
        name, text.partition("\n")[0], text.partition("\nArgs:")[0].strip(), _whole(name, place, files), files, advice
    )


def loaded(name: str, parameters: Mapping[str, Any], root: Path | None = None) -> Contents:
    """What one data set holds; it is read.

    Raises:
        MooMtlError: as ``data.get``.
    """
    takes_root = "root" in inspect.signature(data.factory(name)).parameters
    dataset = data.get(name, **parameters, **({"root": root} if takes_root and root is not None else {}))
    inputs = dataset.examples.inputs
    shape = (
        f"{len(inputs):,} graphs of {inputs.nodes.shape[1]} features a node and {inputs.bonds.shape[1]} an edge"
        if isinstance(inputs, Graphs)
        else " x ".join(f"{size:,}" for size in inputs.shape)
    )
    again = repeats(dataset)
    parts = [
        (part, f"{len(index):,}", f"{again[part]:,} ({again[part] / max(len(index), 1):.1%})" if part in again else "-")
        for part, index in dataset.splits.items()
    ]
    return Contents(shape, parts, [_task(dataset, task) for task in dataset.tasks], dataset.cite)


def _task(dataset: Dataset, task: Target) -> tuple[str, str, str, str, str]:
    target: Tensor = dataset.examples.targets[task.name]
    present = dataset.examples.present
    known = target if present is None else target[present[task.name]]
    kind = f"{task.kind}, every pixel" if task.dense else task.kind
    mean = f"{known.nanmean():.3f}" if task.kind == "binary" else "-"
    return task.name, kind, str(task.n_outputs) if task.reads is None else f"of {task.reads}", f"{len(known):,}", mean


def _state(file: str, place: Path | None) -> str:
    if place is not None and locate(file, place) is not None:
        return "here"
    return "absent" if file in SOURCES else "absent, by hand"


def _whole(name: str, place: Path | None, files: list[tuple[str, str]]) -> str:
    if name not in FOLDERS:
        return "none needed"
    if not files:
        return "here" if place is not None and (place / FOLDERS[name][0]).is_dir() else "absent"
    here = sum(state == "here" for _, state in files)
    return "here" if here == len(files) else "incomplete" if here else "absent"
