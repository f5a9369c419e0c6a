"""A multi-task data set as a value: inputs, a tensor of targets per task, and a split into three parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from moo_mtl.data.graphs import Graphs
from moo_mtl.errors import InputError, unknown

SPLITS = ("train", "validation", "test")
Inputs: TypeAlias = Tensor | Graphs
IGNORED = -100  # the class of a pixel without a label, as in torch


@dataclass(frozen=True)
class Target:
    """What one task predicts.

    Attributes:
        name: of the task.
        kind: ``"classes"`` (integers, ``n_outputs`` logits), ``"binary"`` (0 or 1, one logit), ``"regression"``, ``"depth"`` (a
            positive number as it is, also judged by relative errors), ``"directions"`` (unit vectors, as surface normals
            are), or ``"equal-opportunity"`` (pairs of label and group, on another task's logit).
        n_outputs: width of the task's head; of a dense task its channels.
        scale: standard deviation by which a regression target was divided; metrics are reported in the unit before that.
        reads: the task whose output this one judges; ``None``: it has an output of its own.
        dense: whether there is a target for every pixel: ``[N, H, W]`` of classes (``IGNORED`` where there is none), otherwise
            ``[N, n_outputs, H, W]`` (NaN where there is none). Outputs are ``[N, n_outputs, H, W]``.
    """

    name: str
    kind: Literal["classes", "binary", "regression", "depth", "directions", "equal-opportunity"]
    n_outputs: int = 1
    scale: float = 1.0
    reads: str | None = None
    dense: bool = False

    @property
    def output(self) -> str:
        """The name of the network's output that the task is about."""
        return self.name if self.reads is None else self.reads


@dataclass(frozen=True, eq=False)
class Examples:
    """N examples, or a batch of them.

    Attributes:
        inputs: ``[N, ...]``, or N graphs.
        targets: per task ``[N]``, or ``[N, ...]`` for dense and vector-valued tasks.
        present: per task ``[N]`` bool, whether the example has a label for it; ``None`` where every label is present.
    """

    inputs: Inputs
    targets: Mapping[str, Tensor]
    present: Mapping[str, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: Tensor | slice) -> Examples:
        """The examples that an index tensor or a slice names."""
        return self._map(lambda tensor: tensor[index])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Examples:
        """On another device; floating-point inputs and targets in another dtype."""

        def moved(part: Inputs) -> Inputs:
            cast = isinstance(part, Graphs) or part.is_floating_point()
            return part.to(device=device, dtype=dtype if cast else None)

        return self._map(moved)

    def _map(self, function: Any) -> Examples:
        targets = {name: function(target) for name, target in self.targets.items()}
        present = None if self.present is None else {name: function(mask) for name, mask in self.present.items()}
        return Examples(function(self.inputs), targets, present)


@dataclass(frozen=True, eq=False)
class Dataset:
    """All examples of a data set and how they are split.

    Attributes:
        name: as in ``data.get``.
        examples: every example, of all three parts.
        splits: indices of the examples of ``"train"``, ``"validation"`` and ``"test"``, ``[N_part]`` each, disjoint (but
            for the four inputs of the logic gates).
        tasks: what is predicted, in order.
        sources: ``[N, S]`` integers that name what each example was made from (images, subjects); no source occurs in two
            parts. ``None``: each example is its own source.
        cite: where the data come from.

    Raises:
        InputError: tasks, targets and splits do not fit each other or the number of examples.
    """

    name: str
    examples: Examples
    splits: Mapping[str, Tensor]
    tasks: tuple[Target, ...]
    sources: Tensor | None = None
    cite: str = ""

    def __post_init__(self) -> None:
        if not self.tasks:
            raise InputError(f"{self.name}: a data set needs at least one task")
        names = [task.name for task in self.tasks]
        if len(set(names)) < len(names) or set(names) != set(self.examples.targets):
            raise InputError(f"{self.name}: the tasks {names} must name the targets {sorted(self.examples.targets)}, each once")
        if set(self.splits) != set(SPLITS):
            raise InputError(f"{self.name}: splits must be {', '.join(SPLITS)}, found {', '.join(self.splits)}")
        N = len(self.examples)
        for what, given in (("targets", self.examples.targets), ("present", self.examples.present or {})):
            for name, column in given.items():
                if len(column) != N:
                    raise InputError(f"{self.name}: {what} of {name!r} has {len(column)} entries, expected {N}")
        for part, index in self.splits.items():
            if len(index) and not 0 <= int(index.min()) <= int(index.max()) < N:
                raise InputError(
                    f"{self.name}: the split {part!r} names examples {int(index.min())} to {int(index.max())}, expected "
                    f"indices from 0 to {N - 1}"
                )

    def __getitem__(self, part: str) -> Examples:
        """The examples of one part: ``dataset["train"]``.

        Raises:
            InputError: no such part.
        """
        if part not in self.splits:
            raise unknown("part of the data", part, self.splits)
        return self.examples[self.splits[part]]

    def by_task(self, part: str) -> dict[str, Examples]:
        """For every task the examples of a part that have a label for it, with that label alone: one loader's share each.

        Raises:
            InputError: no such part.
        """
        examples = self[part]
        shares = {}
        for task in self.tasks:
            own = examples if examples.present is None else examples[examples.present[task.name].nonzero()[:, 0]]
            shares[task.name] = Examples(own.inputs, {task.name: own.targets[task.name]})
        return shares

    def tensor_inputs(self, network: str) -> Tensor:
        """The inputs, ``[N, ...]``, for a network that reads tensors.

        Raises:
            InputError: they are graphs.
        """
        if isinstance(self.examples.inputs, Graphs):
            raise InputError(f"{network} reads tensors, and {self.name} holds graphs; take a network for graphs")
        return self.examples.inputs

    @property
    def train(self) -> Examples:
        return self["train"]

    @property
    def validation(self) -> Examples:
        return self["validation"]

    @property
    def test(self) -> Examples:
        return self["test"]
