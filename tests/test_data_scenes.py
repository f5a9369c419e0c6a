"""Dense tasks: targets derived from masks, folders in MTAN's layout, and losses that leave pixels without a target out."""

import numpy as np
import pytest
import torch
from torch import nn

from moo_mtl import data, rules
from moo_mtl.data import Dataset, Examples, Target
from moo_mtl.data.dataset import IGNORED
from moo_mtl.data.scenes import boundary, distance_from
from moo_mtl.data.splitting import consecutive
from moo_mtl.errors import DataError, InputError
from moo_mtl.training import Trainer, tasks_of
from moo_mtl.training.batches import in_order
from moo_mtl.training.metrics import METRICS
from moo_mtl.training.task import LOSSES
from tests.test_data import assert_split_is_sound, files


def test_boundaries_by_hand():
    """Two classes side by side, and void below that is nobody's neighbour."""
    mask = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [11, 11, 11, 11]])
    expected = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
    np.testing.assert_array_equal(boundary(mask), expected)
    found = distance_from(expected)
    np.testing.assert_allclose(found[:2], [[1, 0, 0, 1], [1, 0, 0, 1]])
    np.testing.assert_allclose(found[2], [2**0.5, 1, 1, 2**0.5], rtol=1e-6)
    assert np.isnan(distance_from(np.zeros((2, 2), bool))).all()


def outputs_and_targets(kind, seed=0):
    """Random outputs and targets of 3 images of 4 x 5 pixels, of which a third of the pixels have no target."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.rand(3, 4, 5, generator=generator) < 1 / 3
    draw = {
        "cross-entropy": lambda: torch.randint(3, (3, 4, 5), generator=generator).masked_fill(hidden, IGNORED),
        "binary-cross-entropy": lambda: (
            (torch.rand(3, 1, 4, 5, generator=generator) > 0.5).float().masked_fill(hidden[:, None], torch.nan)
        ),
        "absolute-error": lambda: torch.randn(3, 1, 4, 5, generator=generator).masked_fill(hidden[:, None], torch.nan),
        "squared-error": lambda: torch.randn(3, 1, 4, 5, generator=generator).masked_fill(hidden[:, None], torch.nan),
        "cosine": lambda: nn.functional.normalize(torch.randn(3, 3, 4, 5, generator=generator), dim=1).masked_fill(
            hidden[:, None], torch.nan
        ),
    }
    target = draw[kind]()
    output = torch.randn(3, 3 if kind in ("cross-entropy", "cosine") else 1, 4, 5, generator=generator)
    return output, target, ~hidden


KINDS = ["cross-entropy", "binary-cross-entropy", "absolute-error", "squared-error", "cosine"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_is_the_mean_over_the_labelled_pixels(kind):
    """Computed again pixel by pixel with torch's own losses."""
    output, target, known = outputs_and_targets(kind)
    own = {
        "cross-entropy": nn.functional.cross_entropy,
        "binary-cross-entropy": nn.functional.binary_cross_entropy_with_logits,
        "absolute-error": nn.functional.l1_loss,
        "squared-error": nn.functional.mse_loss,
        "cosine": lambda one, other: 1 - nn.functional.cosine_similarity(one, other, dim=1).mean(),
    }[kind]
    for b in range(3):
        pixels = [own(output[b, :, i, j][None], target[b, ..., i, j][None]) for i, j in known[b].nonzero().tolist()]
        torch.testing.assert_close(LOSSES[f"pixel-{kind}"](output, target)[b], torch.stack(pixels).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_without_a_target_have_no_gradient(kind):
    output, target, known = outputs_and_targets(kind, seed=1)
    output.requires_grad_()
    LOSSES[f"pixel-{kind}"](output, target).sum().backward()
    assert output.grad.isfinite().all()
    assert (output.grad.movedim(1, 3)[~known] == 0).all()
    assert (output.grad.movedim(1, 3)[known] != 0).any(dim=1).all()


def test_an_image_without_any_target_has_loss_zero():
    assert LOSSES["pixel-absolute-error"](torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), torch.nan)).tolist() == [0]


