"""The package without any of its optional extras: all of it can be imported, and what needs one says which."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXTRAS = ("numba", "plotly", "scikit_posthocs", "pyarrow", "dask", "distributed", "tensorboard")
WITHOUT = f"import sys\nfor name in {EXTRAS}: sys.modules[name] = None\n"
EVERYTHING = """
import importlib, pkgutil, moo_mtl
names = [module.name for module in pkgutil.walk_packages(moo_mtl.__path__, "moo_mtl.")]
for name in names:
    if name not in ("moo_mtl.__main__", "moo_mtl.solvers.compiled"):  # the command, and what [fast] compiles
        importlib.import_module(name)
assert len(names) > 150
"""
SOLVED = """
import torch
from moo_mtl import solvers
J = torch.randn(50, 3, 5, dtype=torch.float64)
for solve in (solvers.min_norm, solvers.dualproj, solvers.upgrad, lambda G: solvers.cagrad(G, 0.4)):
    assert bool(solve(J @ J.mT).converged.all())
"""
REFUSED = """
import matplotlib
matplotlib.use("Agg")
from matplotlib import pyplot
from moo_mtl import plotting, statistics
{expression}
"""
TESTS = "statistics.ranks.tests({'a': [1.0, 2, 3], 'b': [3.0, 1, 2], 'c': [0.0, 5, 1]})"
DIAGRAM = """
p = {'a': {'a': 1, 'b': 0.5}, 'b': {'a': 0.5, 'b': 1}}
plotting.critical_differences({'a': 1, 'b': 2}, p, pyplot.figure().gca())
"""
SMALL = 'kind = "trace"\nproblem = "two-task-toy"\nrule = "mgda"\nlr = 0.1\nsteps = 3\n'
COMMANDS = {
    "report": (["report", "runs/e"], "moo_mtl[report]"),
    "cluster": (["sweep", "e.toml", "--out", "other", "--backend", "dask", "--scheduler", "localhost:1"], "moo_mtl[cluster]"),
    "parquet": (["results", "runs", "--format", "parquet", "--out", "found.parquet"], "moo_mtl[parquet]"),
}


def python(code):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", WITHOUT + code], capture_output=True, text=True, timeout=300, env=environment)


def test_everything_can_be_imported_and_solvers_solve():
    done = python(EVERYTHING + SOLVED)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("expression", [TESTS, DIAGRAM], ids=["tests", "diagram"])
def test_statistics_name_their_extra(expression):
    done = python(REFUSED.format(expression=expression))
    assert "InputError" in done.stderr.splitlines()[-1], done.stderr
    assert "moo_mtl[stats]" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_name_their_extra(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("e.toml").write_text(SMALL, encoding="utf-8")
    run = "sys.argv = {arguments!r}\nfrom moo_mtl.cli import main\nmain()\n"
    first = python(run.format(arguments=["moo-mtl", "run", "e.toml"]))
    assert first.returncode == 0, first.stderr
    arguments, extra = COMMANDS[name]
    done = python(run.format(arguments=["moo-mtl", *arguments]))
    assert done.returncode == 2, done.stderr
    assert extra in done.stderr
    assert "Traceback" not in done.stderr
