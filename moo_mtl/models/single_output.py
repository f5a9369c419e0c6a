"""A network without heads: every task reads the same output, and all parameters are shared."""

from __future__ import annotations

from torch import Tensor, nn

from moo_mtl.data.dataset import Dataset
from moo_mtl.errors import InputError


class SingleOutput(nn.Module):
    """A network under the name of the one output that all tasks read.

    Args:
        network: ``[B, ...]`` to outputs ``[B, C]``.
        name: of the output.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        self.network, self.name = network, name

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        return {self.name: self.network(inputs)}


def instance_cnn(dataset: Dataset) -> SingleOutput:
    """The network of the UPGrad paper for images of 28 x 28 (2406.16232, appendix D).

    Args:
        dataset: whose tasks read one output.

    Raises:
        InputError: the tasks read several outputs, or the images are not of one channel of 28 x 28.
    """
    outputs = {task.output for task in dataset.tasks}
    shape = tuple(dataset.tensor_inputs("instance_cnn").shape[1:])
    if len(outputs) > 1 or shape != (1, 28, 28):
        raise InputError(
            f"instance_cnn wants one output and images of (1, 28, 28), {dataset.name} has {len(outputs)} and {shape}"
        )
    network = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ELU()),
        *(nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), nn.ELU()),
        *(nn.Conv2d(64, 64, 3), nn.MaxPool2d(3), nn.ELU()),
        *(nn.Flatten(), nn.Linear(576, 128), nn.ELU()),
        nn.Linear(128, dataset.tasks[0].n_outputs),
    )
    return SingleOutput(network, outputs.pop())
