"""The page of rules is what the recipes say."""

from pathlib import Path

from moo_mtl.rules import ZOO, table

PAGE = Path(__file__).parent.parent / "docs" / "rules.md"


def test_page_is_not_stale():
    assert PAGE.read_text(encoding="utf-8") == table.markdown(), "run python -m moo_mtl.rules.table"


def test_the_page_of_properties_is_not_stale():
    page = PAGE.parent / "theory" / "properties.md"
    assert page.read_text(encoding="utf-8") == table.properties_markdown(), "run python -m moo_mtl.rules.table"


def test_every_rule_has_a_row_with_inputs_state_and_cost():
    entries = {entry.recipe.name: entry for entry in table.entries()}
    assert entries.keys() == ZOO.keys()
    assert entries["equal"].inputs == "nothing"
    assert (entries["famo"].inputs, entries["famo"].cost) == ("losses, losses after", "1 backward pass, 1 forward pass")
    assert entries["gradvac"].state == "K x K"
    assert entries["moco"].state == "K x D, 2 x K"
    assert entries["modo"].cost == "K backward passes on each of 2 or 3 batches"


def test_every_recipe_cites_and_explains():
    for entry in table.entries():
        assert len(entry.recipe.cite) > 30, entry.recipe.name
        assert entry.summary.endswith((".", ":")), entry.recipe.name
