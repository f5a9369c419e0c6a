"""Tables with several real-valued targets: SARCOS and Parkinsons."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from moo_mtl.data.dataset import Dataset, Examples, Inputs, Target
from moo_mtl.data.files import read
from moo_mtl.data.graphs import Graphs
from moo_mtl.data.splitting import split, split_groups, standardised


def sarcos(validation: float = 0.1, test: float = 0.2, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """Seven joint torques of a robot arm from 21 positions, velocities and accelerations.

    These are the 4,449 rows that are commonly the test part, split anew: not comparable with published errors.

    Args:
        validation: fraction of the rows.
        test: fraction of the rows.
        seed: of the split.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        InputError: the fractions leave a part empty.
        DataError: the file is absent or damaged.
    """
    from scipy.io import loadmat

    table = torch.from_numpy(loadmat(io.BytesIO(read("sarcos_test/sarcos_inv_test.mat", root)))["sarcos_inv_test"])
    names = [f"torque-{joint}" for joint in range(1, 8)]
    splits = split(len(table), seed, validation, test)
    return regression("sarcos", table[:, :21], table[:, 21:], names, splits, cite="Vijayakumar and Schaal, 2000")


def parkinsons(validation: float = 0.1, test: float = 0.2, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """Motor and total UPDRS scores of 42 patients from age, sex and 16 measures of their voices.

    Whole subjects are split, since about 140 recordings of one patient carry nearly the same score; the day of the recording
    is left out of the inputs. Parameters and errors as ``sarcos``, with fractions of the subjects.
    """
    text = read("parkinsons/parkinsons_updrs.data", root).decode()
    separator = "\t" if "\t" in text.splitlines()[0] else ","
    table = torch.from_numpy(np.loadtxt(io.StringIO(text), delimiter=separator, skiprows=1, comments=None))
    subject, scores = table[:, 0].long(), table[:, 4:6]
    inputs = torch.cat([table[:, 1:3], table[:, 6:]], dim=1)
    splits = split_groups(subject, seed, validation, test)
    cite = "Tsanas et al., IEEE Transactions on Biomedical Engineering 2010"
    return regression("parkinsons", inputs, scores, ("motor-updrs", "total-updrs"), splits, sources=subject[:, None], cite=cite)


def regression(
    name: str,
    inputs: Inputs,
    targets: Tensor,
    tasks: Sequence[str],
    splits: dict[str, Tensor],
    *,
    sources: Tensor | None = None,
    cite: str = "",
) -> Dataset:
    """A data set of numbers to predict: targets, and inputs if they are a table, standardised by the training part.

    Args:
        name: of the data set.
        inputs: ``[N, F]``, where NaN marks a missing value, which becomes the training mean; graphs stay as they are.
        targets: ``[N, K]``; NaN marks a missing label.
        tasks: K names.
        splits: as in ``Dataset``.
        sources: as in ``Dataset``.
        cite: as in ``Dataset``.
    """
    features = inputs if isinstance(inputs, Graphs) else standardised(inputs, splits["train"])[0]
    values, scales = standardised(targets, splits["train"])
    missing = targets.isnan()
    present = {task: ~missing[:, k] for k, task in enumerate(tasks)} if bool(missing.any()) else None
    columns = {task: values[:, k].contiguous() for k, task in enumerate(tasks)}
    specs = tuple(Target(task, "regression", scale=scale) for task, scale in zip(tasks, scales.tolist(), strict=True))
    return Dataset(name, Examples(features, columns, present), splits, specs, sources, cite)
