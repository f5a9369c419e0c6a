"""Tasks that have nothing in common but the network: every example belongs to one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from moo_mtl.data.dataset import SPLITS, Dataset, Examples, Target


def each_its_own(
    name: str,
    domains: Mapping[str, tuple[Tensor, Tensor]],
    splits: Mapping[str, Mapping[str, Tensor]],
    targets: Sequence[Target],
    cite: str,
) -> Dataset:
    """The examples of all tasks, one task after the other; an example has a label for its own task alone.

    Args:
        name: of the data set.
        domains: inputs ``[N_k, ...]`` and labels ``[N_k]`` of each task, in the order of ``targets``.
        splits: of each task's examples, counted from 0.
        targets: what is predicted.
        cite: where the data come from.
    """
    inputs = torch.cat([own for own, _ in domains.values()])
    sizes = torch.tensor([len(labels) for _, labels in domains.values()])
    starts = (sizes.cumsum(0) - sizes).tolist()
    owner = torch.arange(len(sizes)).repeat_interleave(sizes)
    present = {task: owner == k for k, task in enumerate(domains)}
    values = {}
    for task, (_, labels) in domains.items():
        values[task] = torch.zeros(len(inputs), dtype=labels.dtype)
        values[task][present[task]] = labels
    joined = {
        part: torch.cat([start + splits[task][part] for task, start in zip(domains, starts, strict=True)]) for part in SPLITS
    }
    return Dataset(name, Examples(inputs, values, present), joined, tuple(targets), cite=cite)
