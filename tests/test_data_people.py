"""Tables of people: what the literature's recipes promise, and equal opportunity as an objective on another task's output."""

import numpy as np
import pytest
import torch

from moo_mtl import data, models, rules
from moo_mtl.data import Dataset, Examples, Target
from moo_mtl.data.fairness import equal_opportunity
from moo_mtl.data.frames import features
from moo_mtl.data.splitting import split_as_sklearn
from moo_mtl.errors import InputError
from moo_mtl.training import Trainer, tasks_of
from moo_mtl.training.metrics import METRICS
from moo_mtl.training.task import LOSSES
from tests.test_data import files


def test_equal_opportunity_by_hand():
    logits = torch.tensor([0.0, 2.0, -1.0, 0.5, 3.0])
    pairs = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    found = torch.tanh(torch.sigmoid(logits))
    expected = (found[0] + found[3] - found[1]).abs() / 5
    torch.testing.assert_close(LOSSES["equal-opportunity"](logits, pairs), expected)
    # Of the first group's two positives one is found (its logit 0 does not count), of the second group's one is.
    assert METRICS["opportunity-gap"].function(logits, pairs) == 0.5


def test_swapping_the_groups_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    logits, pairs = torch.randn(50, generator=generator), (torch.rand(50, 2, generator=generator) > 0.5).float()
    swapped = torch.stack([pairs[:, 0], 1 - pairs[:, 1]], dim=1)
    for judge in (LOSSES["equal-opportunity"], METRICS["opportunity-gap"].function):
        torch.testing.assert_close(judge(logits, pairs), judge(logits, swapped))


def test_two_objectives_on_one_output_train_together():
    """A logistic model of one feature that is the group itself: equal weights learn it, equal opportunity alone forgets it."""
    generator = torch.Generator().manual_seed(1)
    group = (torch.rand(400, generator=generator) > 0.5).float()
    labels = (torch.rand(400, generator=generator) < 0.2 + 0.6 * group).float()
    opportunity, pairs = equal_opportunity("label", labels, group)
    examples = Examples(group[:, None] - 0.5, {"label": labels, opportunity.name: pairs})
    splits = dict(zip(("train", "validation", "test"), torch.arange(400).split([300, 50, 50]), strict=True))
    dataset = Dataset("fair", examples, splits, (Target("label", "binary"), opportunity))
    network = models.get("mlp", dataset, widths=[8])
    assert len(network.heads) == 1
    losses = {}
    for name, preference in (("accurate", [1.0, 0.0]), ("fair", [0.0, 1.0])):
        network = models.get("mlp", dataset, widths=[8])
        trainer = Trainer(network, tasks_of(dataset), rules.get("linear"), epochs=30, lr=0.05, preference=preference)
        trainer.fit(dataset.train)
        losses[name] = trainer.score(dataset.train).losses
    assert losses["accurate"][0] < losses["fair"][0] - 0.05
    assert losses["fair"][1] < losses["accurate"][1] - 0.05


def test_the_split_is_scikit_learns():
    from sklearn.model_selection import train_test_split

    parts = split_as_sklearn(200, 0.1, 0.2, seed=1)
    rest, tested = train_test_split(list(range(200)), test_size=0.2, random_state=1)
    train, validated = train_test_split(rest, test_size=0.125, random_state=1)
    assert [parts[name].tolist() for name in ("train", "validation", "test")] == [train, validated, tested]
    with pytest.raises(InputError, match="each part needs at least one"):
        split_as_sklearn(2, 0.5, 0.5, seed=1)


def test_features_of_numbers_words_and_gaps():
    import pandas as pd

    frame = pd.DataFrame({"size": [1.0, 3.0, None, 9.0], "colour": ["red", "blue", "red", None]})
    found = features(frame, torch.tensor([0, 1]))
    assert found.tolist() == [[-1, 0, 1], [1, 1, 0], [0, 0, 1], [7, 0, 0]]


@files
@pytest.mark.parametrize(("name", "n_features", "n_rows"), [("adult-fairness", 88, 48_842), ("compas-fairness", 20, 6_172)])
def test_features_are_as_many_as_published(name, n_features, n_rows):
    dataset = data.get(name)
    assert dataset.examples.inputs.shape == (n_rows, n_features)
    shares = [len(dataset[part]) / n_rows for part in ("train", "validation", "test")]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=1e-3)
    train = dataset.train.inputs
    torch.testing.assert_close(train.mean(dim=0), torch.zeros(n_features), atol=1e-5, rtol=0)
    spread = train.std(dim=0, unbiased=False)
    assert ((spread - 1).abs() < 1e-4).logical_or(spread == 0).all()


@files
def test_sex_is_no_input_of_the_fair_sets():
    """No single feature is the group itself (a correlation of one)."""
    for name in ("adult-fairness", "compas-fairness", "german-credit"):
        dataset = data.get(name)
        group = dataset.examples.targets[dataset.tasks[1].name][:, 1]
        joined = torch.cat([dataset.examples.inputs.T, group[None]])
        correlation = torch.corrcoef(joined[joined.std(dim=1) > 0])[-1, :-1]
        assert correlation.abs().max() < 0.9, name


@files
def test_a_logistic_model_of_adult_is_as_accurate_as_elsewhere():
    """0.852, measured with a reader of its own on 80 / 20 %."""
    from sklearn.linear_model import LogisticRegression

    dataset = data.get("adult-fairness")
    fitted = LogisticRegression(max_iter=200).fit(dataset.train.inputs.numpy(), dataset.train.targets["income"].numpy())
    score = fitted.score(dataset.test.inputs.numpy(), dataset.test.targets["income"].numpy())
    assert score == pytest.approx(0.852, abs=0.006)


@files
def test_census_income_has_the_published_counts():
    targets = data.get("census-income").examples.targets
    assert {task: int(values.sum()) for task, values in targets.items()} == {"income": 6_186, "never-married": 43_143}


@files
def test_what_gives_a_label_away_is_no_input_of_adult():
    """No input agrees with a task's label beyond what an honest feature could."""
    dataset = data.get("adult")
    inputs = np.asarray(dataset.examples.inputs)
    for task in ("never-married", "college"):
        label = dataset.examples.targets[task].numpy()
        agreement = max(abs(np.corrcoef(inputs[:, k], label)[0, 1]) for k in range(inputs.shape[1]))
        assert agreement < 0.6, task