def test_metrics_by_hand():
    logits = torch.eye(3)[torch.tensor([[[0, 1], [1, 2]]])].movedim(3, 1)
    classes = torch.tensor([[[0, 1], [0, IGNORED]]])
    # Class 0: 1 of 2; class 1: 1 of 2; class 2 occurs on the ignored pixel alone.
    assert METRICS["miou"].function(logits, classes) == 0.5
    assert METRICS["pixel-accuracy"].function(logits, classes).item() == pytest.approx(2 / 3)
    depth, guess = torch.tensor([[[[2.0, 4.0, torch.nan]]]]), torch.tensor([[[[1.0, 5.0, 9.0]]]])
    assert METRICS["pixel-mae"].function(guess, depth) == 1
    assert METRICS["pixel-relative-error"].function(guess, depth) == 0.375
    edge, logit = torch.tensor([[[[1.0, 1.0, 0.0, torch.nan]]]]), torch.tensor([[[[2.0, -1.0, 3.0, 1.0]]]])
    assert METRICS["pixel-f1"].function(logit, edge) == 0.5
    up, tilted = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 3.0**0.5, 1.0])
    directions = torch.stack([up, up, torch.full((3,), torch.nan)], dim=1)[None, :, None]
    found = torch.stack([5 * up, tilted, up], dim=1)[None, :, None]
    assert METRICS["mean-angle"].function(found, directions).item() == pytest.approx(30, abs=1e-4)
    assert METRICS["median-angle"].function(found, directions).item() == pytest.approx(0, abs=1e-4)
    assert METRICS["within-22.5-degrees"].function(found, directions) == 0.5


def write_scene(root, part, count, classes, *, size=(6, 8), normals=True, labels="label"):
    generator = np.random.default_rng(len(part))
    for i in range(count):
        arrays = {
            "image": generator.random((*size, 3)),
            labels: generator.integers(-1, classes, size).astype(float),
            "depth": generator.random((*size, 1)) * (generator.random((*size, 1)) > 0.2),
        }
        if normals:
            arrays["normal"] = generator.normal(size=(*size, 3)) * (generator.random((*size, 1)) > 0.2)
        for kind, array in arrays.items():
            (root / part / kind).mkdir(parents=True, exist_ok=True)
            np.save(root / part / kind / f"{i}.npy", array)


def test_nyuv2_in_the_layout_of_mtan(tmp_path):
    write_scene(tmp_path / "nyuv2", "train", 12, 13)
    write_scene(tmp_path / "nyuv2", "val", 3, 13)
    scenes = data.get("nyuv2", root=tmp_path, validation=0.25)
    assert_split_is_sound(scenes)
    assert [len(scenes[part]) for part in ("train", "validation", "test")] == [9, 3, 3]
    # The file 10.npy comes after 9.npy, not after 1.npy.
    image = np.load(tmp_path / "nyuv2/train/image/10.npy").astype(np.float32)
    np.testing.assert_array_equal(scenes.examples.inputs[10].numpy(), image.transpose(2, 0, 1))
    normal = np.load(tmp_path / "nyuv2/val/normal/1.npy")
    length = np.linalg.norm(normal, axis=2)
    with np.errstate(invalid="ignore"):
        unit = (normal / length[..., None]).transpose(2, 0, 1)
    np.testing.assert_allclose(scenes.test.targets["normal"][1].numpy(), unit, rtol=1e-5)
    label = np.load(tmp_path / "nyuv2/val/label/0.npy")
    np.testing.assert_array_equal(scenes.test.targets["segmentation"][0], np.where(label < 0, IGNORED, label))
    depth = np.load(tmp_path / "nyuv2/train/depth/3.npy")[..., 0].astype(np.float32)
    np.testing.assert_array_equal(scenes.examples.targets["depth"][3, 0], np.where(depth > 0, depth, np.nan))


