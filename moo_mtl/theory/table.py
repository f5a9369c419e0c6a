"""The table of verdicts: computed rule by rule, kept by content, written as Markdown and LaTeX.

Declarations say what should be: of the properties that make sense for a rule, those it declares and those that follow hold,
those under a condition hold there, and all others fail.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from moo_mtl.errors import InputError
from moo_mtl.imports import sources
from moo_mtl.naming import load
from moo_mtl.properties import Property, closure
from moo_mtl.rules.recipe import ZOO, Recipe, get
from moo_mtl.storage import write_json
from moo_mtl.theory.degree import Degree, degree
from moo_mtl.theory.example import Example, example
from moo_mtl.theory.laws import LAWS
from moo_mtl.theory.measure import Case
from moo_mtl.theory.verdict import Verdict, judge

Mark = Literal["holds", "under a condition", "fails", "undecided", "not asked"]
CACHE = Path("runs") / "theory"
_PARTS = ("theory", "rules", "solvers", "tracing", "problems", "properties.py", "observation.py", "gramian.py", "descent.py")


class Line(NamedTuple):
    """One rule's verdicts.

    Attributes:
        rule: its name.
        verdicts: by the property's name.
        conditional: verdicts under the recipe's conditions.
        examples: a counter-example for what fails, where one in small numbers was found.
        degree: of homogeneity.
    """

    rule: str
    verdicts: Mapping[str, Verdict]
    conditional: Mapping[str, Verdict]
    examples: Mapping[str, Example]
    degree: Degree

    def mark(self, property: Property) -> Mark:
        """The verdict as one word, conditions included."""
        if property.name not in self.verdicts:
            return "not asked"
        word = self.verdicts[property.name].word
        conditional = self.conditional.get(property.name)
        return "under a condition" if word == "fails" and conditional and conditional.word == "holds" else word


def recipe_of(name: str) -> Recipe:
    """A rule's recipe; for a user's ``"my_module:my_rule"`` that under its ``@recipe``, or one that declares nothing.

    Raises:
        InputError: there is no such rule.
    """
    if name in ZOO:
        return ZOO[name]
    rule, own = get(name), load(name, "rule")
    written = next((recipe for recipe in ZOO.values() if recipe.factory is own), None)
    if written is not None:
        return replace(written, name=name)
    return Recipe(name, lambda **parameters: get(name, **parameters), "", min_tasks=getattr(rule, "min_tasks", 1))


def line(name: str, *, thorough: bool = True, advance: Callable[[str], None] = lambda property: None) -> Line:
    """Try every law that makes sense on one rule, and look for plain counter-examples to what fails.

    Args:
        name: in the zoo, or ``"my_module:my_rule"``.
        thorough: as in ``judge``.
        advance: called with the name of each property when it is decided.
    """
    recipe = recipe_of(name)
    rule = recipe.probing()
    verdicts, conditional, examples = {}, {}, {}
    shared: dict[Any, Case] = {}
    for property, law in LAWS.items():
        if law.asked(rule):
            verdicts[property.name] = judge(recipe, law, thorough=thorough, cache=shared)
            if property in recipe.when:
                conditional[property.name] = judge(recipe, law, condition=recipe.when[property], thorough=thorough)
            if verdicts[property.name].word == "fails":
                found = example(recipe, law)
                if found is not None:
                    examples[property.name] = found
        advance(property.name)
    return Line(name, verdicts, conditional, examples, degree(recipe))


def lines(
    names: Iterable[str] | None = None,
    *,
    folder: Path = CACHE,
    jobs: int = 1,
    done: Callable[[str, bool], None] = lambda rule, found: None,
) -> list[Line]:
    """The lines of several rules: found where these very sources have computed them before, computed and kept otherwise.

    Args:
        names: of rules; by default the whole zoo.
        folder: where lines are kept, one file a rule, written as soon as it is known.
        jobs: processes.
        done: called with each rule's name, and whether its line was found.
    """
    wanted = sorted(ZOO) if names is None else list(names)
    places = {name: folder / f"{name.replace(':', '-')}-{_digest(name)}.json" for name in wanted}
    known = {name: read(place) for name, place in places.items() if place.exists()}
    for name in known:
        done(name, True)
    missing = [name for name in wanted if name not in known]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
    for name, found in _computed(missing, jobs):
        write_json(places[name], plain(found))
        known[name] = found
        done(name, False)
    return [known[name] for name in wanted]


def _computed(names: list[str], jobs: int) -> Iterable[tuple[str, Line]]:
    if jobs == 1 or len(names) < 2:
        yield from ((name, line(name)) for name in names)
        return
    from concurrent.futures import as_completed
    from multiprocessing import get_context

    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(line, name): name for name in names}
        for finished in as_completed(running):
            yield running[finished], finished.result()


def plain(found: Line) -> dict[str, Any]:
    """A line as what JSON can hold."""
    parts = {
        part: {name: asdict(one) for name, one in getattr(found, part).items()}
        for part in ("verdicts", "conditional", "examples")
    }
    return {"rule": found.rule, "degree": list(found.degree), **parts}


def unplain(saved: Mapping[str, Any]) -> Line:
    """A line from what ``plain`` gave."""
    verdicts, conditional = (
        {name: Verdict(**one) for name, one in saved[part].items()} for part in ("verdicts", "conditional")
    )
    examples = {name: Example(**one) for name, one in saved["examples"].items()}
    return Line(saved["rule"], verdicts, conditional, examples, Degree(*saved["degree"]))


def read(file: Path) -> Line:
    """A kept line."""
    return unplain(json.loads(file.read_text(encoding="utf-8")))


def disagreements(found: Line) -> list[str]:
    """Where a recipe's declarations and the verdicts differ, one sentence each.

    What is declared must hold, and what holds must be declared or follow, if under a condition only: where weights are not
    unique, it may hold of those that one solver gives. What is undecided may not be declared.
    """
    recipe = recipe_of(found.rule)
    spoken = closure(recipe.holds) | set(recipe.fails) | set(recipe.when)
    silent = [property for property in LAWS if property not in spoken and found.mark(property) == "holds"]
    return [*broken(found), *(_sentence(found, property, "fails") for property in silent)]


def broken(found: Line) -> list[str]:
    """Declarations that the verdicts refute, one sentence each; of what a recipe does not mention nothing is said."""
    recipe = recipe_of(found.rule)
    promised, sentences = closure(recipe.holds), []
    for property in LAWS:
        if property.name not in found.verdicts:
            continue
        word, conditional = found.verdicts[property.name].word, found.conditional.get(property.name)
        if property in promised and word != "holds":
            sentences.append(_sentence(found, property, "holds"))
        elif property in recipe.fails and property not in recipe.when and word == "holds":
            sentences.append(_sentence(found, property, "fails"))
        if conditional is not None and conditional.word != "holds":
            words = recipe.when[property].words
            sentences.append(
                f"{found.rule}: {property.name} {conditional.word} for {words} ({conditional.worst:.1e}, {conditional.at})"
            )
    return sentences


def _sentence(found: Line, property: Property, promise: str) -> str:
    verdict = found.verdicts[property.name]
    return f"{found.rule}: {property.name} {verdict.word} (worst {verdict.worst:.1e}, {verdict.at}), declared: {promise}"


@cache
def _package() -> str:
    """Digest of the sources that a verdict depends on."""
    root, digest = Path(__file__).parent.parent, hashlib.sha256()
    for part in _PARTS:
        files = sorted((root / part).rglob("*.py")) if (root / part).is_dir() else [root / part]
        for file in files:
            digest.update(f"{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _digest(name: str) -> str:
    digest = hashlib.sha256(f"{name}\0{_package()}".encode())
    if ":" in name:
        files = sources(name.split(":")[0])
        if not files:
            raise InputError(f"rule {name!r}: there is no source file of {name.split(':')[0]!r} here to keep its verdicts by")
        for file in files:
            digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
