"""Imports point towards the mathematics, and the command line is light."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import moo_mtl
from moo_mtl.rules import ZOO

PACKAGE = Path(moo_mtl.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
DRIVERS = [
    "tracing/*.py",
    "training/*.py",
    "engines/*.py",
    "kinds/*_run.py",
    "kinds/trace_batch.py",
    "experiment.py",
    "sweeps/**/*.py",
]

# (below, above): nothing below may import what is above, directly or by way of others.
ONE_WAY = [
    ("solvers", "certificate"),
    ("certificate", "properties"),
    ("properties", "rules"),
    ("rules", "tracing"),
    ("rules", "training"),
    ("problems", "tracing"),
    ("engines", "training"),
    ("problems", "rules"),
    ("tracing", "training"),
    ("plotting", "problems"),
    ("plotting", "tracing"),
    ("plotting", "training"),
    *(
        (core, above)
        for core in ("tracing", "training", "plotting")
        for above in ("cli", "commands", "config", "experiment", "kinds")
    ),
]


def component(file: Path) -> str:
    """The module or subpackage directly below moo_mtl that a file belongs to."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> set[str]:
    """Dotted names imported anywhere in a file, also inside functions, but for what only type checkers see."""
    names: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        names |= imports(node)
    return names


TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in FILES}
GRAPH: dict[str, set[str]] = {}
for _file, _tree in TREES.items():
    _inside = {name.split(".")[1] for name in imports(_tree) if name.startswith("moo_mtl.")}
    GRAPH.setdefault(component(_file), set()).update(_inside - {component(_file), "__version__"})


def reachable(start: str) -> set[str]:
    found, todo = set(), [start]
    while todo:
        for name in GRAPH.get(todo.pop(), set()) - found:
            found.add(name)
            todo.append(name)
    return found


def test_the_graph_is_read_correctly():
    assert "solvers" in GRAPH["certificate"]
    assert "rules" in GRAPH["tracing"]
    assert {"config", "experiment", "runs"} <= GRAPH["commands"]


@pytest.mark.parametrize(("below", "above"), ONE_WAY, ids=lambda name: name)
def test_imports_run_one_way(below, above):
    assert below in GRAPH
    assert above in GRAPH
    assert above not in reachable(below)


def test_no_components_import_each_other():
    TopologicalSorter(GRAPH).prepare()  # raises CycleError, which names the cycle


@pytest.mark.parametrize("outside", ["experiments", "paper_figs", "tests", "benchmarks"])
def test_the_package_imports_nothing_around_it(outside):
    assert not [file for file, tree in TREES.items() if {name.split(".")[0] for name in imports(tree)} & {outside}]


def test_heavy_packages_wait_until_they_are_used():
    public = "certificate, engines, experiment, fronts, plotting, problems, rules, solvers, tracing"
    heavy = "{'cvxpy', 'pymoo', 'matplotlib', 'sklearn', 'pandas', 'pooch'}"
    code = f"import sys\nfrom moo_mtl import {public}\nfrom moo_mtl.kinds import trace_run, train_run\n"
    code += f"print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert answer.stdout == "[]\n"


def test_no_driver_knows_a_rule_by_name_or_type():
    for pattern in DRIVERS:
        files = sorted(PACKAGE.glob(pattern))
        assert files, pattern
        for file in files:
            for node in ast.walk(TREES[file]):
                if isinstance(node, ast.Constant):
                    assert node.value not in ZOO, f"{file}:{node.lineno} names the rule {node.value!r}"
            assert not {name for name in imports(TREES[file]) if ".zoo" in name}, file
            assert "isinstance(rule" not in file.read_text(encoding="utf-8").replace("self.", ""), file


@pytest.mark.parametrize(
    "program",
    [
        "import moo_mtl",
        "from moo_mtl import MooMtlError",
        "sys.argv = ['moo-mtl', '--help']; from moo_mtl.cli import main; main()",
        "sys.argv = ['moo-mtl', 'run', '--help']; from moo_mtl.cli import main; main()",
        "sys.argv = ['moo-mtl', 'list', 'experiments']; from moo_mtl.cli import main; main()",
    ],
)
def test_help_and_import_are_light(program):
    heavy = "{'torch', 'numpy', 'scipy', 'cvxpy', 'matplotlib', 'sklearn'}"
    code = f"import atexit, sys\natexit.register(lambda: print('HEAVY', sorted({heavy} & set(sys.modules))))\n{program}"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout.endswith("HEAVY []\n")
