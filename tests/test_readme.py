"""README's promises: its Python runs, its TOML is an experiment, its commands and files exist, its diff is three lines."""

import doctest
import re
from pathlib import Path

import pytest

from moo_mtl import config
from moo_mtl.kinds import single_run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", [block for block in blocks("python") if ">>>" not in block])
def test_programs_run(block):
    exec(compile(block, "README.md", "exec"), {})


def test_sessions_show_what_python_answers():
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert result.attempted >= 5
    assert result.failed == 0


def test_the_rule_of_the_readme_is_mgda(monkeypatch, tmp_path):
    from moo_mtl import problems, rules, trace

    (block,) = [block for block in blocks("python") if "class MinNorm" in block]
    (tmp_path / "my_module_of_readme.py").write_text(block, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    toy = problems.get("two-task-toy")
    own, ours = (trace(toy, rules.get(name), toy.starts, steps=50, lr=1e-2) for name in ("my_module_of_readme:MinNorm", "mgda"))
    assert (own.x - ours.x).abs().max() < 1e-9


def test_the_experiments_are_valid(tmp_path):
    trace, table = blocks("toml")
    for block, n_runs in ((trace, 3), (table, 2)):
        (tmp_path / "readme.toml").write_text(block, encoding="utf-8")
        assert len(config.read(tmp_path / "readme.toml").singles) == n_runs


def test_a_table_trains_as_the_readme_says(tmp_path):
    rows = [f"p{i // 2},2020-01-{i % 28 + 1},{i % 7 + i / 100},{i * 0.5},{('no', 'yes')[i % 3 > 0]}" for i in range(60)]
    (tmp_path / "patients.csv").write_text("\n".join(["patient,date,dose,score,relapse", *rows]))
    (tmp_path / "readme.toml").write_text(blocks("toml")[1], encoding="utf-8")
    single_run.kind(single := config.read(tmp_path / "readme.toml").singles[1]).check(single)


def test_the_balancer_is_three_lines():
    (diff,) = blocks("diff")
    assert len([line for line in diff.splitlines() if line[0] in "+-"]) == 3


def test_the_files_it_names_exist():
    for file in re.findall(r"experiments/[\w-]+\.toml", README):
        assert (ROOT / file).is_file(), file
    for name in re.findall(r"^\| `([\w-]+\.toml)`", README, flags=re.MULTILINE):
        assert (ROOT / "experiments" / name).is_file(), name
    for name in re.findall(r"\]\(([\w.]+)\)", README):
        assert (ROOT / name).is_file(), name


def test_numbers_and_names_of_the_table_of_neighbours():
    from moo_mtl import problems
    from moo_mtl.rules import ZOO

    rows = {
        row[0]: row[1:] for row in (re.split(r" *\| *", line.strip("| ")) for line in README.splitlines() if line[:1] == "|")
    }
    assert rows["methods by name"][0] == str(len(ZOO))
    assert rows["analytic problems with known fronts"][0] == str(sum(_has_front(problems.get(name)) for name in problems.NAMES))
    assert f"any of {len(ZOO)} rules" in README
    assert f"moo_mtl has {len(ZOO)} of them" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    theirs = dict(re.findall(r"^- (LibMTL|torchjd|LibMOON): (.*?)\.$", README, flags=re.DOTALL | re.MULTILINE))
    assert len(theirs) == 3
    for library, names in theirs.items():
        found = re.findall(r"`([\w-]+)`", names)
        assert set(found) <= ZOO.keys(), library
        assert len(found) == len(set(found)) >= 11


def _has_front(problem):
    from moo_mtl.fronts.reference import STORED

    return problem.exact_front is not None or problem.exact_set is not None or problem.name in STORED


def test_the_citation_is_of_this_version():
    import moo_mtl

    (entry,) = blocks("bibtex")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    for key, field in (("title", "title"), ("version", "version"), ("license", "license")):
        (value,) = re.findall(rf"^  {key} = {{(.*)}}", entry, flags=re.MULTILINE)
        assert value in re.findall(rf'^{field}: "?([^"\n]*)"?$', citation, flags=re.MULTILINE)
    assert moo_mtl.__version__ in entry
