"""Folders of pictures with lists, in the layouts that the literature uses, from tiny pictures made here."""

import numpy as np
import pytest
import torch
from PIL import Image

from moo_mtl import data, models, rules
from moo_mtl.data.pictures import _DEVIATION, _MEAN
from moo_mtl.errors import DataError, InputError
from moo_mtl.training import Trainer, tasks_of
from tests.test_data import assert_split_is_sound


def paint(file, colour, size=(10, 10)):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), colour, np.uint8)).save(file)


def colours_of(images):
    """The colour of each picture of one colour, 0 to 255."""
    mean, deviation = torch.tensor(_MEAN)[:, None, None], torch.tensor(_DEVIATION)[:, None, None]
    pixels = (images * deviation + mean) * 255
    assert (pixels.flatten(1).amax(1) - pixels.flatten(1).amin(1) < 1e-3).all()
    return pixels[:, 0, 0, 0].round().int().tolist()


@pytest.fixture
def office(tmp_path):
    """A picture of its own colour for each line of the lists; one path has a space."""
    place, colour = tmp_path / "office-31", 0
    for domain in ("amazon", "dslr", "webcam"):
        for part, count in (("train", 4), ("val", 2), ("test", 3)):
            lines = []
            for i in range(count):
                path = f"{domain}/images/desk lamp/{part}_{i}.png"
                paint(place / path, colour)
                lines.append(f"{path} {colour % 31}\n")
                colour += 1
            (place / f"{domain}_{part}.txt").write_text("".join(lines))
    return tmp_path


def test_office_shows_each_task_its_own_pictures(office):
    pictures = data.get("office-31", size=8, root=office)
    assert_split_is_sound(pictures)
    assert pictures.examples.inputs.shape == (27, 3, 8, 8)
    found = {}
    for part in ("train", "validation", "test"):
        for task, share in pictures.by_task(part).items():
            colours = colours_of(share.inputs)
            assert share.targets[task].tolist() == [colour % 31 for colour in colours]
            found.setdefault(task, []).append(colours)
    assert found["amazon"] == [[0, 1, 2, 3], [4, 5], [6, 7, 8]]
    assert found["webcam"] == [[18, 19, 20, 21], [22, 23], [24, 25, 26]]


def test_office_trains(office):
    pictures = data.get("office-31", size=8, root=office)
    network = models.get("small-lenet", pictures, width=8)
    trainer = Trainer(network, tasks_of(pictures), rules.get("mgda"), epochs=2, batch_size=4, lr=0.01)
    before = trainer.score(pictures.train).losses
    trainer.fit(pictures.train, pictures.validation)
    assert (trainer.score(pictures.train).losses < before).any()


def test_lists_may_lie_where_libmtl_has_them(office):
    (office / "data_txt/office-31").mkdir(parents=True)
    for file in (office / "office-31").glob("*.txt"):
        file.rename(office / "data_txt/office-31" / file.name)
    assert len(data.get("office-31", size=4, root=office).train) == 12


def test_office_refuses_what_does_not_fit(office):
    place = office / "office-31"
    with pytest.raises(InputError, match="size of pictures must be positive"):
        data.get("office-31", size=0, root=office)
    (place / "dslr/images/desk lamp/val_0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"val_0\.png cannot be read"):
        data.get("office-31", size=8, root=office)
    (place / "dslr_val.txt").write_text("dslr/images/desk lamp/val_1.png 31\n")
    with pytest.raises(DataError, match="class '31', expected 0 to 30"):
        data.get("office-31", size=8, root=office)
    (place / "dslr_val.txt").unlink()
    with pytest.raises(DataError, match=r"dslr_val\.txt cannot be read"):
        data.get("office-31", size=8, root=office)
    with pytest.raises(DataError, match="office-home is absent"):
        data.get("office-home", root=office)


@pytest.fixture
def faces(tmp_path):
    place, rows, parts = tmp_path / "celeba", [], []
    for i, part in enumerate([0, 0, 0, 0, 1, 1, 2, 2]):
        name = f"{i + 1:06}.jpg"
        paint(place / "img_align_celeba" / name, 30 * i, size=(22, 18))
        rows.append(f"{name} {1 if i % 2 else -1} -1  1\n")
        parts.append(f"{name} {part}\n")
    (place / "list_attr_celeba.txt").write_text("8\nSmiling Young Male \n" + "".join(rows))
    (place / "list_eval_partition.txt").write_text("".join(parts))
    return tmp_path


def test_celeba_keeps_its_own_partition(faces):
    pictures = data.get("celeba", size=6, root=faces)
    assert [len(pictures[part]) for part in ("train", "validation", "test")] == [4, 2, 2]
    assert [task.name for task in pictures.tasks] == ["Smiling", "Young", "Male"]
    assert pictures.examples.targets["Smiling"].tolist() == [0, 1] * 4
    assert pictures.examples.targets["Male"].tolist() == [1] * 8
    assert np.allclose(colours_of(pictures.test.inputs), [180, 210], atol=2)
    assert [len(data.get("celeba", size=6, limit=1, root=faces)[part]) for part in ("train", "test")] == [1, 1]


def test_celeba_refuses_lists_that_contradict_each_other(faces):
    place = faces / "celeba"
    with pytest.raises(InputError, match="limit must be positive"):
        data.get("celeba", limit=0, root=faces)
    attributes = place / "list_attr_celeba.txt"
    whole = attributes.read_text()
    for wrong in ("0 1\n", "1\n"):
        attributes.write_text(whole.replace("-1  1\n", wrong))
        with pytest.raises(DataError, match="expected 1 or -1 for each of its 3 attributes"):
            data.get("celeba", root=faces)
    attributes.write_text("\n".join(whole.splitlines()[:-1]))
    with pytest.raises(DataError, match="name different pictures"):
        data.get("celeba", root=faces)
