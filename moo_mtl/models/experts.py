"""Sharing through experts: MMoE, CGC and PLE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from moo_mtl.data.dataset import Dataset
from moo_mtl.errors import InputError
from moo_mtl.models.multi_head import linear_heads, scalar


def mmoe(dataset: Dataset, experts: int = 4, widths: Sequence[int] = (64, 32)) -> Experts:
    """Multi-gate mixture of experts: all experts are shared, and each task has a gate of its own.

    Args:
        dataset: sizes of input and heads are read off it.
        experts: how many.
        widths: of each expert's layers.

    Raises:
        InputError: a number below 1, or no width.

    Source: Ma, Zhao, Yi, Chen, Hong and Chi, Modeling Task Relationships in Multi-task Learning with Multi-gate
        Mixture-of-Experts, KDD 2018, equations 5 to 7.
    """
    return _experts("mmoe", dataset, experts, 0, [widths])


def cgc(dataset: Dataset, experts: int = 2, own: int = 2, widths: Sequence[int] = (64, 32)) -> Experts:
    """Customised gate control: besides the shared experts each task has some that no other task reads.

    Args:
        dataset: sizes of input and heads are read off it.
        experts: shared ones.
        own: experts of each task.
        widths: of each expert's layers.

    Raises:
        InputError: a number below 1, or no width.

    Source: Tang, Liu, Zhao and Gong, Progressive Layered Extraction (PLE), RecSys 2020, section 3.2.
    """
    return _experts("cgc", dataset, experts, own, [widths])


def ple(dataset: Dataset, experts: int = 2, own: int = 2, widths: Sequence[int] = (64, 32), levels: int = 2) -> Experts:
    """Progressive layered extraction: levels of CGC, between which a further gate passes on what all experts found.

    What a task's experts find below the last level therefore reaches the others, and is shared. Parameters as ``cgc``.

    Args:
        dataset: sizes of input and heads are read off it.
        experts: shared ones of each level.
        own: experts of each task and level.
        widths: of each expert's layers, on every level.
        levels: how many.

    Raises:
        InputError: a number below 1, or no width.

    Source: as ``cgc``, section 3.3.
    """
    if levels < 1:
        raise InputError(f"ple: the number of levels must be positive, found {levels}")
    return _experts("ple", dataset, experts, own, [widths] * levels)


class Experts(nn.Module):
    """Levels of experts and gates, then a head per output.

    Args:
        levels: from the inputs upwards.
        heads: per output, features to outputs.
    """

    def __init__(self, levels: Sequence[Level], heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.levels: Sequence[Level] = nn.ModuleList(levels)  # type: ignore[assignment]
        self.tasks, self.heads = tuple(heads), nn.ModuleList(heads.values())

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Per output ``[B]`` where its head has one number, otherwise what the head gives."""
        seen = [inputs.flatten(1)] * (len(self.tasks) + 1)
        for level in self.levels:
            seen = level(seen)
        return {task: scalar(head(x)) for task, head, x in zip(self.tasks, self.heads, seen, strict=False)}

    def shared_parameters(self) -> list[nn.Parameter]:
        """The shared experts of the last level, and all below it but the gates through which each task reaches that level."""
        *below, last = self.levels
        own = {id(parameter) for level in below[-1:] for parameter in level.gates[: len(self.tasks)].parameters()}
        found = [parameter for part in (*below, last.shared) for parameter in part.parameters()]
        return [parameter for parameter in found if id(parameter) not in own]


class Level(nn.Module):
    """One level: K tasks read their own experts and the shared ones; with ``passes_on`` a last gate reads them all.

    Args:
        n_features: of what the experts see.
        n_tasks: K.
        shared: number of shared experts.
        own: number of each task's experts.
        widths: of an expert's layers.
        passes_on: whether a level follows, whose shared experts read the last gate's mixture.
    """

    def __init__(self, n_features: int, n_tasks: int, shared: int, own: int, widths: Sequence[int], passes_on: bool) -> None:
        super().__init__()

        def experts(count: int) -> nn.ModuleList:
            return nn.ModuleList(_expert(n_features, widths) for _ in range(count))

        self.shared = experts(shared)
        self.own: Sequence[Sequence[nn.Module]] = nn.ModuleList(experts(own) for _ in range(n_tasks))  # type: ignore[assignment]
        read = [shared + own] * n_tasks + [shared + own * n_tasks] * passes_on
        self.gates = nn.ModuleList(nn.Linear(n_features, count) for count in read)

    def forward(self, seen: Sequence[Tensor]) -> list[Tensor]:
        """K + 1 features ``[B, F]``, the last for the shared experts, to K mixtures and the one passed on."""
        *of_tasks, of_all = seen
        common = [expert(of_all) for expert in self.shared]
        own = [[expert(x) for expert in experts] for experts, x in zip(self.own, of_tasks, strict=True)]
        found = [[*mine, *common] for mine in own]
        found.append([*(one for mine in own for one in mine), *common])
        return [_mixed(gate(x), answers) for gate, x, answers in zip(self.gates, seen, found, strict=False)]


def _mixed(scores: Tensor, answers: Sequence[Tensor]) -> Tensor:
    return (torch.softmax(scores, dim=-1)[:, None, :] @ torch.stack(list(answers), dim=1)).squeeze(1)


def _expert(n_features: int, widths: Sequence[int]) -> nn.Sequential:
    layers = [(nn.Linear(before, after), nn.ReLU()) for before, after in pairwise((n_features, *widths))]
    return nn.Sequential(*(layer for pair in layers for layer in pair))


def _experts(name: str, dataset: Dataset, shared: int, own: int, widths: Sequence[Sequence[int]]) -> Experts:
    if shared < 1 or own < (name != "mmoe"):
        raise InputError(f"{name}: numbers of experts must be positive, found {shared} and {own}")
    if not widths[0] or min(widths[0]) < 1:
        raise InputError(f"{name}: widths must be positive integers, at least one, found {list(widths[0])}")
    heads = linear_heads(widths[-1][-1], dataset)
    sizes = [dataset.tensor_inputs(name)[0].numel(), *(level[-1] for level in widths)]
    last = len(widths) - 1
    levels = [
        Level(size, len(heads), shared, own, level, passes_on=place < last)
        for place, (size, level) in enumerate(zip(sizes, widths, strict=False))
    ]
    return Experts(levels, heads)
