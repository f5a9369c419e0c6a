"""A colour for each rule of a report: its own, or where another rule of the report has that one, the next that is free."""

from __future__ import annotations

from collections.abc import Sequence

from moo_mtl.plotting.style import COLOURS, look


def colours(rules: Sequence[str]) -> dict[str, str]:
    """One colour a rule; beyond as many as there are, colours repeat.

    >>> colours(["mgda", "tchebycheff", "equal"])
    {'mgda': '#E69F00', 'tchebycheff': '#009E73', 'equal': '#0072B2'}
    """
    own = {rule: look(rule).colour for rule in rules}
    chosen: dict[str, str] = {}
    for rule in rules:
        claimed = {own[other] for other in rules if other not in chosen and own[other] != own[rule]} | set(chosen.values())
        free = [colour for colour in COLOURS if colour not in claimed] or [
            colour for colour in COLOURS if colour not in chosen.values()
        ]
        chosen[rule] = own[rule] if own[rule] not in chosen.values() or not free else free[0]
    return chosen
