"""Instance-wise risk minimisation: the images of a batch as objectives.

In an experiment file: ``data = { name = "moo_mtl.data.instances:instances", of = "mnist" }`` with ``loaders = "per-task"`` and
``batch_size = 1``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from moo_mtl.data.dataset import Dataset, Target
from moo_mtl.data.domains import each_its_own
from moo_mtl.data.images import image_pool
from moo_mtl.data.splitting import consecutive, permutation
from moo_mtl.errors import InputError


def instances(
    of: Literal["mnist", "fashion_mnist"] = "mnist",
    objectives: int = 32,
    train: int = 1024,
    validation: int = 128,
    test: int = 512,
    seed: int = 0,
    root: str | Path | None = None,
) -> Dataset:
    """Images in as many groups as a batch has places; with one image of each group a batch, every image is an objective.

    All tasks read one output. In the protocol of UPGrad's paper (2406.16232, section 5) a batch is any 32 of 1,024 images; here
    the groups, drawn once, fix which images can meet.

    Args:
        of: which images.
        objectives: number of groups, the size of a batch.
        train: number of images for training, a multiple of ``objectives``; likewise the next two.
        validation: number of images for validation.
        test: number of images for testing.
        seed: of the choice of images.
        root: the data folder; ``None`` means the environment variable MOO_MTL_DATA.

    Raises:
        InputError: a number of images is not a positive multiple of ``objectives``, or there are not as many images.
        DataError: a file is absent or damaged.
    """
    counts = [train, validation, test]
    if objectives < 2 or min(counts) < 1 or any(count % objectives for count in counts) or train + validation > 60_000:
        raise InputError(
            f"instances: {counts} images for training, validation and test must be positive multiples of the {objectives} "
            "objectives, and 60,000 at most"
        )
    images, labels = image_pool(of, root)
    chosen = torch.cat([permutation(60_000, seed)[: train + validation], 60_000 + permutation(10_000, seed)[:test]])
    pixels = images[chosen][:, None]
    pixels = (pixels - pixels[:train].mean()) / pixels[:train].std()
    each = [count // objectives for count in counts]
    parts = [part.view(objectives, -1) for part in torch.arange(len(chosen)).split(counts)]
    names = [f"sample-{place}" for place in range(1, objectives + 1)]
    groups = {name: torch.cat([part[k] for part in parts]) for k, name in enumerate(names)}
    domains = {name: (pixels[group], labels[chosen][group]) for name, group in groups.items()}
    targets = [Target(name, "classes", 10, reads=None if name == names[0] else names[0]) for name in names]
    splits = dict.fromkeys(names, consecutive(each))
    return each_its_own(f"instances of {of}", domains, splits, targets, "LeCun et al. 1998; Xiao et al. 2017")
