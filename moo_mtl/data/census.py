"""Tables of people: Adult and COMPAS, as several classification tasks."""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from torch import Tensor

from moo_mtl.data.dataset import Dataset, Examples, Target
from moo_mtl.data.files import read
from moo_mtl.data.splitting import split, standardised

_ADULT = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race", "sex",
    "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip


def adult(validation: float = 0.1, test: float = 0.2, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """Income above 50,000, never married, and a college degree, of 48,842 people in the census of 1994.

    What a task asks for is not an input, nor what gives it away: education, marital status and relationship are left out.
    Both parts of the file are joined and split anew.

    Args:
        validation: fraction of the rows.
        test: fraction of the rows.
        seed: of the split.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        InputError: the fractions leave a part empty.
        DataError: a file is absent or damaged.
    """
    text = read("adult/adult.data", root).decode() + "\n" + read("adult/adult.test", root).decode()
    rows = [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if len(row) == len(_ADULT)]
    people = [dict(zip(_ADULT, row, strict=True)) for row in rows]
    targets = {
        "income": _indicator(people, "income", {">50K", ">50K."}),
        "never-married": _indicator(people, "marital-status", {"Never-married"}),
        "college": _indicator(people, "education", {"Bachelors", "Masters", "Doctorate", "Prof-school"}),
    }
    numbers = ("age", "capital-gain", "capital-loss", "hours-per-week")
    categories = ("workclass", "occupation", "race", "sex", "native-country")
    splits = split(len(people), seed, validation, test)
    return _table("adult", people, numbers, categories, targets, splits, "Becker and Kohavi, UCI 1996")


def compas(validation: float = 0.1, test: float = 0.2, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """Arrested again within two years, arrested again for violence, and a medium or high COMPAS score, of 6,172 defendants.

    ProPublica's filter: an arrest within 30 days of the screening, a known outcome, a charge that is no ordinary traffic
    offence, and a score. Parameters and errors as ``adult``.
    """
    text = read("compas/compas-scores-two-years-noname.csv", root).decode()
    people = [row for row in csv.DictReader(text.splitlines()) if _propublica(row)]
    targets = {
        "recidivism": _indicator(people, "two_year_recid", {"1"}),
        "violent-recidivism": _indicator(people, "is_violent_recid", {"1"}),
        "high-score": _indicator(people, "score_text", {"Medium", "High"}),
    }
    numbers = ("age", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count")
    categories = ("sex", "race", "c_charge_degree")
    splits = split(len(people), seed, validation, test)
    return _table("compas", people, numbers, categories, targets, splits, "Angwin et al., ProPublica 2016")


def _propublica(row: dict[str, str]) -> bool:
    days = row["days_b_screening_arrest"]
    near = days != "" and -30 <= float(days) <= 30
    return near and row["is_recid"] != "-1" and row["c_charge_degree"] != "O" and row["score_text"] != "N/A"


def _indicator(people: list[dict[str, str]], column: str, values: set[str]) -> Tensor:
    return torch.tensor([float(person[column] in values) for person in people])


def _table(
    name: str,
    people: list[dict[str, str]],
    numbers: tuple[str, ...],
    categories: tuple[str, ...],
    targets: dict[str, Tensor],
    splits: dict[str, Tensor],
    cite: str,
) -> Dataset:
    """Standardised numbers and one indicator per category; ``?`` is a category of its own."""
    values = torch.tensor([[float(person[column]) for column in numbers] for person in people], dtype=torch.float64)
    measured, _ = standardised(values, splits["train"])
    indicators = [
        _indicator(people, column, {value}) for column in categories for value in sorted({person[column] for person in people})
    ]
    inputs = torch.cat([measured, torch.stack(indicators, dim=1)], dim=1)
    return Dataset(name, Examples(inputs, targets), splits, tuple(Target(task, "binary") for task in targets), cite=cite)
