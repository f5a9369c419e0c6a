"""Names of users' own rules and problems, and slips of the keyboard in parameters."""

import sys

import pytest

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