def test_cityscapes_trains_from_its_folders(tmp_path):
    for part, count in (("train", 8), ("val", 2)):
        write_scene(tmp_path / "cityscapes", part, count, 7, normals=False, labels="label_7")
    scenes = data.get("cityscapes", root=tmp_path, validation=0.25)
    assert [task.name for task in scenes.tasks] == ["segmentation", "depth"]

    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk = nn.Conv2d(3, 4, 3, padding=1)
            self.heads = nn.ModuleDict({task.name: nn.Conv2d(4, task.n_outputs, 1) for task in scenes.tasks})

        def forward(self, images):
            features = self.trunk(images).relu()
            return {name: head(features) for name, head in self.heads.items()}

    trainer = Trainer(Dense(), tasks_of(scenes), rules.get("db-mtl"), epochs=3, batch_size=2, lr=0.01)
    before = trainer.score(scenes.train).losses
    trainer.fit(scenes.train, scenes.validation)
    scores = trainer.score(scenes.train)
    assert (scores.losses < before).all()
    assert {"segmentation/miou", "depth/pixel-mae", "depth/pixel-relative-error"} <= set(scores.metrics)


def test_large_examples_are_looked_at_a_few_at_a_time():
    """Evaluation in parts of any size is the same; scenes come by the dozen, tables by the thousand."""
    sizes = {}
    for name, inputs in {"table": torch.zeros(2000, 10), "scenes": torch.zeros(40, 3, 96, 128)}.items():
        examples = Examples(inputs, {"t": torch.arange(float(len(inputs)))})
        parts = list(in_order(examples, 1024))
        sizes[name] = [len(part) for part in parts]
        assert torch.cat([part.targets["t"] for part in parts]).tolist() == list(range(len(inputs)))
    assert sizes == {"table": [1024, 976], "scenes": [28, 12]}


def test_folders_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(DataError, match="nyuv2 is absent"):
        data.get("nyuv2", root=tmp_path)
    root = tmp_path / "nyuv2"
    root.mkdir()
    with pytest.raises(DataError, match=r"holds no \.npy file"):
        data.get("nyuv2", root=tmp_path)
    write_scene(root, "train", 4, 20)
    write_scene(root, "val", 2, 13)
    with pytest.raises(DataError, match="has class"):
        data.get("nyuv2", root=tmp_path)
    write_scene(root, "train", 4, 13)
    np.save(root / "val/depth/0.npy", np.zeros((6, 8)))
    with pytest.raises(DataError, match="height x width x 1"):
        data.get("nyuv2", root=tmp_path)
    write_scene(root, "val", 2, 13)
    (root / "val/depth/1.npy").unlink()
    with pytest.raises(DataError, match="number and size of its arrays differ"):
        data.get("nyuv2", root=tmp_path)
    write_scene(root, "val", 2, 13)
    with pytest.raises(InputError, match="leaves a part empty"):
        data.get("nyuv2", root=tmp_path, validation=0.0)


def test_a_kind_without_a_usual_loss_is_refused():
    examples = Examples(torch.zeros(3, 1), {"odd": torch.zeros(3)})
    for target, form in (
        (Target("odd", "depth"), "one target"),
        (Target("odd", "equal-opportunity", dense=True), "every pixel"),
    ):
        with pytest.raises(InputError, match=f"'{target.kind}' has no usual loss with .*{form}"):
            tasks_of(Dataset("odd", examples, consecutive([1, 1, 1]), (target,)))


@files
def test_camvid_is_standardised_by_its_training_part():
    scenes = data.get("camvid")
    assert [len(scenes[part]) for part in ("train", "validation", "test")] == [367, 101, 233]
    images = scenes.train.inputs
    torch.testing.assert_close(images.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(images.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)
    distance = scenes.train.targets["distance"].double()
    assert distance.nanmean().abs() < 1e-5
    assert distance.square().nanmean().sqrt().item() == pytest.approx(1, abs=1e-4)
    void = scenes.examples.targets["segmentation"] == IGNORED
    assert torch.equal(scenes.examples.targets["boundary"][:, 0].isnan(), void)
