"""Directions beside those of TorchJD 0.18 on fixed Jacobians: equal, or ours is better in the method's own terms."""

from pathlib import Path

import pytest
import torch

from benchmarks.torchjd_disagreements import SAME, apart, cases, direction, merit, rows

PAGE = Path(__file__).parent.parent / "docs" / "results" / "disagreements.md"
CLOSED_FORMS = ("sum", "mean", "imtl-g", "config", "trimmed-mean", "krum")
ALIGNED = ("aligned-min", "aligned-median", "aligned-rmse")
SOLVED = ("mgda", "mgda-long", "upgrad", "dualproj", "cagrad", "nash-mtl", "fairgrad")


def pairs(names):
    return [(case, name) for case, golden in cases().items() for name in names if name in golden["directions"]]


def golden(case, name):
    J = torch.tensor(cases()[case]["jacobian"], dtype=torch.float64)
    return J, torch.tensor(cases()[case]["directions"][name], dtype=torch.float64)


@pytest.mark.parametrize(("case", "name"), pairs(CLOSED_FORMS))
def test_closed_forms_agree(case, name):
    J, theirs = golden(case, name)
    assert apart(direction(name, J)[0], theirs) < 1e-9


@pytest.mark.parametrize(("case", "name"), pairs(ALIGNED))
def test_aligned_mtl_agrees_as_far_as_the_gramian_knows_its_spectrum(case, name):
    """Both take the spectrum of the Gramian: over six decades its smallest eigenvalue has only four or five digits."""
    J, theirs = golden(case, name)
    assert apart(direction(name, J)[0], theirs) < (1e-4 if case == "decades" else 1e-9)


@pytest.mark.parametrize(("case", "name"), pairs(SOLVED))
def test_solved_programs_agree_or_ours_is_the_better_answer(case, name):
    J, theirs = golden(case, name)
    ours, _ = direction(name, J)
    _, mine = merit(name, J, ours)
    _, other = merit(name, J, theirs)
    assert apart(ours, theirs) < 1e-5 or mine > other + 1e-9 * abs(mine)


def test_every_rule_compared_is_in_the_goldens():
    assert {name for golden in cases().values() for name in golden["directions"]} == set(SAME)


def test_every_disagreement_is_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    for row in rows():
        case, name = (cell.strip() for cell in row.split("|")[1:3])
        assert f"| {case} | {name} |" in page, "run python -m benchmarks.torchjd_disagreements"
