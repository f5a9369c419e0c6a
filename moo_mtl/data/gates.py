"""Logic gates: the task tensioner's own experiment, two tasks whose losses differ by two orders of magnitude."""

from __future__ import annotations

import torch

from moo_mtl.data.dataset import SPLITS, Dataset, Examples, Target


def logic_gates(xor_scale: float = 10.0, and_scale: float = 1.0) -> Dataset:
    """XOR and AND of two bits as regression, their targets multiplied by 10 and by 1.

    The four inputs are all there is: training, validation and test part are the same.

    Args:
        xor_scale: what a true XOR is worth.
        and_scale: what a true AND is worth.
    """
    bits = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    a, b = bits.bool().unbind(dim=1)
    targets = {"xor": xor_scale * (a ^ b).float(), "and": and_scale * (a & b).float()}
    return Dataset(
        "logic-gates",
        Examples(bits, targets),
        {part: torch.arange(4) for part in SPLITS},
        (Target("xor", "regression"), Target("and", "regression")),
        cite="Mizuno Nakamura et al., Neurocomputing 2022, and its repository",
    )
