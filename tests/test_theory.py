"""Verdicts, counter-examples, claims, coincidences and landing maps."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from moo_mtl import Needs, Rule, Weighing, properties, rules
from moo_mtl.cli import app
from moo_mtl.errors import InputError
from moo_mtl.rules import ZOO
from moo_mtl.theory import writing
from moo_mtl.theory.claims import CLAIMS
from moo_mtl.theory.episode import drawn, normals_wanted, sampled, told
from moo_mtl.theory.equivalence import COINCIDENCES, atlas
from moo_mtl.theory.example import example
from moo_mtl.theory.families import EVERY, conflicting, gaussian, strongly_stationary, weakly_stationary
from moo_mtl.theory.landing import RATIOS
from moo_mtl.theory.landscape import bowls, land
from moo_mtl.theory.laws import LAWS
from moo_mtl.theory.laws.convergence import approach
from moo_mtl.theory.measure import Case
from moo_mtl.theory.rates import pace
from moo_mtl.theory.search import Hunt, climb, differentiable, evolve
from moo_mtl.theory.table import line, lines, plain, recipe_of, unplain
from moo_mtl.theory.verdict import judge, violations


def test_every_property_is_imported_by_its_name():
    for property in properties.ALL:
        assert getattr(properties, property.name.lower().replace(" ", "_")) is property


def test_every_property_has_a_law():
    assert set(LAWS) == set(properties.ALL)
    assert {property for _, part in writing.grouped() for property in part} == set(LAWS)


@pytest.mark.parametrize("name", list(EVERY))
@pytest.mark.parametrize("K", [1, 2, 3, 20])
def test_families_are_what_they_say(name, K):
    z = torch.randn(50, K + 1, K + 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = EVERY[name](z)
    assert rows.shape == (50, K, K + 3)
    G = rows @ rows.mT
    if name == "conflicting":
        off = ~torch.eye(K, dtype=torch.bool)
        assert (G[:, off] < 0).all()
        assert (torch.linalg.eigvalsh(G)[:, 0] > 0).all()
    if name in ("strongly_stationary", "weakly_stationary"):
        assert (torch.linalg.eigvalsh(G)[:, 0].abs() <= 1e-12 * G.diagonal(dim1=1, dim2=2).sum(dim=1)).all()
    if name == "rank_one":
        assert (torch.linalg.matrix_rank(rows) == 1).all()
    if name == "plane":
        assert (torch.linalg.matrix_rank(rows) == min(K, 2)).all()


def test_weakly_stationary_rows_have_no_positive_combination():
    z = torch.randn(20, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = weakly_stationary(z)
    assert (rows[:, :2, 0] == 0).all()
    assert (rows[:, 2:, 0] == 1).all()
    assert strongly_stationary(z).shape == conflicting(z).shape == (20, 4, 7)


class TurnsBack(Rule[tuple[()]]):
    """Equal weights, but for pairs of nearly equal direction: there the first weight falls, and below zero at the end."""

    name, needs = "turns-back", Needs.GRAMIAN

    def weigh(self, obs, state):
        G = obs.gramian
        cosine = G[..., 0, 1] / (G[..., 0, 0] * G[..., 1, 1]).sqrt()
        weights = torch.ones_like(obs.losses)
        return Weighing(torch.cat([(1.2 - 1.3 * cosine.abs() ** 8)[..., None], weights[..., 1:]], dim=-1)), state


def test_the_adversary_climbs_through_a_rule_that_can_be_differentiated():
    hunt = Hunt(LAWS[properties.common_descent], rules.get("equal"), gaussian, 3, 4, 4)
    start = torch.randn(
        16, *normals_wanted(hunt.rule, 3, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    assert differentiable(hunt, start)
    assert climb(hunt, start).worst > 1.2 * float(hunt.violation(start).max())


def test_the_adversary_evolves_where_the_slope_is_not_the_rules():
    hunt = Hunt(LAWS[properties.equal_projections], rules.get("mgda"), gaussian, 3, 4, 4)
    start = torch.randn(
        16, *normals_wanted(hunt.rule, 3, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    assert not differentiable(hunt, start)
    found = evolve(hunt, start, seed=0)
    assert found.worst >= float(hunt.violation(start).max())
    assert float(hunt.violation(found.normals)) == pytest.approx(found.worst, rel=1e-9)


def test_a_rare_violation_is_found():
    recipe = rules.Recipe("turns-back", lambda **_: TurnsBack(), "")
    verdict = judge(recipe, LAWS[properties.nonnegative])
    assert verdict.word == "fails"
    assert example(recipe, LAWS[properties.nonnegative]) is not None


def test_rounding_is_no_violation():
    """At a stationary point the unit direction of MGDA is noise; shaken numbers give another one."""
    rule = rules.get("edm")
    case = Case(rule, sampled(rule, 3, {"strongly_stationary": strongly_stationary}, copies=20))
    law = LAWS[properties.scale_invariant]
    assert float(law.measured(case).max()) > 0.1
    assert float(violations(law, case).max()) <= law.bounds[0]


def test_an_episode_is_a_function_of_its_normal_numbers():
    rule = ZOO["famo"].probing()
    normals = torch.randn(5, *normals_wanted(rule, 3, 4, 2), dtype=torch.float64)
    one, again = (drawn(rule, gaussian, normals, 3, 4, 2) for _ in range(2))
    assert torch.equal(told(rule, one).directions, told(rule, again).directions)
    assert one.losses.min() >= 0.3
    assert one.losses.max() <= 3.0


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.says.split(" (")[0])
def test_claims_are_contradicted(claim):
    weights, rates, measured = claim.answer()
    assert measured > 0.05
    assert weights.isfinite().all()
    assert rates.isfinite().all()


@pytest.mark.parametrize("one", [one for one in COINCIDENCES if not one.along], ids=lambda one: one.words)
def test_coincidences(one):
    assert one.apart() <= 1e-4  # degrees


@pytest.mark.parametrize("one", [one for one in COINCIDENCES if one.along], ids=lambda one: one.words)
def test_limits(one):
    found = [one.apart(value) for value in one.along]
    assert found[-1] < found[0] / 20
    assert found[-1] == min(found)


def test_two_tasks_collapse_on_the_bisector():
    groups = atlas(2, copies=8).coincident()
    bisector = next(group for group in groups if "normalized-sum" in group)
    assert {"edm", "imtl-g", "config", "nash-mtl"} <= set(bisector)
    logs = next(group for group in groups if "sum-of-logs" in group)
    assert {"uw-o", "gls"} <= set(logs)


def test_three_tasks_do_not():
    found = atlas(3, copies=8, names=["edm", "imtl-g", "config", "nash-mtl", "normalized-sum", "equal"])
    assert [name for group in found.coincident() for name in group] in ([], ["config", "imtl-g"])
    assert (found.angles >= 0).all()


def test_landing_maps_show_scale_invariance_and_its_lack():
    knob = RATIOS[::6]
    ground = bowls(knob, ratio=knob)
    invariant, summed = land(ground, rules.get("nash-mtl")), land(ground, rules.get("equal"))
    assert (invariant - 0.5).abs().max() <= 0.01
    assert summed[0] > 0.95
    assert summed[-1] < 0.05
    assert (summed.diff() < 0).all()


def test_the_largest_stable_rate_of_the_sum_is_two_over_its_curvature():
    """The forms add up to (1 + kappa) times the identity: 11 for kappa = 10, hence 2/11 = 0.18."""
    found = pace(rules.get("equal"))
    stable = found.share == 1
    assert stable[(found.rates > 0.02) & (found.rates < 0.17)].all()
    assert not stable[found.rates > 0.19].any()


def test_convergence_is_measured():
    rule = rules.get("mgda")
    case = Case(rule, sampled(rule, 3, {"gaussian": gaussian}, copies=4, steps=1))
    found = approach(case)
    assert (found.distance[0] == 1).all()
    assert (found.distance.diff(dim=0) <= 0).all()
    assert (found.rate > 0).all()


def test_a_rule_of_ones_own_is_checked():
    found = line("tests.kinds:MinNorm", thorough=False)
    own, known = found.verdicts, line("mgda", thorough=False).verdicts
    assert {name: verdict.word for name, verdict in own.items()} == {name: verdict.word for name, verdict in known.items()}
    assert unplain(json.loads(json.dumps(plain(found)))) == found
    assert recipe_of("tests.kinds:MinNorm").holds == ()


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """A module of a user's with two recipes, which leave the zoo again."""
    before = dict(ZOO)
    (tmp_path / "own_recipes.py").write_text(RECIPES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_recipes"
    sys.modules.pop("own_recipes", None)
    ZOO.clear()
    ZOO.update(before)


RECIPES = """
from moo_mtl import Needs, Rule, Weighing
from moo_mtl.properties import common_descent, nonnegative, simplex
from moo_mtl.rules import compose, recipe, scaling, weights

@recipe("own-sum", cite="none", holds=[nonnegative, common_descent], fails=[simplex])
def own_sum():
    return compose(weights.uniform, scale=scaling.unit_norm)

class Careless(Rule):
    name, needs = "careless", Needs.GRAMIAN

    def weigh(self, obs, state):
        inverse = 1 / obs.norms
        return Weighing(inverse / inverse.sum(dim=-1, keepdim=True)), state
"""


def test_what_a_recipe_of_ones_own_claims_is_judged(own_module):
    checked = CliRunner().invoke(app, ["theory", "check", "--rule", f"{own_module}:own_sum", "--quick"])
    assert checked.exit_code == 0, checked.output
    said = [row for row in checked.stderr.splitlines() if "declared:" in row]
    assert len(said) == 1
    assert said[0].startswith("own_recipes:own_sum: common descent fails")
    rows = {row[0]: row for row in writing.declared(line(f"{own_module}:own_sum", thorough=False))}
    assert rows["nonnegative"][3] == "holds"
    assert rows["simplex"][3] == "fails"
    assert rows["unbiased"][3] == ""


def test_an_answer_that_is_not_finite_is_called_so(own_module):
    found = line(f"{own_module}:Careless", thorough=False)
    assert writing.declared(found)[0][2] == "20 cases; not finite on zero_row, K = 2"
    (sentence,) = writing.unusable(found)
    assert "its answer is not finite on gaussian, K = 2 and zero_row, K = 2" in sentence
    assert "give a task whose gradient is zero the weight 0" in sentence
    assert writing.unusable(line("mgda", thorough=False)) == []


def test_a_recipe_takes_no_others_name_and_no_words_for_properties(own_module):
    with pytest.raises(InputError, match=r"'mgda': moo_mtl.rules.zoo.gramian has a rule of that name; give yours another"):
        rules.recipe("mgda", cite="none")(lambda: rules.equal())
    with pytest.raises(InputError, match="found 'common descent', expected properties"):
        rules.recipe("own", cite="none", holds=["common descent"])
    for _ in range(2):  # a cell run twice
        exec("@recipe('cell', cite='none')\ndef cell(): pass", {"recipe": rules.recipe, "__name__": "__main__"})


def test_lines_are_kept_by_content(tmp_path):
    seen: list[Any] = []
    for _ in range(2):
        lines(["tests.kinds:Equal"], folder=tmp_path, done=lambda name, found: seen.append(found))
    assert seen == [False, True]
    assert len(list(tmp_path.iterdir())) == 1


def test_commands(tmp_path, monkeypatch):
    runner = CliRunner()
    checked = runner.invoke(app, ["theory", "check", "--rule", "tests.kinds:MinNorm", "--quick"])
    assert checked.exit_code == 0, checked.output
    assert "common descent" in checked.output
    drawn_ = runner.invoke(app, ["theory", "equivalences", "--tasks", "2", "--out", str(tmp_path)])
    assert drawn_.exit_code == 0, drawn_.output
    assert (tmp_path / "equivalences-2.png").stat().st_size > 10_000
    known = line("mgda", thorough=False)
    monkeypatch.setattr("moo_mtl.theory.table.line", lambda name: known._replace(rule=name))
    for format_ in ("md", "tex", "png"):
        arguments = [
            "--format",
            format_,
            "--rules",
            "mgda,edm",
            "--folder",
            str(tmp_path),
            "--out",
            str(tmp_path / "table.png"),
        ]
        assert runner.invoke(app, ["theory", "table", *arguments]).exit_code == 0
    assert (tmp_path / "table.png").stat().st_size > 10_000


OWN = """
from moo_mtl import Needs, Rule, Weighing

class MyRule(Rule):
    name, needs = "my-rule", Needs.GRAMIAN

    def weigh(self, obs, state):
        return Weighing(1 / (1 + obs.norms)), state

def my_rule():
    return MyRule()
"""


def test_a_rule_of_ones_own_from_the_command_line_in_less_than_a_minute(tmp_path):
    (tmp_path / "my_module.py").write_text(OWN, encoding="utf-8")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "moo_mtl", "theory", "check", "--rule", "my_module:my_rule"]
    answer = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env={**os.environ, "COLUMNS": "200"}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert answer.returncode == 0, answer.stderr
    verdicts = {
        row[0].strip(): row[1]
        for row in (re.split(r"  +", line.strip()) for line in answer.stdout.splitlines())
        if len(row) > 1
    }
    assert verdicts["nonnegative"] == verdicts["idle tasks change nothing"] == "holds"
    assert verdicts["common descent"] == verdicts["scale invariant"] == "fails"
    assert "degree of homogeneity: none" in answer.stdout  # 1 / (1 + length) is no power
    assert after.ru_utime - before.ru_utime < 60


def test_an_unknown_rule_is_one_sentence():
    found = CliRunner().invoke(app, ["theory", "check", "--rule", "mgad"])
    assert "did you mean 'mgda'" in str(found.exception)
