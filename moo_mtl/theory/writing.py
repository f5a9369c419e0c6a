"""Verdicts and counter-examples in Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moo_mtl.observation import Needs
from moo_mtl.properties import Property, closure
from moo_mtl.theory.example import Example
from moo_mtl.theory.laws import LAWS
from moo_mtl.theory.table import Line, Mark, recipe_of
from moo_mtl.theory.verdict import NOT_A_NUMBER

MARKS: dict[Mark, str] = {"holds": "yes", "under a condition": "if", "fails": "no", "undecided": "?", "not asked": ""}
GROUPS: tuple[tuple[str, slice], ...] = (
    ("Weights", slice(0, 6)),
    ("Descent", slice(6, 12)),
    ("Changes of the losses", slice(12, 22)),
    ("Tasks, chance, memory", slice(22, 27)),
    ("Continuity, noise, convergence", slice(27, None)),
)


def grouped() -> list[tuple[str, list[Property]]]:
    """The properties of each part of the table."""
    properties = list(LAWS)
    return [(title, properties[part]) for title, part in GROUPS]


def markdown(found: Sequence[Line]) -> str:
    """One table a group of properties: a rule a row, a property a column."""
    parts = []
    for title, properties in grouped():
        parts += [f"### {title}", "", "| rule | " + " | ".join(property.name for property in properties) + " |"]
        parts += ["|---|" + ":-:|" * len(properties)]
        for line in found:
            cells = [MARKS[line.mark(property)] for property in properties]
            parts.append(f"| `{line.rule}` | " + " | ".join(cells) + " |")
        parts.append("")
    return "\n".join(parts)


def conditions(found: Sequence[Line]) -> str:
    """What the table's "if" stands for, and what the cases were."""
    parts = ["| rule | property | holds if |", "|---|---|---|"]
    for line in found:
        recipe = recipe_of(line.rule)
        for property in LAWS:
            if line.mark(property) == "under a condition":
                parts.append(f"| `{line.rule}` | {property.name} | {recipe.when[property].words} |")
    return "\n".join(parts) + "\n"


def grounds() -> str:
    """Every property with the families of gradients and the numbers of tasks on which it is tried."""
    parts = ["| property | families | K |", "|---|---|---|"]
    for property, law in LAWS.items():
        families = ", ".join(law.families).replace("_", " ")
        parts.append(f"| {property.name} | {families} | {', '.join(map(str, law.tasks))} |")
    return "\n".join(parts) + "\n"


def latex(found: Sequence[Line]) -> str:
    """One ``tabular`` with rotated heads; needs the packages ``booktabs``, ``graphicx`` and ``amssymb``."""
    signs = {"holds": r"$\checkmark$", "under a condition": r"($\checkmark$)", "fails": "--", "undecided": "?", "not asked": ""}
    heads = " & ".join(rf"\rotatebox{{90}}{{{property.name}}}" for property in LAWS)
    rows = [
        " & ".join([rf"\texttt{{{line.rule}}}", *(signs[line.mark(property)] for property in LAWS)]) + r" \\" for line in found
    ]
    columns = "l" + "c" * len(LAWS)
    head = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", rf"rule & {heads} \\", r"\midrule"]
    return "\n".join([*head, *rows, r"\bottomrule", r"\end{tabular}"]) + "\n"


def examples(found: Sequence[Line]) -> str:
    """The page of counter-examples: a table a property."""
    parts = []
    for property in LAWS:
        failing = [line for line in found if property.name in line.examples]
        if not failing:
            continue
        parts += [f"## {property.name}", "", property.statement, "", "| rule | losses | gradients | weights | violation |"]
        parts += ["|---|---|---|---|---|"]
        parts += [_row(line.rule, line.examples[property.name]) for line in failing]
        parts.append("")
    return "\n".join(parts)


def _row(rule: str, example: Example) -> str:
    name = f"`{rule}`"
    if recipe_of(rule).probe:
        name += " (" + ", ".join(f"{key} = {value}" for key, value in recipe_of(rule).probe.items()) + ")"
    needs = recipe_of(rule).probing().needs
    extra = ""
    if Needs.PREFERENCE in needs and Needs.POPULATION not in needs:
        extra = "; preference " + _tuple(example.preference)
    if Needs.NOISE in needs:
        extra += "; random numbers " + _steps(example.noise)
    cells = (name, _steps(example.losses) + extra, _steps(example.rows), _steps(example.weights), f"{example.violation:.2g}")
    return "| " + " | ".join(cells) + " |"


def inline(example: Example) -> str:
    """An example in one line: losses; gradients; weights."""
    return "; ".join(_steps(part) for part in (example.losses, example.rows, example.weights))


def _steps(value: Any) -> str:
    """Steps apart by ``then``."""
    return " then ".join(_tuple(step) for step in value)


def _tuple(value: Any) -> str:
    if not isinstance(value, list):
        return f"{value:.4g}" if isinstance(value, float) else str(value)
    return "(" + ", ".join(_tuple(inner) for inner in value) + ")"


def declared(found: Line) -> list[tuple[str, str, str, str]]:
    """For one rule: property, verdict, cases and worst, and what was declared."""
    recipe = recipe_of(found.rule)
    promised = closure(recipe.holds)
    rows: list[tuple[str, str, str, str]] = []
    for property in LAWS:
        if property.name in found.verdicts:
            verdict = found.verdicts[property.name]
            how = f"{verdict.cases} cases" + (f", {verdict.adversary}" if verdict.adversary else "")
            worst = f"worst {verdict.worst:.1e}" if verdict.worst < NOT_A_NUMBER else "not finite on"
            says = "holds" if property in promised else "fails" if property in recipe.fails else ""
            says = f"if {recipe.when[property].words}" if property in recipe.when else says
            rows.append((property.name, verdict.word, f"{how}; {worst} {verdict.at}".rstrip(), says))
    return rows


def unusable(found: Line) -> list[str]:
    """Where a rule's answer is not finite, if anywhere, in one sentence: much fails for that reason alone."""
    places = {verdict.at for verdict in found.verdicts.values() if verdict.worst >= NOT_A_NUMBER}
    if not places:
        return []
    hint = "; give a task whose gradient is zero the weight 0" if any("zero_row" in place for place in places) else ""
    return [f"{found.rule}: its answer is not finite on {' and '.join(sorted(places))}; what fails there says no more{hint}"]
