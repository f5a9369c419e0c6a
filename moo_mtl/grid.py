"""Grids: a table in which a key may have several values becomes a list of tables in which every key has one.

Several values are a list, where a single value is none, or a table that says how they are made::

    lr = { log = [1e-4, 1e-1], n = 7 }          # evenly spaced logarithms, both ends included, to six significant digits
    clip = { linear = [0.5, 1.5], n = 3 }       # evenly spaced numbers
    seed = { range = 10 }                       # 0 to 9; { range = [5, 10] } is 5 to 9
    starts = { each = [[[0, 0]], [[1, 1]]] }    # any values, also where one value is itself a list

The tables also stand for parameters, as in ``rule = { name = "db-mtl", beta = { each = [0.1, 0.9] } }``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from itertools import product
from typing import Any

from moo_mtl.errors import InputError

FORMS = ("each", "range", "linear", "log")
SPELT = "{each = [...]}, {range = n}, {range = [first, end]}, {linear = [low, high], n = ...} or {log = [low, high], n = ...}"
DIGITS = 6  # of spaced numbers: what a table shows is what was run, and can be written into another file


def expand(table: Mapping[str, Any], lists: Collection[str]) -> list[dict[str, Any]]:
    """Every combination of the values of a table's keys; the last key varies fastest.

    >>> expand({"rule": ["mgda", "equal"], "seed": {"range": 2}}, lists=[])[2]
    {'rule': 'equal', 'seed': 0}

    Args:
        table: keys and what stands for their values.
        lists: keys of which one value is a list already; a bare list is then one value.

    Raises:
        InputError: a form is not one of those above, its numbers are no range, or there is no value.
    """
    values = {key: _values(key, value, bare_list=key not in lists) for key, value in table.items()}
    return [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]


def _values(key: str, value: Any, *, bare_list: bool) -> list[Any]:
    if isinstance(value, list) and bare_list:
        if not value:
            raise InputError(f"{key} is an empty list; name at least one")
        return [single for item in value for single in _values(key, item, bare_list=False)]
    if not isinstance(value, Mapping):
        return [value]
    if "name" not in value and any(form in value for form in FORMS):
        return _formed(key, value)
    parameters = {name: _values(f"{key}.{name}", item, bare_list=False) for name, item in value.items()}
    return [dict(zip(parameters, combination, strict=True)) for combination in product(*parameters.values())]


def _formed(key: str, value: Mapping[str, Any]) -> list[Any]:
    (form, argument), *others = sorted(value.items(), key=lambda item: item[0] not in FORMS)
    wants = {"n"} if form in ("linear", "log") else set()
    if {name for name, _ in others} != wants:
        raise InputError(f"{key}: {dict(value)} is no list of values; expected {SPELT}")
    if form == "each":
        if not isinstance(argument, list) or not argument:
            raise InputError(f"{key}: each must be a list of at least one value, found {argument!r}")
        return list(argument)
    if form == "range":
        first, end = argument if isinstance(argument, list) and len(argument) == 2 else (0, argument)
        if not (_whole(first) and _whole(end) and first < end):
            raise InputError(
                f"{key}: range must be a whole number above 0, or [first, end] with first < end, found {argument!r}"
            )
        return list(range(first, end))
    return _spaced(key, form, argument, value["n"])


def _spaced(key: str, form: str, ends: Any, n: Any) -> list[float]:
    numbers = isinstance(ends, list) and len(ends) == 2 and all(_number(end) for end in ends)
    if not numbers or not ends[0] < ends[1] or (form == "log" and ends[0] <= 0):
        least = "0 < low < high" if form == "log" else "low < high"
        raise InputError(f"{key}: {form} must be [low, high] with {least}, found {ends!r}")
    if not _whole(n) or n < 2:
        raise InputError(f"{key}: n must be a whole number of at least 2, found {n!r}")
    low, high = (float(end) for end in ends)
    shares = [place / (n - 1) for place in range(n)]
    if form == "log":
        inner = [math.exp((1 - share) * math.log(low) + share * math.log(high)) for share in shares[1:-1]]
    else:
        inner = [(1 - share) * low + share * high for share in shares[1:-1]]
    return [low, *(float(f"{value:.{DIGITS}g}") for value in inner), high]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
