"""Tables of people: Adult, COMPAS and the Census-Income set, as several classification tasks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from moo_mtl.data.dataset import Dataset, Examples, Target
from moo_mtl.data.files import read
from moo_mtl.data.frames import features, indicator
from moo_mtl.data.splitting import split

if TYPE_CHECKING:
    import pandas as pd

ADULT, COMPAS = "Becker and Kohavi, UCI 1996", "Angwin et al., ProPublica 2016"
CENSUS, GERMAN = "Lane and Kohavi, Census-Income (KDD), UCI 2000", "Hofmann, Statlog (German Credit Data), UCI 1994"

_ADULT_COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race", "sex",
    "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip
_CENSUS_COLUMNS = (
    "age", "worker-class", "industry-code", "occupation-code", "education", "wage-per-hour", "enrolled", "marital-status",
    "industry", "occupation", "race", "hispanic-origin", "sex", "union-member", "unemployment-reason", "employment",
    "capital-gains", "capital-losses", "dividends", "tax-filer", "previous-region", "previous-state", "household-detail",
    "household-summary", "instance-weight", "migration-msa", "migration-region", "migration-within-region",
    "same-house-last-year", "migration-sunbelt", "n-employees", "parents", "father-birth", "mother-birth", "self-birth",
    "citizenship", "own-business", "veterans-admin", "veterans-benefits", "weeks-worked", "year", "income",
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
    frame = adult_rows(root)
    targets = {
        "income": indicator(frame["income"], ">50K"),
        "never-married": indicator(frame["marital-status"], "Never-married"),
        "college": indicator(frame["education"], "Bachelors", "Masters", "Doctorate", "Prof-school"),
    }
    columns = ["age", "capital-gain", "capital-loss", "hours-per-week"]
    columns += ["workclass", "occupation", "race", "sex", "native-country"]
    return _binary("adult", frame[columns], targets, split(len(frame), seed, validation, test), ADULT)


def compas(validation: float = 0.1, test: float = 0.2, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """Arrested again within two years, arrested again for violence, and a medium or high COMPAS score, of 6,172 defendants.

    ProPublica's filter: an arrest within 30 days of the screening, a known outcome, a charge that is no ordinary traffic
    offence, and a score. Parameters and errors as ``adult``.
    """
    frame = compas_rows(root)
    targets = {
        "recidivism": indicator(frame["two_year_recid"], 1),
        "violent-recidivism": indicator(frame["is_violent_recid"], 1),
        "high-score": indicator(frame["score_text"], "Medium", "High"),
    }
    columns = ["age", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count", "sex", "race", "c_charge_degree"]
    return _binary("compas", frame[columns], targets, split(len(frame), seed, validation, test), COMPAS)


def census_income(validation: float = 0.1, test: float = 0.1, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """Income above 50,000, and never married, of 99,762 people: the two tasks of MMoE's comparison.

    These are the rows that are commonly the test part, split anew: not comparable with published numbers. Marital status
    and the sampling weight are no inputs; as in MMoE's comparison, the household and the tax filing are. Parameters and
    errors as ``adult``.
    """
    import pandas as pd

    content = read("census_income_kdd_test/census-income.test", root)
    codes = dict.fromkeys(("industry-code", "occupation-code", "own-business", "veterans-benefits", "year"), str)
    frame = pd.read_csv(io.BytesIO(content), names=_CENSUS_COLUMNS, skipinitialspace=True, keep_default_na=False, dtype=codes)
    targets = {
        "income": indicator(frame["income"], "50000+."),
        "never-married": indicator(frame["marital-status"], "Never married"),
    }
    inputs = frame.drop(columns=["income", "marital-status", "instance-weight"])
    return _binary("census-income", inputs, targets, split(len(frame), seed, validation, test), CENSUS)


def adult_rows(root: str | Path | None) -> pd.DataFrame:
    """Both parts of the file; ``?`` is a word of its own.

    Raises:
        DataError: a file is absent or damaged.
    """
    import pandas as pd

    text = read("adult/adult.data", root).decode() + "\n" + read("adult/adult.test", root).decode()
    rows = "\n".join(line.rstrip(".") for line in text.splitlines() if line.count(",") == len(_ADULT_COLUMNS) - 1)
    return pd.read_csv(io.StringIO(rows), names=_ADULT_COLUMNS, skipinitialspace=True, keep_default_na=False)


def compas_rows(root: str | Path | None) -> pd.DataFrame:
    """The rows of COMPAS that pass ProPublica's filter.

    Raises:
        DataError: the file is absent or damaged.
    """
    import pandas as pd

    frame = pd.read_csv(io.BytesIO(read("compas/compas-scores-two-years-noname.csv", root)), low_memory=False)
    near = frame["days_b_screening_arrest"].between(-30, 30)
    known = (frame["is_recid"] != -1) & (frame["c_charge_degree"] != "O") & frame["score_text"].notna()
    return frame[near & known].reset_index(drop=True)


def german_rows(root: str | Path | None) -> pd.DataFrame:
    """1,000 people in the coding of the Statlog project.

    Raises:
        DataError: the file is absent or damaged.
    """
    import pandas as pd

    return pd.read_csv(io.BytesIO(read("german_credit/german.csv", root)))


def _binary(name: str, frame: pd.DataFrame, targets: dict[str, Tensor], splits: dict[str, Tensor], cite: str) -> Dataset:
    inputs = features(frame, splits["train"])
    return Dataset(name, Examples(inputs, targets), splits, tuple(Target(task, "binary") for task in targets), cite=cite)
