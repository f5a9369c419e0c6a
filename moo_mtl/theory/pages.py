"""The theory pages that are computed: ``python -m moo_mtl.theory.pages`` writes them from the committed verdicts.

``python -m moo_mtl.theory.pages verdicts`` first computes the verdicts, or finds them under ``runs/theory``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from moo_mtl.rules.recipe import ZOO
from moo_mtl.theory import writing
from moo_mtl.theory.claims import CLAIMS
from moo_mtl.theory.equivalence import COINCIDENCES, atlas
from moo_mtl.theory.laws import LAWS
from moo_mtl.theory.table import Line, lines, plain, unplain

FOLDER = Path("docs") / "theory"
MINUTES = 5  # of CPU time that all verdicts took when the page was written


def stored(folder: Path = FOLDER) -> list[Line]:
    """The committed verdicts."""
    return [unplain(one) for one in json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))]


def store(found: Sequence[Line], folder: Path = FOLDER) -> None:
    """Write verdicts, a rule a line."""
    text = ",\n".join(json.dumps(plain(one), separators=(",", ":")) for one in found)
    (folder / "verdicts.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")


def table_page(found: Sequence[Line]) -> str:
    """The page ``table.md``."""
    cases = sum(verdict.cases for line in found for verdict in line.verdicts.values())
    marks = [line.mark(property) for line in found for property in LAWS]
    counts = {mark: marks.count(mark) for mark in writing.MARKS}
    return _TABLE_PAGE.format(
        rules=len(found),
        properties=len(LAWS),
        holds=counts["holds"],
        conditional=counts["under a condition"],
        fails=counts["fails"],
        undecided=counts["undecided"],
        cases=f"{cases:,}",
        minutes=MINUTES,
        tried=writing.grounds(),
        degrees=_degrees(found),
        table=writing.markdown(found),
        conditions=writing.conditions(found),
        implications="; ".join(_implications()),
        claims=_claims(),
    )


def _implications() -> list[str]:
    from moo_mtl.properties import ALL, IMPLICATIONS

    return [
        " and ".join(property.name for property in ALL if property in premises) + f" give {conclusion.name}"
        for premises, conclusion in IMPLICATIONS
    ]


def _claims() -> str:
    parts = []
    for claim in CLAIMS:
        weights, rates, measured = claim.answer()
        gradients = ", ".join("(" + ", ".join(f"{x:g}" for x in row) + ")" for row in claim.rows)
        numbers = [", ".join(f"{x:.3g}" for x in one.tolist()) for one in (weights, rates)]
        losses = ", ".join(f"{x:g}" for x in claim.losses)
        parts += [
            f"- **{claim.says}** {claim.but}",
            f"  Losses {losses}; gradients {gradients}; weights {numbers[0]}; rates {numbers[1]};",
            f"  {claim.quantity}: {measured:.3g}.",
        ]
    return "\n".join(parts) + "\n"


def _degrees(found: Sequence[Line]) -> str:
    """Rules by their degree."""
    by_degree: dict[str, list[str]] = {}
    for line in found:
        label = line.degree.words() if line.degree.value is not None else "none"
        by_degree.setdefault(label, []).append(f"`{line.rule}`")
    rows = [f"| {label} | {', '.join(names)} |" for label, names in sorted(by_degree.items())]
    return "\n".join(["| degree | rules |", "|---|---|", *rows]) + "\n"


def examples_page(found: Sequence[Line]) -> str:
    """The page ``counterexamples.md``."""
    return _EXAMPLES_PAGE + writing.examples(found)


def coincidences(K: int) -> str:
    """The groups of rules that are one for K tasks."""
    return "\n".join("- " + ", ".join(f"`{name}`" for name in group) for group in sorted(atlas(K).coincident()))


def equivalences_page() -> str:
    """The page ``equivalences.md``."""
    parts = [_EQUIVALENCES_PAGE]
    for K in (2, 3):
        parts += [f"## K = {K}", "", "The same direction on every observation (mean angle below 0.001 degrees):", ""]
        parts += [coincidences(K), "", f"![Tree and map of angles, K = {K}](equivalences-{K}.png)", ""]
    parts += ["## Known coincidences and limits", "", "| what | K | largest angle, degrees |", "|---|---|---|"]
    for one in COINCIDENCES:
        limit = ", ".join(f"{one.apart(value):.2g} at {value:g}" for value in one.along)
        found = limit or f"{one.apart():.1e}"
        parts.append(f"| {one.words} | {', '.join(map(str, one.tasks))} | {found} |")
    return "\n".join(parts) + "\n"


def main(folder: Path = FOLDER) -> None:
    """Write the pages."""
    if "verdicts" in sys.argv[1:]:
        store(lines(sorted(ZOO), done=lambda name, kept: print(name, "kept" if kept else "", flush=True)), folder)
    found = stored(folder)
    for name, text in (
        ("table.md", table_page(found)),
        ("counterexamples.md", examples_page(found)),
        ("equivalences.md", equivalences_page()),
    ):
        (folder / name).write_text(text, encoding="utf-8")


_TABLE_PAGE = """# What each rule guarantees

