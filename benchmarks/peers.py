"""Other people's libraries as they are released, and what keeps one from running."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

PEERS = ("torchjd", "LibMTL", "libmoon", "cvxpy", "quadprog", "pymoo")


def available(name: str) -> ModuleType | None:
    """The module, or ``None`` where it cannot be imported; ``state`` says why."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def state(name: str, module: str | None = None) -> tuple[str, str]:
    """A release's version, and whether importing it works: ``"runs"``, or its error."""
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "-", "not installed"
    try:
        importlib.import_module(module or name)
    except Exception as error:
        return version, f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return version, "runs"


def libmtl_rule(name: str) -> Any:
    """LibMTL's class of a rule, read past the package's ``__init__``, which wants a torchvision that no longer exists.

    The class expects to be a parent of a model: ``LibMTLModel`` gives it what it looks for.
    """
    if "LibMTL.weighting" not in sys.modules:
        spec = importlib.util.find_spec("LibMTL")
        if spec is None or not spec.submodule_search_locations:
            return None
        root = Path(next(iter(spec.submodule_search_locations)))
        for package, folder in (("LibMTL", root), ("LibMTL.weighting", root / "weighting")):
            module = ModuleType(package)
            module.__path__ = [str(folder)]
            sys.modules[package] = module
    return getattr(importlib.import_module(f"LibMTL.weighting.{name}"), name)
