"""The page on heads says what the rules do."""

import re
from pathlib import Path

import pytest
import torch

from moo_mtl import Needs, Observation, rules

PAGE = (Path(__file__).parents[1] / "docs" / "heads.md").read_text(encoding="utf-8")
LINES = re.findall(r'^\| (`.*?`) \| .* \| `"(\w+)"` \|$', PAGE, flags=re.MULTILINE)
TABLE = {name: option for names, option in LINES for name in re.findall(r"`([\w-]+)`", names)}
POPULATION = {name for name in rules.ZOO if Needs.POPULATION in rules.get(name).needs}


def weighing(name):
    """One step on five tasks that conflict, with losses away from 1."""
    torch.manual_seed(0)
    rule = rules.get(name)
    rows, losses = torch.randn(5, 7, dtype=torch.float64), torch.rand(5, dtype=torch.float64) + 0.3
    shown = {"gramian": rows @ rows.T, "rows": rows, "cross": rows @ rows.T, "preference": torch.full_like(losses, 0.2)}
    obs = Observation(losses, noise=torch.rand(max(rule.draws(5, 7), 1), dtype=torch.float64), **shown)
    return rule.weigh(obs, rule.init(obs))[0]


def test_every_rule_is_on_the_page():
    assert set(TABLE) == set(rules.ZOO) - POPULATION


@pytest.mark.parametrize("name", TABLE)
def test_the_page_names_the_option_that_gives_the_paper_s_factor(name):
    found = weighing(name)
    ones = torch.ones_like(found.weights)
    paper = found.weights if found.heads is None else found.heads
    slope = ones if found.slope is None else found.slope
    same = {"weighted": found.weights, "loss": slope, "raw": ones}[TABLE[name]]
    torch.testing.assert_close(paper, same, rtol=1e-12, atol=0)


def test_the_page_s_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(code, {})
