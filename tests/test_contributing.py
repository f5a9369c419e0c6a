"""The worked example of CONTRIBUTING.md is a rule like any other, and a release has one version."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import moo_mtl

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_diff_of_a_rule_applies_and_the_laws_accept_it(tmp_path):
    for name in ("moo_mtl", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (diff,) = re.findall(
        r"^```diff\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    applied = subprocess.run(["git", "apply", "-C1", "-"], input=diff, text=True, cwd=tmp_path, capture_output=True)
    assert applied.returncode == 0, applied.stderr
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_laws.py", "-k", "log-mgda"]
    answer = subprocess.run(
        command, text=True, cwd=tmp_path, capture_output=True, env={**_environment(), "PYTHONPATH": str(tmp_path)}
    )
    assert answer.returncode == 0, answer.stdout
    assert int(re.search(r"(\d+) passed", answer.stdout)[1]) >= 10


def _environment():
    import os

    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def test_one_version_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {moo_mtl.__version__}\n" in citation
