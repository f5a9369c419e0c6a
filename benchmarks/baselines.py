"""Linear baselines on the data sets as their loaders give them: ``python -m benchmarks.baselines``.

They stand beside figures of readers that were written apart from this package, with the same baselines.
A loader that reads a wrong column, scales by the wrong part or loses rows shows here. The other figures are of one random split
each; ours are means over three seeds of the split, with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from moo_mtl import data
from moo_mtl.data import Dataset, Examples
from moo_mtl.data.splitting import split

Array = NDArray[np.float64]


class Baseline(NamedTuple):
    """One line of the table: what is measured, the figure from elsewhere, and ours at a seed of the split."""

    name: str
    measure: str
    elsewhere: float
    ours: Callable[[int], float]


def relative_error(dataset: Dataset, task: str | None = None) -> float:
    """Ridge regression: root of squared error over variance on the test part; of one task, or the mean over all."""
    names = [target.name for target in dataset.tasks] if task is None else [task]
    train, test = _both(dataset)
    targets = [_stacked(part, names) for part in (train, test)]
    guess = Ridge(1).fit(_inputs(train), targets[0]).predict(_inputs(test))
    errors = np.square(guess.reshape(targets[1].shape) - targets[1]).sum(0) / np.square(targets[1] - targets[1].mean(0)).sum(0)
    return float(np.sqrt(errors).mean())


def accuracy(dataset: Dataset, task: str) -> float:
    """Logistic regression: share of the test part that is right."""
    train, test = _both(dataset)
    fitted = _logistic().fit(_inputs(train), _stacked(train, [task])[:, 0])
    return float(fitted.score(_inputs(test), _stacked(test, [task])[:, 0]))


def mean_auc(dataset: Dataset) -> float:
    """Logistic regression for each task on its labelled examples: area under the curve on the test part, averaged."""
    train, test = _both(dataset)
    areas = []
    for target in dataset.tasks:
        (x, y), (z, truth) = (_labelled(part, target.name) for part in (train, test))
        areas.append(roc_auc_score(truth, _logistic().fit(x, y).predict_proba(z)[:, 1]))
    return float(np.mean(areas))


def pooled_auc(dataset: Dataset) -> float:
    """One logistic regression for all tasks: area under each task's curve on the test part, averaged."""
    train, test = _both(dataset)
    fitted = _logistic().fit(_inputs(train), _only(train))
    shares = [_labelled(test, target.name) for target in dataset.tasks]
    return float(np.mean([roc_auc_score(truth, fitted.predict_proba(z)[:, 1]) for z, truth in shares]))


def pooled_variance_explained(dataset: Dataset) -> float:
    """One ridge regression for all tasks: share of the variance of the test part that it explains."""
    train, test = _both(dataset)
    truth = _only(test)
    guess = Ridge(1).fit(_inputs(train), _only(train)).predict(_inputs(test))
    return float(1 - np.square(guess - truth).sum() / np.square(truth - truth.mean()).sum())


def _split(name: str, test: float, **parameters: object) -> Callable[[int], Dataset]:
    return lambda seed: data.get(name, seed=seed, test=test, validation=0.05, **parameters)


def _of(measure: Callable[..., float], dataset: Callable[[int], Dataset], *more: str) -> Callable[[int], float]:
    return lambda seed: measure(dataset(seed), *more)


def _parkinsons_by_row(seed: int) -> Dataset:
    """Recordings of one patient on both sides, as the other reader had it; the loader's own split keeps patients apart."""
    dataset = data.get("parkinsons")
    return replace(dataset, splits=split(len(dataset.examples), seed, 0.05, 1 / 3), sources=None)


_ARRMSE = {
    "andro": 0.885, "atp1d": 0.579, "atp7d": 0.728, "edm": 0.780, "enb": 0.322, "jura": 0.648, "oes10": 0.500, "oes97": 0.535,
    "osales": 1.375, "rf1": 0.773, "scpf": 0.865, "sf1": 1.037, "sf2": 1.009, "slump": 0.703, "wq": 0.952,
}  # fmt: skip
_QM9 = {"mu": 0.778, "alpha": 0.187, "homo": 0.563, "lumo": 0.385, "r2": 0.350, "zpve": 0.022}

BASELINES = [
    Baseline("adult-fairness", "accuracy", 0.852, lambda seed: accuracy(data.get("adult-fairness", seed=seed + 1), "income")),
    Baseline("sarcos", "aRRMSE", 0.325, _of(relative_error, _split("sarcos", 1 / 3))),
    *(
        Baseline("qm9", f"RRMSE of {task}", figure, _of(relative_error, _split("qm9", 1 / 3), task))
        for task, figure in _QM9.items()
    ),
    Baseline("tox21", "mean AUC", 0.807, _of(mean_auc, _split("tox21", 0.2))),
    Baseline("parkinsons", "aRRMSE, rows split at random", 0.919, _of(relative_error, _parkinsons_by_row)),
    Baseline("school", "explained variance, pooled", 0.347, _of(pooled_variance_explained, _split("school", 0.25))),
    Baseline("landmine", "mean AUC, pooled", 0.733, _of(pooled_auc, _split("landmine", 0.69))),
    *(
        Baseline(f"mulan {subset}", "aRRMSE", figure, _of(relative_error, _split("mulan", 1 / 3, subset=subset)))
        for subset, figure in _ARRMSE.items()
    ),
]


def rows(seeds: int = 3) -> Iterator[tuple[Baseline, list[float]]]:
    """Every baseline with our figures, one for each seed of the split."""
    for baseline in BASELINES:
        yield baseline, [baseline.ours(seed) for seed in range(seeds)]


def _both(dataset: Dataset) -> tuple[Examples, Examples]:
    """All that is not for testing, and what is."""
    rest = torch.cat([dataset.splits["train"], dataset.splits["validation"]])
    return dataset.examples[rest], dataset.test


def _inputs(examples: Examples) -> Array:
    assert isinstance(examples.inputs, torch.Tensor)
    return examples.inputs.double().numpy()


def _stacked(examples: Examples, names: list[str]) -> Array:
    return np.stack([examples.targets[name].double().numpy() for name in names], axis=1)


def _present(examples: Examples) -> dict[str, NDArray[np.bool_]]:
    assert examples.present is not None
    return {name: known.numpy() for name, known in examples.present.items()}


def _only(examples: Examples) -> Array:
    """The label of each example, of whichever task it has one for."""
    labels = [np.where(known, _stacked(examples, [name])[:, 0], 0.0) for name, known in _present(examples).items()]
    return np.sum(labels, axis=0)


def _labelled(examples: Examples, name: str) -> tuple[Array, Array]:
    known = _present(examples)[name]
    return _inputs(examples)[known], _stacked(examples, [name])[known, 0]


def _logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=300)


def main() -> None:
    """The table, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("| set | measure | elsewhere | ours | lowest to highest |\n|---|---|---|---|---|")
    for baseline, found in rows(parser.parse_args().seeds):
        spread = f"{min(found):.3f} to {max(found):.3f}"
        print(
            f"| {baseline.name} | {baseline.measure} | {baseline.elsewhere:.3f} | {np.mean(found):.3f} | {spread} |", flush=True
        )


if __name__ == "__main__":
    main()
