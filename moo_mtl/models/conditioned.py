"""Networks that take a preference and so stand for a whole front: the preference as an input, and a hypernetwork."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from moo_mtl import models
from moo_mtl.data.dataset import SPLITS, Dataset, Examples
from moo_mtl.errors import InputError, unknown
from moo_mtl.models.multi_head import shared_parameters


class PreferenceAsInput(nn.Module):
    """The preference joins the inputs: further features of a table, constant channels of an image.

    COSMOS widens an image by what a transposed convolution makes of the preference; a constant channel says the same.

    Args:
        network: of inputs with K more features or channels.

    Source: Ruchte and Grabocka, Scalable Pareto Front Approximation for Deep Multi-Objective Learning, ICDM 2021,
        arXiv 2103.13392, section IV.
    """

    conditioned = True  # takes a preference as its second argument

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor, preference: Tensor) -> Any:
        """What the network gives for inputs ``[B, C, ...]`` and a preference ``[K]``."""
        spread = preference.to(inputs).reshape(1, -1, *(1,) * (inputs.dim() - 2))
        return self.network(torch.cat([inputs, spread.expand(len(inputs), -1, *inputs.shape[2:])], dim=1))

    def shared_parameters(self) -> list[nn.Parameter]:
        """The shared parameters of the network."""
        return shared_parameters(self.network)


class Hypernetwork(nn.Module):
    r"""A network whose parameters are a function of the preference: :math:`\theta = \theta_0 + A h(\lambda) + b`.

    :math:`h` has three layers with ReLU between them; :math:`\theta_0` is the target network's own start, so that the front
    starts as one network and spreads while it learns.

    Args:
        target: whose build is used, and whose parameters are :math:`\theta_0`.
        n_tasks: K, the length of a preference.
        width: of the three layers.

    Raises:
        InputError: the target keeps buffers, which depend on no preference.

    Source: Navon, Shamsian, Chechik and Fetaya, Learning the Pareto Front with Hypernetworks, ICLR 2021, arXiv 2010.04104.
    """

    conditioned = True

    def __init__(self, target: nn.Module, n_tasks: int, width: int = 100) -> None:
        super().__init__()
        if any(True for _ in target.buffers()):
            raise InputError("hypernetwork: the target network keeps buffers (batch normalisation?); take one without")
        self.ray = nn.Sequential(
            *(nn.Linear(n_tasks, width), nn.ReLU()), *(nn.Linear(width, width), nn.ReLU()), nn.Linear(width, width)
        )
        self.names, parameters = zip(*target.named_parameters(), strict=True)
        self.shapes = [parameter.shape for parameter in parameters]
        self.layers = nn.ModuleList(nn.Linear(width, parameter.numel()) for parameter in parameters)
        made: Sequence[nn.Linear] = self.layers  # type: ignore[assignment]
        shared = {id(parameter) for parameter in shared_parameters(target)}
        self.of_shared = [id(parameter) in shared for parameter in parameters]
        with torch.no_grad():
            for layer, parameter in zip(made, parameters, strict=True):
                layer.weight.mul_(_SPREAD)
                layer.bias.copy_(parameter.flatten())
        self._build: tuple[nn.Module] = (deepcopy(target).to("meta"),)  # in a tuple, so that it is not a part of this module

    def forward(self, inputs: Tensor, preference: Tensor) -> Any:
        """What the target gives for ``inputs``, with the parameters for a preference ``[K]``."""
        features = self.ray(preference.to(inputs))
        made = {
            name: layer(features).reshape(shape)
            for name, layer, shape in zip(self.names, self.layers, self.shapes, strict=True)
        }
        return torch.func.functional_call(self._build[0], made, (inputs,))

    def shared_parameters(self) -> list[nn.Parameter]:
        """Parameters of the ray's features, and of the layers that make what the target shares."""
        layers = [layer for layer, shared in zip(self.layers, self.of_shared, strict=True) if shared]
        return [parameter for part in (self.ray, *layers) for parameter in part.parameters()]


_SPREAD = 0.1  # of the layers' usual initial weights: how far apart the front's networks start


def conditioned(
    name: str, dataset: Dataset, how: Literal["input", "hyper"], *, seed: int = 0, width: int = 100, **parameters: Any
) -> nn.Module:
    """A preference-conditioned network, its parameters drawn from ``seed`` alone.

    Args:
        name: of the network that is to be conditioned, as in ``models.get``.
        dataset: sizes are read off it; K is its number of tasks.
        how: ``"input"`` (``PreferenceAsInput``) or ``"hyper"`` (``Hypernetwork``).
        seed: of the initial parameters.
        width: of a hypernetwork's layers.
        parameters: of the network.

    Raises:
        InputError: as in ``models.get``, or ``how`` is unknown.
    """
    n_tasks = len(dataset.tasks)
    makers: dict[str, Callable[[], nn.Module]] = {
        "input": lambda: PreferenceAsInput(models.get(name, _widened(dataset, n_tasks), seed=seed, **parameters)),
        "hyper": lambda: Hypernetwork(models.get(name, dataset, seed=seed, **parameters), n_tasks, width),
    }
    if how not in makers:
        raise unknown("way to condition a network", how, makers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return makers[how]()


def _widened(dataset: Dataset, n_tasks: int) -> Dataset:
    """One example of the data set, with K more features or channels: enough for the sizes of a network."""
    one = dataset.examples[:1]
    inputs = dataset.tensor_inputs("a conditioned network")[:1]
    more = inputs.new_zeros(1, n_tasks, *inputs.shape[2:])
    examples = Examples(torch.cat([inputs, more], dim=1), one.targets, one.present)
    return replace(dataset, examples=examples, splits=dict.fromkeys(SPLITS, torch.arange(1)), sources=None)
