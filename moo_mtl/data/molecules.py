"""Properties of molecules from their fingerprints: QM9 (a sample of 14,862) and Tox21."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch

from moo_mtl.data.dataset import Dataset, Examples, Target
from moo_mtl.data.files import read
from moo_mtl.data.regression import regression
from moo_mtl.data.splitting import split

# The eleven targets of Nash-MTL and its successors, in their order; energies are those of atomisation.
QM9_TASKS = ("mu", "alpha", "homo", "lumo", "r2", "zpve", "u0_atom", "u298_atom", "h298_atom", "g298_atom", "cv")
_MILLI_ELECTRON_VOLT = {"homo": 27211.386, "lumo": 27211.386, "zpve": 27211.386}  # from Hartree
_MILLI_ELECTRON_VOLT |= dict.fromkeys(("u0_atom", "u298_atom", "h298_atom", "g298_atom"), 43.364)  # from kcal/mol


def qm9(validation: float = 0.1, test: float = 0.1, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """Eleven properties of small molecules from counts of atoms and of Morgan environments (2D: no coordinates).

    A uniform sample of QM9 without geometries: the order of rules can be compared with the literature, errors cannot.
    Energies are in meV, as the literature reports them.

    Args:
        validation: fraction of the molecules.
        test: fraction of the molecules.
        seed: of the split.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        InputError: the fractions leave a part empty.
        DataError: the file is absent or damaged.
    """
    arrays = np.load(io.BytesIO(read("qm9_15k/qm9_15k_graphs.npz", root)), allow_pickle=False)
    atoms, hydrogens = arrays["atomic_number"], arrays["num_h"].sum(axis=1, keepdims=True)
    composition = [(atoms == element).sum(axis=1, keepdims=True) for element in (6, 7, 8, 9)]
    inputs = np.concatenate([hydrogens, *composition, arrays["morgan_count"]], axis=1).astype(np.float64)
    names = arrays["target_names"].tolist()
    targets = np.stack(
        [arrays["targets"][:, names.index(task)] * _MILLI_ELECTRON_VOLT.get(task, 1.0) for task in QM9_TASKS], axis=1
    )
    splits = split(len(inputs), seed, validation, test)
    cite = "Ramakrishnan et al., Scientific Data 2014; 11 % sample"
    return regression("qm9", torch.from_numpy(inputs), torch.from_numpy(targets), QM9_TASKS, splits, cite=cite)


def tox21(validation: float = 0.1, test: float = 0.2, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """Twelve toxicity assays of 7,823 compounds from ECFP4 fingerprints; one label in six is missing.

    Parameters and errors as ``qm9``.
    """
    arrays = np.load(io.BytesIO(read("tox21/tox21_ecfp4.npz", root)), allow_pickle=False)
    inputs = torch.from_numpy(np.unpackbits(arrays["fp_packed"], axis=1)).float()
    labels = torch.from_numpy(arrays["labels"].astype(np.float32))
    names = arrays["task_names"].tolist()
    targets = {task: labels[:, k].clamp(min=0).contiguous() for k, task in enumerate(names)}
    present = {task: labels[:, k] >= 0 for k, task in enumerate(names)}
    specs = tuple(Target(task, "binary") for task in names)
    splits = split(len(inputs), seed, validation, test)
    return Dataset(
        "tox21", Examples(inputs, targets, present), splits, specs, cite="Wu et al. (MoleculeNet), Chemical Science 2018"
    )
