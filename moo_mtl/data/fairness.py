"""Accuracy against equal opportunity: two objectives on one output, for Adult, COMPAS and German credit.

The features of Adult and COMPAS, and the split, are those of COSMOS (Ruchte and Grabocka, ICDM 2021), on which later work
compares hypervolumes. Where COSMOS standardises with all rows, the training part alone is used here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from moo_mtl.data import people
from moo_mtl.data.dataset import Dataset, Examples, Target
from moo_mtl.data.frames import indicator, indicators, numbers
from moo_mtl.data.splitting import split_as_sklearn, standardised

if TYPE_CHECKING:
    import pandas as pd

_EDUCATION = {
    **dict.fromkeys(("Preschool", "1st-4th", "5th-6th", "7th-8th", "9th", "10th", "11th", "12th"), "left"),
    **dict.fromkeys(("Assoc-voc", "Assoc-acdm", "Prof-school", "Some-college"), "higher"),
}
_MAJORITY = {"workclass": "Private", "occupation": "Prof-specialty", "native-country": "United-States"}


def adult_fairness(validation: float = 0.1, test: float = 0.2, seed: int = 1, root: str | Path | None = None) -> Dataset:
    """Income above 50,000 of 48,842 people, and equal opportunity for women and men: 88 features, without sex.

    Args:
        validation: fraction of the rows.
        test: fraction of the rows.
        seed: of scikit-learn's split, ``random_state``.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        InputError: the fractions leave a part empty.
        DataError: a file is absent or damaged.
    """
    frame = people.adult_rows(root)
    income, women = indicator(frame["income"], ">50K"), indicator(frame["sex"], "Female")
    for column, word in _MAJORITY.items():
        frame[column] = frame[column].replace("?", word)
    frame["education"] = frame["education"].replace(_EDUCATION)
    frame["marital-status"] = frame["marital-status"].isin(["Married-civ-spouse", "Married-AF-spouse"]).map(str)
    inputs = frame.drop(columns=["income", "sex"])
    return _two_objectives("adult-fairness", "income", inputs, income, women, (validation, test, seed), people.ADULT)


def compas_fairness(validation: float = 0.1, test: float = 0.2, seed: int = 1, root: str | Path | None = None) -> Dataset:
    """Arrested again within two years, and equal opportunity for women and men, of 6,172 defendants: 20 features.

    As in the literature ``is_recid``, an arrest at any later time, is an input although it nearly gives the label away: the
    error says nothing about prediction. Parameters and errors as ``adult_fairness``.
    """
    import pandas as pd

    frame = people.compas_rows(root)
    again = indicator(frame["two_year_recid"], 1)
    women = indicator(frame["sex"], "Female")
    inputs = frame[
        ["age", "priors_count", "days_b_screening_arrest", "decile_score", "is_recid", "c_charge_degree", "race", "age_cat"]
    ].assign(score=frame["score_text"])
    stay = pd.to_datetime(frame["c_jail_out"]) - pd.to_datetime(frame["c_jail_in"])
    inputs["hours_in_jail"] = stay.dt.total_seconds() // 3600
    return _two_objectives("compas-fairness", "recidivism", inputs, again, women, (validation, test, seed), people.COMPAS)


def german_credit(validation: float = 0.1, test: float = 0.2, seed: int = 1, root: str | Path | None = None) -> Dataset:
    """A credit that turned out good, and equal opportunity for women and men, of 1,000 people.

    Sex is read off the attribute that joins it with the marital status, which is no input. Parameters and errors as
    ``adult_fairness``.
    """
    frame = people.german_rows(root)
    good = indicator(frame["credit"], 1)
    women = indicator(frame["personal_status"], "A92", "A95")
    inputs = frame.drop(columns=["credit", "personal_status"])
    return _two_objectives("german-credit", "good-credit", inputs, good, women, (validation, test, seed), people.GERMAN)


def equal_opportunity(task: str, labels: Tensor, group: Tensor) -> tuple[Target, Tensor]:
    """The objective that members of two groups whose label is 1 be found alike, judged on the output of ``task``.

    Args:
        task: a binary task.
        labels: its labels, ``[N]`` of 0 and 1.
        group: the sensitive attribute, ``[N]`` of 0 and 1.

    Returns:
        What the objective is, and its targets ``[N, 2]``: label and group.
    """
    return Target(f"{task}-opportunity", "equal-opportunity", reads=task), torch.stack([labels, group], dim=1).float()


def _two_objectives(
    name: str,
    task: str,
    frame: pd.DataFrame,
    labels: Tensor,
    group: Tensor,
    shares: tuple[float, float, int],
    cite: str,
) -> Dataset:
    """Everything standardised, indicators included, as in COSMOS."""
    splits = split_as_sklearn(len(frame), *shares)
    inputs, _ = standardised(torch.cat([numbers(frame), indicators(frame)], dim=1), splits["train"])
    opportunity, pairs = equal_opportunity(task, labels, group)
    targets = {task: labels, opportunity.name: pairs}
    return Dataset(name, Examples(inputs, targets), splits, (Target(task, "binary"), opportunity), cite=cite)
