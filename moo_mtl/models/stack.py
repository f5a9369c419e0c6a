"""Many networks of one build as one module, whose parameters carry leading dimensions: P preferences x S seeds at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from math import prod
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from moo_mtl.errors import InputError
from moo_mtl.models.multi_head import shared_parameters

Leading: TypeAlias = Tensor | Mapping[str, Tensor]


class Stack(nn.Module):
    """Networks that differ in their numbers alone; every parameter and buffer of theirs stands once, as ``[..., *own shape]``.

    A rule that is shown losses ``[..., K]`` weighs each member by itself, so training a stack is training its members one by
    one, in one program. Whatever ``torch.vmap`` can run can be stacked; dropout draws a mask for every member.

    >>> import torch
    >>> stack = Stack([nn.Linear(3, 2) for _ in range(6)], shape=(2, 3))
    >>> stack(torch.ones(5, 3)).shape
    torch.Size([2, 3, 5, 2])

    Args:
        networks: at least one, all of the same build.
        shape: of the stack, ``(S, P)`` for P networks to each of S seeds; by default ``(N,)``.

    Raises:
        InputError: there is no network, they are of different builds, or their number does not fit the shape.

    Attributes:
        network: one module of that build that holds the stacked parameters; its own ``forward`` is of no use.
        shape: the leading dimensions.
    """

    def __init__(self, networks: Sequence[nn.Module], shape: Sequence[int] | None = None) -> None:
        super().__init__()
        self.shape = tuple(shape) if shape is not None else (len(networks),)
        if not networks or prod(self.shape) != len(networks):
            raise InputError(
                f"a stack of shape {self.shape} takes {prod(self.shape)} networks, at least one; found {len(networks)}"
            )
        builds = [_build(network) for network in networks]
        different = next((n for n, build in enumerate(builds) if build != builds[0]), None)
        if different is not None:
            raise InputError(f"networks 0 and {different} have different parameters; a stack takes networks of one build")
        self.network = deepcopy(networks[0])
        with torch.no_grad():
            self._hold(networks)

    def forward(self, inputs: Tensor, *more: Tensor, own_inputs: bool = False) -> Any:
        """What the members give, each with the stack's dimensions in front.

        Args:
            inputs: ``[B, ...]``, seen by every member; with ``own_inputs`` ``[..., B, ...]``, whose leading dimensions are
                those of the stack, or 1 where members share.
            more: further arguments of the networks, each with leading dimensions in that sense (a preference ``[..., K]``).
            own_inputs: whether ``inputs`` has the leading dimensions too.
        """
        seen = inputs if own_inputs else inputs[(None,) * len(self.shape)]
        held = dict(self.network.named_parameters()) | dict(self.network.named_buffers())
        return over_members(self._call, self.shape, held, seen, *more)

    def shared_parameters(self) -> list[nn.Parameter]:
        """The stacked parameters of what the networks share."""
        return shared_parameters(self.network)

    def member(self, *index: int) -> nn.Module:
        """A network of its own with the numbers of one member.

        Raises:
            InputError: there is no member of that index.
        """
        if len(index) != len(self.shape) or not all(-n <= i < n for i, n in zip(index, self.shape, strict=True)):
            raise InputError(f"a member of a stack of shape {self.shape} has {len(self.shape)} numbers in range, found {index}")
        alone = deepcopy(self.network)
        _replace(alone, lambda _, tensor: tensor[index].detach().clone())
        return alone

    def _hold(self, networks: Sequence[nn.Module]) -> None:
        places = [_places(network) for network in networks]

        def stacked(name: str, tensor: Tensor) -> Tensor:
            return torch.stack([place[name].detach() for place in places]).reshape(*self.shape, *tensor.shape)

        _replace(self.network, stacked)

    def _call(self, held: Mapping[str, Tensor], *arguments: Tensor) -> Any:
        return torch.func.functional_call(self.network, dict(held), arguments)


def over_members(function: Callable[..., Any], shape: Sequence[int], *arguments: Leading) -> Any:
    """``function`` of each member's part of the arguments, in one batched program.

    Args:
        function: of tensors and mappings of tensors without the leading dimensions.
        shape: of the stack.
        arguments: every tensor with the leading dimensions, 1 where members share it.
    """
    n_dims, n_members = len(shape), prod(shape)

    def is_shared(tensor: Tensor) -> bool:
        return all(size == 1 for size in tensor.shape[:n_dims])

    def part(
        tensor: Tensor,
    ) -> Tensor:  # one dimension for all members; nested vmap would be no faster, and mse_loss fails in it
        own = tensor.shape[n_dims:]
        return tensor.reshape(own) if is_shared(tensor) else tensor.expand(*shape, *own).reshape(n_members, *own)

    parts = tuple(_map(argument, part) for argument in arguments)
    if n_members == 1:  # then nothing tells members from what they share
        return _map(function(*parts), lambda tensor: tensor.reshape(*shape, *tensor.shape))
    dims = tuple(_map(argument, lambda tensor: None if is_shared(tensor) else 0) for argument in arguments)
    return _map(torch.vmap(function, dims, randomness="different")(*parts), lambda tensor: tensor.unflatten(0, shape))


def _map(argument: Leading, function: Callable[[Tensor], Any]) -> Any:
    return (
        {name: function(tensor) for name, tensor in argument.items()} if isinstance(argument, Mapping) else function(argument)
    )


def _places(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by every name they have; a tied one has several."""
    parameters = network.named_parameters(remove_duplicate=False)
    return {**dict(parameters), **dict(network.named_buffers(remove_duplicate=False))}


def _build(network: nn.Module) -> list[tuple[str, torch.Size, torch.dtype, bool]]:
    return [(name, tensor.shape, tensor.dtype, tensor.requires_grad) for name, tensor in _places(network).items()]


def _replace(network: nn.Module, function: Callable[[str, Tensor], Tensor]) -> None:
    """Put ``function`` of each tensor in its place, the same where one tensor had several."""
    made: dict[int, Tensor] = {}
    for name, tensor in _places(network).items():
        path, _, leaf = name.rpartition(".")
        if id(tensor) not in made:
            new = function(name, tensor)
            made[id(tensor)] = nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new
        setattr(network.get_submodule(path), leaf, made[id(tensor)])