{rules} rules, {properties} properties. Each verdict was tried, none copied from a paper: {holds} hold, {conditional} hold
under a condition, {fails} fail, {undecided} are undecided; {cases} episodes in all.

![Table of verdicts](table.png)

```console
$ moo-mtl theory table --format png --out docs/theory/table.png  # {minutes} minutes of one core, once
```

A property **holds** when no violation beyond rounding (1e-6, relative) is found on random gradients of every family and
number of tasks, nor by an adversary that moves them to raise it: up the gradient through the rule where automatic
differentiation gives the right slope, by CMA-ES otherwise. Continuity, noise and convergence are long computations and rely
on random draws alone. A property **fails** by example; [counterexamples.md](counterexamples.md) has one in short numbers for
nearly every cell. It holds **if** its condition, tried in the same way, is met. An empty cell: the property makes no sense for
the rule.

Losses lie between 0.3 and 3, preferences are positive, rules have their default hyper-parameters, or those that make a warm-up
short. A violation that changes when all numbers are shaken by 1e-13 is rounding and does not count; Aligned-MTL, which needs
the small eigenvalues of the Gramian, is not tried on lengths over six decades. "Holds" is evidence, not a proof.

`moo-mtl theory check --rule my_module:my_rule` gives the same verdicts for a rule of yours; `moo-mtl theory table` computes
this table, and `python -m moo_mtl.theory.pages verdicts` also writes the page. The properties in words and formulas:
[properties.md](properties.md). Where rules lead: [landing.md](landing.md). Which rules are one:
[equivalences.md](equivalences.md).

## Against what is said

Losses and gradients to check by hand. The rate of a task is the inner product of its gradient with the step; a negative rate
is a loss that rises. A test recomputes every line.

{claims}
## The table

{table}
## Conditions

{conditions}
What follows from declared properties is not declared again: {implications}.

## Degree of homogeneity

When all losses are multiplied by s, the length of the step is multiplied by $s^p$; the degree p is measured for s = 1/4 and
4 over four steps. A learning rate that suits a rule of degree 0 suits it in any unit of the losses; at degree 1 it must be
divided by the factor.

{degrees}
FairGrad's step is cut to length 1; without that (`max_norm=None`) its degree is $(1 - \\alpha) / (1 + \\alpha)$.

## Where each is tried

{tried}"""

_EXAMPLES_PAGE = """# Counter-examples

For each property the rules that lack it, and numbers that show it: the plainest of small numbers found in the smallest shape
that has any. A vector is in parentheses, steps follow each other with "then", gradients are one vector a task, weights are
what the rule answers. The changes that a property speaks of are fixed: factors 100, 1, 1/100, 10, 1/10 on the losses (and
gradients) of tasks 1, 2, ...; constants 3, 1, 2; transformations l + b l^2 with b = 1, 0, 3; a common factor or constant of 4;
one loss raised by a fifth. The violation is relative: 1 is as large as the step's own parts. A test recomputes every row. What
fails under noise or by not converging is a computation longer than a hand's and has no row.

"""

_EQUIVALENCES_PAGE = """# Rules that are one

The mean angle between two rules' directions, over four steps on the same losses and gradients (random, conflicting, and with
lengths over six decades; preferences equal). Members of populations are left out. The command computes the angles, draws tree
and map, and names the groups that coincide; the page is written by `python -m moo_mtl.theory.pages`.

```console
$ moo-mtl theory equivalences --tasks 2 --out docs/theory  # a minute
$ moo-mtl theory equivalences --tasks 3 --out docs/theory  # a minute
```

Some coincidences are of the first steps only: rules that learn their weights slowly (UW, IMTL-L, FAMO) still are what they
start from, the sum or the sum of logarithms.
"""


if __name__ == "__main__":
    main()
