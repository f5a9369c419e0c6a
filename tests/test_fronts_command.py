"""`moo-mtl front` as a user meets it: files that agree with each other, and one sentence for what is wrong."""

import csv
import re
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from moo_mtl import cli, problems
from moo_mtl.front_report import across, spread
from moo_mtl.fronts import Front
from moo_mtl.plotting import style


@pytest.fixture
def moo_mtl(monkeypatch, capfd, tmp_path):
    """Runs the command in an empty folder; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["moo-mtl", "front", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        return code or 0, *capfd.readouterr()

    return run


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_figure_indicators_and_certified_points(moo_mtl, tmp_path):
    code, printed, _ = moo_mtl(
        "zdt1", "--rules", "stch,linear", "--preferences", "12", "--steps", "150", "--set", "stch.mu=0.02"
    )
    assert code == 0
    folder = tmp_path / "fronts" / "zdt1"
    assert {file.name for file in folder.iterdir()} == {
        *("front.pdf", "front.png", "indicators.csv", "stch.csv", "stch.npz", "linear.csv", "linear.npz")
    }
    assert (folder / "front.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "front.png").stat().st_size > 10_000

    saved, problem = Front.load(folder / "stch.npz"), problems.get("zdt1")
    assert torch.equal(problem.evaluate(saved.x), saved.points)
    assert torch.equal(saved.preferences, spread(12, 2))
    lines = table(folder / "stch.csv")
    for column, kept in (("loss 1", saved.points[:, 0]), ("upper bound", saved.upper), ("x 30", saved.x[:, 29])):
        assert torch.equal(torch.tensor([float(line[column]) for line in lines], dtype=torch.float64), kept)
    rows = {line["rule"]: line for line in table(folder / "indicators.csv")}
    assert list(rows) == ["stch", "linear"]
    assert 0.9 < float(rows["stch"]["HV ratio"]) < 1
    assert float(rows["stch"]["largest bound"]) < 1e-6
    assert rows["stch"]["HV ratio"] in printed


BOWLS = """
import torch

def bowls(x):
    return torch.stack([x.square().sum(-1), (x - 1).square().sum(-1)], dim=-1)
"""


def test_a_problem_of_ones_own_beside_an_evolutionary_front_in_a_venues_width(moo_mtl, tmp_path, monkeypatch):
    from moo_mtl import fronts

    (tmp_path / "own_bowls.py").write_text(BOWLS, encoding="utf-8")
    reference = fronts.reference
    monkeypatch.setattr(
        fronts, "reference", lambda *given: reference(*given, population=20, generations=10, cache=tmp_path / "cache")
    )
    known = ("problem.n_tasks=2", "problem.n_dim=2", "problem.bounds=[-1.0, 1.0]")
    settings = [word for setting in known for word in ("--set", setting)]
    few = ("--rules", "linear,epo", "--preferences", "4", "--steps", "20", "--out", "found")
    code, printed, said = moo_mtl("own_bowls:bowls", *few, *settings, "--reference", "nsga2", "--venue", "icml")
    assert code == 0
    assert "own_bowls:bowls: nsga2" in said
    assert "HV ratio" in printed
    media = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", (tmp_path / "found" / "front.pdf").read_bytes())
    assert float(media[1]) / 72 == pytest.approx(style.size("icml", columns=2)[0] * 2 / 3, abs=0.02)  # two panels of three
    plain, _, _ = moo_mtl("own_bowls:bowls", *few, *settings)
    assert plain == 0
    assert "HV ratio" not in table(tmp_path / "found" / "indicators.csv")[0]
    assert "unknown venue 'icmll'; did you mean 'icml'" in moo_mtl("zdt1", "--venue", "icmll")[2]
    assert "unknown algorithm 'nsga5'" in moo_mtl("zdt1", "--reference", "nsga5")[2]


def test_the_hybrid_has_a_row_beside_the_rules(moo_mtl, tmp_path):
    """On ZDT4 a rule alone ends on a local front."""
    code, printed, _ = moo_mtl("zdt4", "--rules", "stch", "--preferences", "30", "--steps", "20", "--hybrid", "50000")
    assert code == 0
    rows = {line["rule"]: line for line in table(tmp_path / "fronts" / "zdt4" / "indicators.csv")}
    assert list(rows) == ["stch", "hybrid"]
    assert float(rows["stch"]["HV ratio"]) == 0
    assert float(rows["hybrid"]["HV ratio"]) > 0.9
    assert "hybrid" in printed
    saved = Front.load(tmp_path / "fronts" / "zdt4" / "hybrid.npz")
    assert len(saved) <= 30
    assert torch.equal(problems.get("zdt4").evaluate(saved.x), saved.points)


def test_the_hybrid_alone(moo_mtl, tmp_path):
    code, _, said = moo_mtl("zdt1", "--rules", "", "--preferences", "10", "--hybrid", "3000", "--out", "here")
    assert code == 0, said
    assert [line["rule"] for line in table(tmp_path / "here" / "indicators.csv")] == ["hybrid"]


@pytest.mark.parametrize("n_tasks", [3, 4])
def test_more_losses(moo_mtl, tmp_path, n_tasks):
    settings = ("--preferences", "8", "--steps", "3", "--rules", "pbi", "--out", "here", "--set", f"problem.n_tasks={n_tasks}")
    assert moo_mtl("dtlz2", *settings)[0] == 0
    assert (tmp_path / "here" / "front.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["zdt9"], "unknown problem 'zdt9'"),
        (["zdt1", "--rules", "linear,nonsense"], "unknown rule 'nonsense'"),
        (["zdt1", "--rules", "linear,linear"], "expected different rules"),
        (["zdt1", "--rules", ""], "expected different rules"),
        (["zdt1", "--hybrid", "-1"], "hybrid must be a number of evaluations"),
        (["zdt1", "--rules", "", "--hybrid", "10"], "10 evaluations are too few"),
        (["two-task-toy", "--rules", "", "--hybrid", "5000"], "has no box to explore"),
        (["zdt1", "--preferences", "1"], "too few for 2 tasks"),
        (["zdt1", "--preferences", "0"], "preferences must be positive"),
        (["zdt1", "--steps", "0"], "steps must be positive"),
        (["zdt1", "--lr", "nan"], "lr must be positive"),
        (["zdt1", "--set", "mu=1"], "--set 'mu=1' is not of the form"),
        (["zdt1", "--set", "problem.size=3"], "size"),
        (["dtlz2", "--rules", "hypervolume"], "at most 2 tasks"),
        (["zdt1", "--out", "/proc/nowhere"], "/proc/nowhere"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_exit_code_2(moo_mtl, arguments, said):
    code, _, errors = moo_mtl(*arguments)
    assert code == 2
    last = errors.strip().splitlines()[-1]
    assert last.startswith("moo-mtl: ")
    assert said in last
    assert "Traceback" not in errors


@pytest.mark.parametrize("n_tasks", [2, 3, 5])
def test_preferences_lie_inside_the_simplex(n_tasks):
    found = spread(20, n_tasks)
    assert found.shape == (20, n_tasks)
    assert_close(found.sum(dim=-1), torch.ones(20, dtype=torch.float64))
    assert found.min() > 0.004


def test_a_known_front_gives_the_units_whatever_nadir_is_stated():
    problem = problems.get("zdt1")
    stated = replace(problem, nadir=torch.tensor([1.0, 0.01], dtype=torch.float64))
    mended = across(stated, problem.front(100))
    assert_close(mended.nadir, torch.ones(2, dtype=torch.float64))
    assert_close(mended.ideal, torch.zeros(2, dtype=torch.float64))
