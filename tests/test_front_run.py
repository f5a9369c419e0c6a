"""``kind = "front"``: from a file about a table of one's own to fronts of networks, and what is refused before that."""

import csv
import random

import pytest
import torch

from moo_mtl import config, runs
from moo_mtl.errors import InputError
from moo_mtl.fronts import hypervolume
from moo_mtl.kinds import single_run
from moo_mtl.kinds.front_run import NetworkFronts, rays

FILE = """
kind = "front"
data = {{ name = "csv", path = "{path}", targets = ["hired"], sensitive = "sex" }}
model = {{ name = "mlp", widths = [4] }}
rule = ["linear", {{ name = "linear", condition = "input" }}]
seeds = 2
rays = 4
rates = [1e-2, 3e-2]
epochs = 2
batch_size = 32
dtype = "float64"
reference = [2.0, 2.0]
measured_in = 16
"""


@pytest.fixture
def experiment(tmp_path):
    draw = random.Random(0)
    with (tmp_path / "people.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "town", "sex", "hired"])
        for _ in range(80):
            age = draw.uniform(18, 60)
            writer.writerow([age, draw.choice("abc"), draw.choice("fm"), int(age + draw.gauss(0, 10) > 40)])
    (tmp_path / "own.toml").write_text(FILE.format(path=tmp_path / "people.csv"))
    return tmp_path / "own.toml"


def test_a_table_of_ones_own_becomes_fronts(experiment, tmp_path):
    for single in config.read(experiment).singles:
        single_run.kind(single).check(single)
        run = runs.locate(tmp_path, "own", single.resolved())
        single_run.perform(single, run, lambda step: None)
        found, metrics = single_run.kind(single).result(run), run.metrics
        assert isinstance(found, NetworkFronts)
        assert found.points.shape == found.losses.shape == (2, 4, 2)
        volumes = hypervolume(found.points, torch.tensor([2.0, 2.0]))
        assert metrics["HV"] == pytest.approx(float(volumes.mean()))
        assert volumes.argsort()[0] == found.median  # of two: the lower
        assert metrics["lr"] == found.rates[found.validation.mean(dim=1).argmax()]
        assert bool((found.lower <= found.upper).all())


def test_what_does_not_fit_is_refused_before_anything_runs(experiment):
    for settings, message in (
        (["reference=[2.0]"], "reference has 1 numbers"),
        (["rays=1"], "too few for 2 tasks"),
        (['rule={name="linear", condition="inputs"}'], "way to condition"),
    ):
        single = config.read(experiment, settings).singles[0]
        with pytest.raises(InputError, match=message):
            single_run.kind(single).check(single)
    with pytest.raises(InputError, match="rates"):
        config.read(experiment, ["rates=[]"])


def test_rays_of_two_tasks_stand_at_equal_angles():
    spread = rays(5, 2)
    torch.testing.assert_close(spread.sum(dim=-1), torch.ones(5, dtype=torch.float64))
    angles = torch.atan2(spread[:, 1], spread[:, 0])
    torch.testing.assert_close(angles.diff(), angles.diff().mean().expand(4))
    assert rays(7, 3).shape == (7, 3)
