"""States of rules: nested tuples of tensors, mapped, masked and flattened without knowing the rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from moo_mtl.errors import InputError


def map_state(function: Callable[..., Tensor], *states: Any) -> Any:
    """Apply ``function`` to the tensors that stand at the same place in each state."""
    first = states[0]
    if isinstance(first, Tensor):
        return function(*states)
    parts = [map_state(function, *places) for places in zip(*states, strict=True)]
    return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)


def keep_where(accept: Tensor, new: Any, old: Any) -> Any:
    """``new`` for the batch members that ``accept`` names, ``old`` for the others.

    Args:
        accept: ``[...]`` bool.
        new: a state whose tensors all begin with the dimensions ``...``.
        old: the state before, of the same shapes.
    """

    def choose(after: Tensor, before: Tensor) -> Tensor:
        return torch.where(accept.reshape(accept.shape + (1,) * (after.dim() - accept.dim())), after, before)

    return map_state(choose, new, old)


def flatten(state: Any, prefix: str = "") -> dict[str, Tensor]:
    """The state's tensors by the path that leads to them.

    >>> flatten((torch.zeros(1), (torch.ones(2),)))
    {'0': tensor([0.]), '1.0': tensor([1., 1.])}
    """
    if isinstance(state, Tensor):
        return {prefix: state}
    names = getattr(state, "_fields", range(len(state)))
    flat: dict[str, Tensor] = {}
    for name, part in zip(names, state, strict=True):
        flat |= flatten(part, f"{prefix}.{name}" if prefix else str(name))
    return flat


def unflatten(template: Any, flat: Mapping[str, Tensor]) -> Any:
    """A state of the template's structure from what ``flatten`` gave, on the template's devices.

    Raises:
        InputError: a tensor is missing, left over, or of another shape than the template's: the state is of another rule,
            another number of tasks or another network.
    """
    expected = flatten(template)
    if expected.keys() != flat.keys():
        strange = sorted(expected.keys() ^ flat.keys())
        raise InputError(
            f"saved rule state does not fit this rule: {', '.join(strange)} differ; load it into the rule that saved it"
        )
    for path, tensor in expected.items():
        if tensor.shape != flat[path].shape:
            raise InputError(
                f"saved rule state does not fit: {path} has shape {tuple(flat[path].shape)}, expected {tuple(tensor.shape)}; "
                "the number of tasks or of parameters has changed"
            )
    places = iter(expected.items())

    def restored(tensor: Tensor) -> Tensor:
        path, _ = next(places)
        return flat[path].to(tensor)

    return map_state(restored, template)
