"""Linear baselines on what the loaders give are those of readers written apart from this package."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from benchmarks.baselines import BASELINES
from tests.test_data import files

# Sets of some thousand examples, whose figure at one random split says something about the mean of three.
LARGE = ("adult-fairness", "sarcos", "qm9", "tox21", "parkinsons", "school")


@files
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize(
    "baseline",
    [one for one in BASELINES if one.name in LARGE],
    ids=lambda one: f"{one.name}: {one.measure}",
)
def test_a_baseline_is_that_of_another_reader(baseline):
    ours = np.mean([baseline.ours(seed) for seed in range(3)])
    assert ours == pytest.approx(baseline.elsewhere, rel=0.06)
