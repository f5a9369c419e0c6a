"""Names of users' own rules and problems, and slips of the keyboard in parameters."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moo_mtl import Rule, problems, rules
from moo_mtl.errors import InputError
from moo_mtl.naming import check_parameters, load


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a module into the current directory; it is forgotten after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def module(name, text):
        (tmp_path / f"{name}.py").write_text(text)

    yield module
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_module_of_the_current_directory(write):
    write("mine_a", "def f(x):\n    return x\nclass Outer:\n    inner = 7\n")
    assert load("mine_a:f", "problem")(3) == 3
    assert load("mine_a:Outer.inner", "problem") == 7


@pytest.mark.parametrize("path", ["math", "math:", ":pi", "my module:f", "math:pi:e", "", "math.:pi"])
def test_other_forms_are_refused(path):
    with pytest.raises(InputError, match="module:attribute"):
        load(path, "rule")


def test_missing_module_and_missing_dependency_are_told_apart(write):
    with pytest.raises(InputError, match="no module 'no_such_module'"):
        load("no_such_module:f", "rule")
    write("mine_b", "import no_such_dependency\n")
    with pytest.raises(InputError, match="imports 'no_such_dependency', which is not installed"):
        load("mine_b:f", "rule")


def test_failing_module_tells_its_own_error(write):
    write("mine_c", "raise KeyError('inside')\n")
    with pytest.raises(InputError, match="raised KeyError: 'inside'"):
        load("mine_c:f", "rule")


def test_missing_attribute_has_a_suggestion(write):
    write("mine_d", "def my_rule():\n    pass\n")
    with pytest.raises(InputError, match=r"did you mean 'my_rule'\?"):
        load("mine_d:my_rul", "rule")


def test_parameters():
    def factory(beta, sigma=0.5):
        pass

    check_parameters("rule", "db-mtl", factory, {"beta": 1})
    check_parameters("rule", "open", lambda **anything: None, {"whatever": 1})
    with pytest.raises(InputError, match=r"'sigmma'.*did you mean 'sigma'"):
        check_parameters("rule", "db-mtl", factory, {"beta": 1, "sigmma": 2})
    with pytest.raises(InputError, match="needs beta"):
        check_parameters("rule", "db-mtl", factory, {})
    with pytest.raises(InputError, match="takes no parameters"):
        check_parameters("rule", "equal", lambda: None, {"beta": 1})


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("db-mtl", {"beta": "x"}, "rule 'db-mtl': beta: expected a number, or a function, found 'x'"),
        ("db-mtl", {"beta": True}, "rule 'db-mtl': beta: expected a number, or a function, found True"),
        ("db-mtl", {"bias_correction": 1}, "rule 'db-mtl': bias_correction: expected true or false, found 1"),
        ("aligned-mtl", {"scale": 3}, "rule 'aligned-mtl': scale: expected 'min', 'median' or 'rmse', found 3"),
        ("uw", {"likelihood": 3}, "rule 'uw': likelihood: expected 'regression' or 'classification', or a list, found 3"),
        ("task-tensioner", {"window": 2.5}, "rule 'task-tensioner': window: expected an integer, found 2.5"),
    ],
)
def test_values_of_another_type_are_one_sentence(name, given, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        rules.get(name, **given)
    with pytest.raises(InputError, match="problem 'dtlz2': n_dim: expected an integer, found '7'"):
        problems.get("dtlz2", n_dim="7")


def test_values_of_the_annotated_types_are_taken_as_they_come():
    def factory(
        number: float | None = None,
        bound: float | Sequence[float] | torch.Tensor | None = None,
        pair: tuple[float, float] = (0.0, 1.0),
        file: Path = Path(),
        whole: int = 1,
        rule: Rule[Any] | None = None,
        anything=None,
    ):
        pass

    for given in (
        {"number": 1, "bound": [1, 2.0], "pair": [1, 2], "file": "here", "whole": 3, "rule": rules.get("mgda")},
        {"number": np.float32(1), "bound": np.zeros(2), "pair": (1.0, 2.0), "file": Path("here"), "whole": np.int64(3)},
        {"number": None, "bound": torch.zeros(2), "anything": object()},
    ):
        check_parameters("rule", "mine", factory, given)
    unresolved = eval("lambda x: None")
    unresolved.__annotations__ = {"x": "NoSuchType"}
    check_parameters("rule", "mine", unresolved, {"x": 1})


def test_names_without_parameters_need_no_type_checker():
    code = "import sys, moo_mtl; moo_mtl.rules.get('mgda'); sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
