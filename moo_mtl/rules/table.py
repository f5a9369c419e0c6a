"""The zoo as a table: what each rule looks at, keeps, costs and promises. ``python -m moo_mtl.rules.table`` writes it out."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import NamedTuple

import torch

from moo_mtl import properties
from moo_mtl.observation import Needs, Observation
from moo_mtl.rules.recipe import ZOO, Recipe
from moo_mtl.rules.rule import Rule
from moo_mtl.state import flatten

_INPUTS = {
    Needs.LOSSES: "losses",
    Needs.GRAMIAN: "Gramian",
    Needs.PRODUCTS: "products with the Gramian",
    Needs.CROSS: "cross-Gramian",
    Needs.ROWS: "rows",
    Needs.NOISE: "noise",
    Needs.PREFERENCE: "preference",
    Needs.POPULATION: "population",
    Needs.AFTER: "losses after",
    Needs.EPOCH: "epochs",
}


class Entry(NamedTuple):
    """One rule in words.

    Attributes:
        inputs: what it looks at.
        state: what it keeps, in numbers per task (K), parameter (D), pair, and so on.
        cost: of one step beyond the forward pass; solving in K dimensions is not counted.
    """

    recipe: Recipe
    summary: str
    inputs: str
    state: str
    cost: str


def entries() -> Iterator[Entry]:
    """Every rule with its default hyper-parameters, by name."""
    for _, recipe in sorted(ZOO.items()):
        rule = recipe.factory()
        summary = (inspect.getdoc(recipe.factory) or "").split("\n\n")[0].replace("\n", " ")
        inputs = ", ".join(word for need, word in _INPUTS.items() if need in rule.needs) or "nothing"
        yield Entry(recipe, summary, inputs, _state(rule, recipe), _cost(rule.needs))


def markdown() -> str:
    """The page ``docs/rules.md``."""
    lines = [
        "# Rules",
        "",
        f"All {len(ZOO)} rules of `moo_mtl.rules.ZOO`, with their default hyper-parameters. This page is written by",
        "`python -m moo_mtl.rules.table`; every property in it is tested: what holds, on random gradients of several",
        "geometries; what fails, by a counter-example.",
        "",
        "K is the number of tasks, D the number of shared parameters. A backward pass for each task is K times the cost of one",
        "through their sum; where only inner products are needed, engines can do with less.",
        "",
        "| rule | looks at | keeps | costs | holds | fails | source |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_row(entry) for entry in entries()]
    lines += ["", "## What each one does", ""]
    lines += [f"- **{entry.recipe.name}**: {entry.summary}" for entry in entries()]
    return "\n".join(lines) + "\n"


def properties_markdown() -> str:
    """The page ``docs/theory/properties.md``."""
    lines = [
        "# The properties",
        "",
        "What a recipe may declare: `from moo_mtl.properties import common_descent`, with underscores for spaces. In every",
        "formula $d = J^\\top w$ is the direction and $G$ the Gramian of the K gradients; a statement is made for every input",
        "on which the rule is defined. What a rule declares is tested on random gradients of several geometries, what it",
        "denies by a counter-example. The [table of rules](../rules.md) says which rule has which, and",
        "[own rule](../how-to/own-rule.md) how to try them on yours.",
        "This page is written by `python -m moo_mtl.rules.table`.",
        "",
        "| name | in words | as a formula |",
        "|---|---|---|",
    ]
    for property in properties.ALL:
        formula = property.latex.replace("|", "\\vert ")
        lines.append(f"| {property.name} | {property.statement} | ${formula}$ |")
    return "\n".join(lines) + "\n"


def _row(entry: Entry) -> str:
    recipe = entry.recipe
    fails = [
        f"{property.name} (holds: {recipe.when[property].words})" if property in recipe.when else property.name
        for property in recipe.fails
    ]
    holds = ", ".join(property.name for property in recipe.holds)
    tasks = f"K >= {recipe.min_tasks}" if recipe.min_tasks > 1 else ""
    tasks = f"K = {recipe.max_tasks}" if recipe.max_tasks == recipe.min_tasks else tasks
    name = f"`{recipe.name}`" + (f" ({tasks})" if tasks else "")
    cells = (name, entry.inputs, entry.state, entry.cost, holds, ", ".join(fails), recipe.cite)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cost(needs: Needs) -> str:
    if Needs.CROSS in needs:
        cost = "K backward passes on each of 2 or 3 batches"
    elif needs & (Needs.GRAMIAN | Needs.ROWS | Needs.PRODUCTS):
        cost = "K backward passes"
    else:
        cost = "1 backward pass"
    return cost + (", 1 forward pass" if Needs.AFTER in needs else "")


def _state(rule: Rule[object], recipe: Recipe) -> str:
    """Sizes of the state's tensors, read off a state for K and D that no other size equals."""
    K, D = (recipe.max_tasks or 11), 101
    losses = torch.ones(3, K)
    seen = Observation(losses, gramian=torch.eye(K).expand(3, K, K), rows=torch.ones(3, K, D))
    letters = {K: "K", D: "D"}
    sizes: dict[str, int] = {}
    for leaf in flatten(rule.init(seen)).values():
        size = " x ".join(letters.get(length, str(length)) for length in leaf.shape[1:] if length != 1) or "1"
        sizes[size] = sizes.get(size, 0) + 1
    return ", ".join(f"{count} x {size}" if count > 1 else size for size, count in sizes.items()) or "nothing"


if __name__ == "__main__":
    from pathlib import Path

    Path("docs/rules.md").write_text(markdown(), encoding="utf-8")
    Path("docs/theory/properties.md").write_text(properties_markdown(), encoding="utf-8")
