"""The MultiMNIST family and its neighbours, from tiny files in the original formats."""

import io
import struct

import numpy as np
import pytest
import torch

from moo_mtl import data
from moo_mtl.data import Dataset, Examples, Target, images
from moo_mtl.data.domains import each_its_own
from moo_mtl.data.splitting import consecutive
from moo_mtl.errors import InputError
from tests.test_data import assert_split_is_sound, files


def files_of(side):
    """A reader of files with the published numbers of images, which are blank but for their number's remainder."""

    def read(name, root):
        if name.startswith("kmnist"):
            array = np.arange(10_000) % 10 if "labels" in name else np.zeros((10_000, side, side))
            stream = io.BytesIO()
            np.savez(stream, array.astype(np.uint8))
            return stream.getvalue()
        n = 60_000 if "train" in name else 10_000
        if "labels" in name:
            return struct.pack(">4BI", 0, 0, 8, 1, n) + (np.arange(n) % 10).astype(np.uint8).tobytes()
        pixels = np.broadcast_to((np.arange(n) % 255).astype(np.uint8)[:, None, None], (n, side, side))
        return struct.pack(">4B3I", 0, 0, 8, 3, n, side, side) + pixels.tobytes()

    return read


def test_pairs_are_drawn_from_images_that_no_other_part_shows(monkeypatch):
    monkeypatch.setattr(images, "read", files_of(1))
    mixed = data.get("fashion-and-mnist", train=300, validation=100, test=100, offset=1)
    assert_split_is_sound(mixed)
    first, second = mixed.sources.unbind(dim=1)
    assert (first < 70_000).all()
    assert (second >= 70_000).all()
    own = torch.where(first < 60_000, first % 10, (first - 60_000) % 10)
    assert torch.equal(mixed.examples.targets["top-left"], own)


@pytest.mark.parametrize(
    ("protocol", "size", "counts"), [("pareto-mtl", 36, (120_000, 20_000)), ("mgda", 28, (60_000, 10_000))]
)
def test_the_two_published_protocols(protocol, size, counts, monkeypatch):
    monkeypatch.setattr(images, "read", files_of(2))
    pairs = data.get("multi-mnist", protocol=protocol)
    assert pairs.examples.inputs.shape[1:] == (1, size, size)
    assert (len(pairs.splits["train"]), len(pairs.splits["test"])) == counts
    assert_split_is_sound(pairs)


def test_an_offset_that_leaves_the_canvas_is_refused():
    with pytest.raises(InputError, match="offset must be 0 to 8 pixels, found 9"):
        data.get("multi-mnist", offset=9, root="anywhere")
    with pytest.raises(InputError, match="'pareto-mtl'"):
        data.get("multi-mnist", protocol="pareto")


def test_domains_draw_no_image_twice(monkeypatch):
    chosen = []
    monkeypatch.setattr(images, "read", files_of(1))
    apart = images._apart
    monkeypatch.setattr(images, "_apart", lambda *given: chosen.append(apart(*given)) or chosen[-1])
    domains = data.get("multi-domain", train=50, validation=10, test=20)
    for (rest, tests), n in zip(chosen, (70_000, 70_000, 10_000), strict=True):
        assert sorted(torch.cat([rest, tests]).tolist()) == list(range(n))
        if n == 70_000:
            assert tests.min() >= 60_000
    assert {task: len(share) for task, share in domains.by_task("test").items()} == dict.fromkeys(domains.examples.targets, 20)
    with pytest.raises(InputError, match="cannot be drawn from the 10,000 images of kmnist"):
        data.get("multi-domain", train=9_500, validation=400, test=200)


def test_each_task_has_examples_of_its_own():
    domains = {"a": (torch.arange(4.0)[:, None], torch.tensor([1, 2, 3, 4])), "b": (torch.ones(3, 1), torch.tensor([7, 8, 9]))}
    splits = {"a": consecutive([2, 1, 1]), "b": consecutive([1, 1, 1])}
    joined = each_its_own("two", domains, splits, [Target("a", "classes", 9), Target("b", "classes", 9)], "")
    train = joined.by_task("train")
    assert {task: share.targets[task].tolist() for task, share in train.items()} == {"a": [1, 2], "b": [7]}
    assert {task: share.targets[task].tolist() for task, share in joined.by_task("test").items()} == {"a": [4], "b": [9]}
    assert train["a"].inputs.tolist() == [[0], [1]]
    assert all(share.present is None and list(share.targets) == [task] for task, share in train.items())


def test_shares_of_examples_with_all_labels_are_all_of_them():
    examples = Examples(torch.zeros(3, 1), {"a": torch.arange(3), "b": torch.arange(3)})
    both = Dataset("both", examples, consecutive([1, 1, 1]), (Target("a", "classes", 3), Target("b", "classes", 3)))
    assert {task: share.targets[task].tolist() for task, share in both.by_task("validation").items()} == {"a": [1], "b": [1]}


@files
def test_multi_mnist_shows_the_digits_it_names():
    """A canvas is rebuilt from MNIST's own file."""
    pairs = data.get("multi-mnist", train=20, validation=10, test=10)
    digits, labels = images.image_pool("mnist", None)
    for example in (0, 25, 39):
        first, second = pairs.sources[example].tolist()
        canvas = torch.zeros(36, 36)
        canvas[:28, :28] = digits[first]
        canvas[8:, 8:] = torch.maximum(canvas[8:, 8:], digits[second])
        assert torch.equal(pairs.examples.inputs[example, 0], canvas)
        assert pairs.examples.targets["top-left"][example] == labels[first]
        assert pairs.examples.targets["bottom-right"][example] == labels[second]
