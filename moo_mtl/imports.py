"""The source files that a user's module is made of: its own, and those of its neighbours that it imports, directly or not."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path


def sources(module: str) -> list[Path]:
    """The module's file, and those of the modules it imports that lie below its folder or below the current directory.

    Import statements are read, not executed: so the answer depends on no other module that happens to be loaded. What is
    installed, this package included, is left to its version; a module imported by a name computed while running is missed.

    >>> sources("no_such_module")
    []
    """
    found: dict[Path, None] = {}
    first = _installed_or_here(module)
    if first is None:
        return []
    depth = len(module.split(".")) + (first.name == "__init__.py")
    roots = [root for root in dict.fromkeys((Path.cwd(), first.parents[depth - 1])) if not _is_installed(root)]
    waiting = [(module, first)]
    while waiting:
        name, file = waiting.pop()
        if file in found:
            continue
        found[file] = None
        for imported in _imported(name, file):
            waiting += [(part, path) for part in _with_parents(imported) if (path := _below(roots, part)) is not None]
    return sorted(found)


def _installed_or_here(module: str) -> Path | None:
    here = _below([Path.cwd()], module)
    if here is not None:
        return here
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None  # a word with a colon that is no module; if one was meant, loading it says so
    return Path(spec.origin) if spec and spec.origin and spec.has_location else None


def _imported(module: str, file: Path) -> Iterator[str]:
    """The names that a file's import statements may stand for; not all of them need be modules."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return  # loading it says so, or it is compiled
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _with_parents(module: str) -> list[str]:
    """``a``, ``a.b`` and ``a.b.c`` of ``a.b.c``: importing it executes all of them."""
    parts = module.split(".")
    return [".".join(parts[: n + 1]) for n in range(len(parts))]


def _below(roots: list[Path], module: str) -> Path | None:
    parts = module.split(".")
    if not all(parts) or parts[0] in {"moo_mtl", *sys.stdlib_module_names}:
        return None
    for root in roots:
        place = root.joinpath(*parts)
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if file.is_file() and not _is_installed(file):
                return file
    return None


def _is_installed(path: Path) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts)
