"""README's promises: its Python runs, its TOML is an experiment, its commands and files exist, its diff is three lines."""

import doctest
import re
from pathlib import Path

import pytest

from moo_mtl import config

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


def test_the_experiment_is_valid(tmp_path):
    (block,) = blocks("toml")
    (tmp_path / "readme.toml").write_text(block, encoding="utf-8")
    assert len(config.read(tmp_path / "readme.toml").singles) == 3


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
