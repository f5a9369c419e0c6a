"""Properties of molecules: QM9 (a sample of 14,862) from fingerprints or graphs, Tox21 from fingerprints."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moo_mtl.data.dataset import Dataset, Examples, Target
from moo_mtl.data.files import read
from moo_mtl.data.graphs import Graphs
from moo_mtl.data.regression import regression
from moo_mtl.data.splitting import split

# The eleven targets of Nash-MTL and its successors, in their order; energies are those of atomisation.
QM9_TASKS = ("mu", "alpha", "homo", "lumo", "r2", "zpve", "u0_atom", "u298_atom", "h298_atom", "g298_atom", "cv")
ELEMENTS = (6, 7, 8, 9)
N_BONDS = 4  # single, double, triple, aromatic
_QM9_CITE = "Ramakrishnan et al., Scientific Data 2014; 11 % sample"
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
    arrays = _qm9(root)
    atoms, hydrogens = arrays["atomic_number"], arrays["num_h"].sum(axis=1, keepdims=True)
    composition = [(atoms == element).sum(axis=1, keepdims=True) for element in ELEMENTS]
    inputs = np.concatenate([hydrogens, *composition, arrays["morgan_count"]], axis=1).astype(np.float64)
    splits = split(len(inputs), seed, validation, test)
    return regression("qm9", torch.from_numpy(inputs), _qm9_targets(arrays), QM9_TASKS, splits, cite=_QM9_CITE)


def qm9_graphs(validation: float = 0.1, test: float = 0.1, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """The same eleven properties and the same split, from the graphs of bonds between heavy atoms.

    An atom has the features element (C, N, O, F), number of hydrogens and charge; a bond is single, double, triple or
    aromatic. Parameters and errors as ``qm9``.
    """
    arrays = _qm9(root)
    splits = split(len(arrays["bond"]), seed, validation, test)
    return regression("qm9-graphs", molecules(arrays), _qm9_targets(arrays), QM9_TASKS, splits, cite=_QM9_CITE)


def molecules(arrays: Mapping[str, NDArray[Any]]) -> Graphs:
    """Graphs from padded arrays: ``atomic_number``, ``num_h`` and ``formal_charge`` ``[N, A]``, ``bond`` ``[N, A, A]``.

    An atomic number of 0 is padding, a bond of 0 is none; every bond is an edge in both directions.
    """
    atoms, bonds = torch.from_numpy(arrays["atomic_number"]).long(), torch.from_numpy(arrays["bond"]).long()
    real = atoms > 0
    charges = [torch.from_numpy(arrays[key]).float()[real] for key in ("num_h", "formal_charge")]
    nodes = torch.stack([(atoms[real] == element).float() for element in ELEMENTS] + charges, dim=1)
    number = torch.cumsum(real.flatten(), dim=0).view_as(real) - 1
    molecule, one, other = bonds.nonzero(as_tuple=True)
    edges = torch.stack([number[molecule, one], number[molecule, other]])
    kinds = torch.nn.functional.one_hot(bonds[molecule, one, other] - 1, N_BONDS).float()
    return Graphs(nodes, edges, kinds, real.nonzero()[:, 0], len(atoms))


def _qm9(root: str | Path | None) -> Mapping[str, NDArray[Any]]:
    return np.load(io.BytesIO(read("qm9_15k/qm9_15k_graphs.npz", root)), allow_pickle=False)


def _qm9_targets(arrays: Mapping[str, NDArray[Any]]) -> Tensor:
    names = arrays["target_names"].tolist()
    columns = [arrays["targets"][:, names.index(task)] * _MILLI_ELECTRON_VOLT.get(task, 1.0) for task in QM9_TASKS]
    return torch.from_numpy(np.stack(columns, axis=1))


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
