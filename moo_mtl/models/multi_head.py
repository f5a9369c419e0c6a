"""A trunk and a head per task: hard parameter sharing."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from moo_mtl.data.dataset import Dataset
from moo_mtl.errors import InputError


class MultiHead(nn.Module):
    """All tasks read the trunk's features; each has a head of its own.

    Args:
        trunk: ``[B, ...]`` to features ``[B, F]``.
        heads: per task, features to outputs.

    Raises:
        InputError: no head is given.
    """

    def __init__(self, trunk: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if not heads:
            raise InputError("a network needs at least one head; give a mapping from each task's name to a module")
        self.trunk = trunk
        self.tasks = tuple(heads)
        self.heads = nn.ModuleList(heads.values())  # a list: names of tasks may hold what names of modules may not

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Per task ``[B]`` where its head has one output, otherwise the head's output."""
        features = self.trunk(inputs)
        return {task: _scalar(head(features)) for task, head in zip(self.tasks, self.heads, strict=True)}


def linear_heads(n_features: int, dataset: Dataset) -> dict[str, nn.Module]:
    """A linear head for every task of a data set that has an output of its own; tasks on one output share its head."""
    return {task.output: nn.Linear(n_features, task.n_outputs) for task in dataset.tasks}


def shared_parameters(network: nn.Module) -> list[nn.Parameter]:
    """The parameters of the part called ``trunk``; of the whole network where it has no such part."""
    trunk = getattr(network, "trunk", network)
    return [parameter for parameter in trunk.parameters() if parameter.requires_grad]


def _scalar(output: Tensor) -> Tensor:
    return output.squeeze(-1) if output.dim() == 2 and output.shape[-1] == 1 else output
