"""Options of the Balancer that are unknown, or exclude each other."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from moo_mtl.engines import ENGINES
from moo_mtl.errors import InputError
from moo_mtl.observation import Needs
from moo_mtl.rules.rule import Rule, require_rule


def require_options(
    rule: Rule[Any],
    *,
    heads: str,
    engine: str,
    nonfinite: str,
    every: int,
    certify_every: int,
    in_part: bool,
    in_groups: bool,
    in_processes: bool,
) -> None:
    """Refuse what no step could be taken with.

    Args:
        rule: whose needs decide.
        heads: option of that name.
        engine: likewise.
        nonfinite: likewise.
        every: likewise.
        certify_every: likewise.
        in_part: whether ``gramian_of`` is given.
        in_groups: whether ``groups`` is given.
        in_processes: whether ``across`` is given.

    Raises:
        InputError: an option is unknown, or the options exclude each other.
    """
    require_rule(rule, "Balancer")
    for name, value, known in (
        ("heads", heads, ("paper", "raw", "loss", "weighted")),
        ("engine", engine, ("auto", *ENGINES)),
        ("nonfinite", nonfinite, ("raise", "skip")),
    ):
        if value not in known:
            raise InputError(f"Balancer: {name} {value!r} is unknown; expected one of {', '.join(known)}")
    for name, count, least in (("every", every, 1), ("certify_every", certify_every, 0)):
        if not isinstance(count, Integral) or count < least:
            raise InputError(f"Balancer: {name} must be a whole number of at least {least}, found {count!r}")
    if in_part and (in_groups or Needs.ROWS in rule.needs):
        raise InputError("Balancer: gramian_of does not go with groups=, nor with a rule that looks at rows; leave it out")
    if in_processes and engine in ("gramian", "features"):
        raise InputError(
            f"Balancer: engine {engine!r} holds no rows that several processes could add up; "
            f"use 'auto', 'looped', 'vmapped' or 'products'"
        )
    if engine == "features" and certify_every:
        raise InputError("Balancer: the Gramian of features certifies nothing about the shared parameters; use another engine")
    if every > 1 and Needs.AFTER in rule.needs:
        raise InputError(
            f"Balancer: {rule.name} learns from the losses after every step, and every={every} would not ask it; use every=1"
        )
    if every > 1 and Needs.ROWS in rule.needs:
        raise InputError(
            f"Balancer: {rule.name} gives a direction, not weights that could be kept for {every} steps; use every=1"
        )
