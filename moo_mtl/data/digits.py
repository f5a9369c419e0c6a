"""MultiDigits: MultiMNIST's construction with the 8 x 8 scans that scikit-learn carries, so that nothing is downloaded."""

from __future__ import annotations

import torch

from moo_mtl.data.dataset import SPLITS, Dataset
from moo_mtl.data.overlay import draw_pairs, overlaid_pairs
from moo_mtl.data.splitting import split

_CITE = "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI 1998, test part (1,797 scans), as in scikit-learn"


def multi_digits(train: int = 5000, validation: int = 1000, test: int = 2000, offset: int = 2, seed: int = 0) -> Dataset:
    """Two digits overlaid on one canvas; the tasks are the top-left and the bottom-right digit.

    The scans themselves are split first (70 / 10 / 20 %), and each part's pairs are drawn from its own scans: no image
    occurs in two parts. A canvas of 10 x 10 (offset 2) keeps the share of the side by which MultiMNIST's digits overlap
    (28 on 36). It leaves room between rules: a small LeNet reaches about 90 % per task, against 80 % at offset 1
    and 96 % at offset 4.

    Args:
        train: number of pairs for training.
        validation: number of pairs for validation.
        test: number of pairs for testing.
        offset: how far the second digit is moved, in pixels.
        seed: of the split and of the pairs; independent of the global generator.

    Raises:
        InputError: a number of pairs is not positive.
    """
    from sklearn.datasets import load_digits

    scans = load_digits()
    images = torch.from_numpy(scans.images).float() / 16
    labels = torch.from_numpy(scans.target).long()
    pools = split(len(images), seed, validation=0.1, test=0.2)
    generator = torch.Generator().manual_seed(seed + 1)
    counts = dict(zip(SPLITS, (train, validation, test), strict=True))
    pairs = {part: draw_pairs(pools[part], pools[part], count, generator) for part, count in counts.items()}
    return overlaid_pairs("multi-digits", (images, images), (labels, labels), pairs, offset, _CITE)
