"""A table of the user's own: columns of a CSV file become tasks, the others inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from moo_mtl.data.dataset import Dataset, Examples, Target
from moo_mtl.data.fairness import equal_opportunity
from moo_mtl.data.frames import features, indicator
from moo_mtl.data.splitting import split_groups, standardised
from moo_mtl.errors import DataError, InputError, unknown

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 1e150  # of a table's numbers; the squares that standardising needs are finite then


def csv(
    path: str | Path,
    targets: Sequence[str],
    classes: Sequence[str] = (),
    sensitive: str | None = None,
    group: str | None = None,
    ignore: Sequence[str] = (),
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    sha256: str | None = None,
) -> Dataset:
    """A CSV file with a header, a row per example; what is not a target, nor named below, is an input.

    A target of numbers is a regression, standardised by the training part; one of zeros and ones, or of two words, is binary
    (the word that comes second in the alphabet is 1); one of more words has classes. An empty cell is a missing label. Inputs
    are numbers, standardised by the training part, and words, an indicator for each; an empty cell is the training mean, or
    no word at all.

    Args:
        path: of the file; in an experiment file relative to that file.
        targets: columns to predict, each a task.
        classes: targets whose numbers are classes.
        sensitive: a column of two values, no input. Every binary task gets a second objective, equal opportunity for both.
        group: a column that names what several rows come from, such as a patient; no input, and never in two parts.
        ignore: columns that are neither.
        validation: fraction of the rows, or of the groups.
        test: fraction of the rows, or of the groups.
        seed: of the split.
        sha256: of the file; experiment files fill it in, so that a run belongs to one table.

    Raises:
        InputError: a column is unknown or in two roles, a target or the sensitive column has values that do not serve, or the
            fractions leave a part empty.
        DataError: the file cannot be read, or is not the one its checksum promises.
    """
    frame = _frame(Path(path), sha256)
    aside = [*targets, *ignore, *(column for column in (sensitive, group) if column is not None)]
    _check_columns(str(path), frame, targets, classes, aside)
    rows = np.arange(len(frame)) if group is None else frame[group].factorize(use_na_sentinel=False)[0]
    sources = torch.from_numpy(rows.copy())
    splits = split_groups(sources, seed, validation, test)

    columns = [_target(frame[name], name, name in classes, splits["train"]) for name in targets]
    tasks = [target for target, _, _ in columns]
    values = {target.name: labels for target, labels, _ in columns}
    present = {target.name: known for target, _, known in columns}
    whole = all(bool(known.all()) for known in present.values())
    if sensitive is not None:
        for target, pairs in _opportunities(frame[sensitive], tasks, values, whole):
            tasks.append(target)
            values[target.name] = pairs
    examples = Examples(features(frame.drop(columns=aside), splits["train"]), values, None if whole else present)
    return Dataset(Path(path).stem, examples, splits, tuple(tasks), sources[:, None], str(path))


def _frame(path: Path, sha256: str | None) -> pd.DataFrame:
    import pandas as pd

    try:
        if sha256 is not None and (found := hashlib.sha256(path.read_bytes()).hexdigest()) != sha256:
            raise DataError(f"{path}: its SHA-256 is {found}, expected {sha256}; the table is not the one that was meant")
        frame = pd.read_csv(path, skipinitialspace=True, low_memory=False)  # a column has one type throughout
    except (OSError, ValueError) as error:  # ValueError: what pandas raises for a table that it cannot read
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise DataError(f"{path} cannot be read as CSV: {reason}; expected a header and a row per example") from error
    if len(frame) == 0:
        raise DataError(f"{path} has no row; expected a header and a row per example")
    for name, column in frame.select_dtypes("number").items():
        if bool((column.abs() > LARGEST).any()):
            raise DataError(f"{path}: the column {name!r} holds a number beyond {LARGEST:g}, or an infinite one; mend that row")
    return frame


def _check_columns(
    path: str, frame: pd.DataFrame, targets: Sequence[str], classes: Sequence[str], aside: Sequence[str]
) -> None:
    for column in (*aside, *classes):
        if column not in frame.columns:
            raise unknown(f"column of {path}:", column, frame.columns)
    for column in aside:
        if aside.count(column) > 1:
            raise InputError(
                f"csv: the column {column!r} is named twice; a column is a target, sensitive, the group or ignored"
            )
    for column in classes:
        if column not in targets:
            raise unknown("target named in classes:", column, targets)
    if not targets:
        raise InputError("csv: targets is empty; name at least one column to predict")
    if len(aside) == frame.shape[1]:
        raise InputError(f"csv: {path} has no column left for the inputs")


def _target(column: pd.Series[float], name: str, classes: bool, train: Tensor) -> tuple[Target, Tensor, Tensor]:
    """What the task is, its labels (0 where there is none) and where there is one."""
    from pandas.api.types import is_numeric_dtype

    known = torch.from_numpy(column.notna().to_numpy().copy())
    if not bool(known[train].any()):
        raise InputError(f"csv: the target {name!r} has no label in the training part")
    words = sorted(column.dropna().unique().tolist())
    if len(words) < 2:
        raise InputError(f"csv: the target {name!r} has the one value {words[0]!r}; there is nothing to predict")
    if not classes and is_numeric_dtype(column) and words not in ([0, 1], [False, True]):
        numbers = torch.from_numpy(column.to_numpy(dtype="float64", na_value=float("nan")).copy())
        values, scale = standardised(numbers[:, None], train)
        return Target(name, "regression", scale=float(scale)), values[:, 0].contiguous(), known
    codes = torch.from_numpy(column.map({word: place for place, word in enumerate(words)}).fillna(0).to_numpy("int64").copy())
    if len(words) == 2 and not classes:
        return Target(name, "binary"), codes.float(), known
    return Target(name, "classes", len(words)), codes, known


def _opportunities(
    column: pd.Series[str], tasks: Sequence[Target], values: dict[str, Tensor], whole: bool
) -> list[tuple[Target, Tensor]]:
    binary = [task.name for task in tasks if task.kind == "binary"]
    if not binary:
        raise InputError("csv: sensitive needs a binary target; equal opportunity is of those whose label is 1")
    if not whole:
        raise InputError("csv: with sensitive every target needs a label in every row; fill or leave out the rows without")
    words = sorted(column.dropna().unique().tolist())
    if len(words) != 2 or column.isna().any():
        raise InputError(f"csv: the sensitive column {column.name!r} must have two values and no gap, found {words[:5]}")
    return [equal_opportunity(task, values[task], indicator(column, words[1])) for task in binary]
