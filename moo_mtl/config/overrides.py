"""Settings of the command line, ``key=value``, and what they do to a table."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

from moo_mtl.errors import InputError


def assignments(settings: Sequence[str]) -> dict[str, Any]:
    """``key=value`` strings as a table.

    >>> assignments(["subset=yeast", "widths=[8, 4]"])
    {'subset': 'yeast', 'widths': [8, 4]}

    Raises:
        InputError: one is not of that form.
    """
    table: dict[str, Any] = {}
    for assignment in settings:
        override(table, assignment)
    return table


def override(table: dict[str, Any], assignment: str) -> None:
    """Apply one ``key=value``: dotted keys, list items counted from 0; a name becomes a table when a parameter is set."""
    path, equals, text = assignment.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise InputError(
            f"--set {assignment!r} is not of the form key=value, such as --set steps=100 or --set problem.scale=0.1"
        )
    node: Any = table
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        slot: Any = key
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                where = ".".join(keys[:depth])
                raise InputError(f"--set {assignment!r}: {where} is a list of {len(node)}; write {where}.0 for its first item")
            slot = int(key)
        elif not isinstance(node, dict):
            raise InputError(f"--set {assignment!r}: {'.'.join(keys[:depth])} is {node!r}, which has no keys")
        if last:
            node[slot] = _toml_value(text.strip(), assignment)
            return
        below = node.get(slot, {}) if isinstance(node, dict) else node[slot]
        node[slot] = {"name": below} if isinstance(below, str) else below
        node = node[slot]


def _toml_value(text: str, assignment: str) -> Any:
    try:
        if "\n" not in text:
            return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if text.replace("-", "").replace(":", "").replace(".", "").isidentifier():
            return text  # a bare word, so that --set rule=mgda needs no quotes within quotes
    raise InputError(f'--set {assignment!r}: {text!r} is not a TOML value; numbers, "strings", [lists] and true or false are')
