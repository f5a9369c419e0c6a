"""Networks for multi-task learning: a trunk that all tasks share, and a head for each."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import nn

from moo_mtl.data.dataset import Dataset
from moo_mtl.errors import InputError, unknown
from moo_mtl.models.multi_head import MultiHead as MultiHead
from moo_mtl.models.multi_head import shared_parameters as shared_parameters
from moo_mtl.models.stack import Stack as Stack
from moo_mtl.naming import check_parameters, load

# Name -> module of this package and function in it, imported on first use.
_HOME = {
    "linear": ("mlp", "linear"),
    "mlp": ("mlp", "mlp"),
    "gates": ("mlp", "gates"),
    "lenet": ("lenet", "lenet"),
    "small-lenet": ("lenet", "small_lenet"),
    "resnet18": ("resnet", "resnet18"),
    "segnet": ("segnet", "segnet"),
    "gnn": ("message_passing", "gnn"),
    "mmoe": ("experts", "mmoe"),
    "cgc": ("experts", "cgc"),
    "ple": ("experts", "ple"),
    "cross-stitch": ("cross_stitch", "cross_stitch"),
    "mtan": ("mtan", "mtan"),
}
NAMES = tuple(_HOME)


def get(name: str, dataset: Dataset, *, seed: int = 0, **parameters: Any) -> nn.Module:
    """A network for a data set, its initial parameters drawn from ``seed`` alone; the global generator stays as it was.

    Args:
        name: one of ``NAMES``, or ``module:function`` of a function ``(dataset, **parameters) -> Module``. What it shares is
            what ``shared_parameters`` says, unless the trainer is told which.
        dataset: sizes of input and heads are read off it.
        seed: of the initial parameters.
        parameters: of that network.

    Raises:
        InputError: an unknown name or parameter, a function that gives something else, or a network that does not fit the data.
    """
    make = factory(name)
    check_parameters("network", name, make, {"dataset": dataset, **parameters})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make(dataset, **parameters)
    if not isinstance(network, nn.Module):
        raise InputError(f"network {name!r} gave a {type(network).__name__}; its function must return a torch.nn.Module")
    return network


def factory(name: str) -> Callable[..., Any]:
    """The function that makes a network for a data set.

    Raises:
        InputError: there is none of that name.
    """
    if ":" in name:
        found = load(name, "network")
        if not callable(found):
            raise InputError(f"network {name!r} is not a function; it must be one that takes a data set and returns a Module")
        return found
    if name not in _HOME:
        raise unknown("network", name, NAMES)
    module, function = _HOME[name]
    built_in: Callable[..., Any] = getattr(import_module(f"moo_mtl.models.{module}"), function)
    return built_in
