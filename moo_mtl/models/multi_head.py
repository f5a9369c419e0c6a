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
        if not heads or not isinstance(heads, Mapping):
            raise InputError("a network needs at least one head; give a mapping from each task's name to a module")
        self.trunk = trunk
        self.tasks = tuple(heads)
        self.heads = nn.ModuleList(heads.values())  # a list: names of tasks may hold what names of modules may not

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Per task ``[B]`` where its head has one output, otherwise the head's output."""
        features = self.trunk(inputs)
        return {task: scalar(head(features)) for task, head in zip(self.tasks, self.heads, strict=True)}

    def shared_parameters(self) -> list[nn.Parameter]:
        """The trunk's; where there is one head, which all tasks then read, the head's as well."""
        return list((self if len(self.heads) == 1 else self.trunk).parameters())


def linear_heads(n_features: int, dataset: Dataset) -> dict[str, nn.Module]:
    """A linear head for every task of a data set that has an output of its own; tasks on one output share its head."""
    return {task.output: nn.Linear(n_features, task.n_outputs) for task in dataset.tasks}


def shared_parameters(network: nn.Module) -> list[nn.Parameter]:
    """What the network's own ``shared_parameters()`` says; else those of its part ``trunk``; else all of them.

    Only parameters that require a gradient. A network may share by any build: what several tasks' losses reach is shared, and
    each of the others belongs to one task.
    """
    own = getattr(network, "shared_parameters", None)
    parameters = own() if callable(own) else getattr(network, "trunk", network).parameters()
    return [parameter for parameter in parameters if parameter.requires_grad]


def scalar(output: Tensor) -> Tensor:
    """``[B]`` of ``[B, 1]``; everything else as it is."""
    return output.squeeze(-1) if output.dim() == 2 and output.shape[-1] == 1 else output
