"""Shared parameters as columns of the Jacobian: joined, split into groups, and written back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from moo_mtl.engines import Behind, Processes
from moo_mtl.errors import InputError

Parameters = nn.Module | nn.Parameter | Iterable[nn.Parameter]


def all_of(parameters: Parameters, what: str) -> list[nn.Parameter]:
    """All of them, frozen ones included.

    Raises:
        InputError: what is given is neither a module nor parameters.
    """
    if isinstance(parameters, nn.Module):
        return list(parameters.parameters())
    found: list[Any] = [parameters] if isinstance(parameters, Tensor) or not isinstance(parameters, Iterable) else [*parameters]
    strange = [type(one).__name__ for one in found if not isinstance(one, Tensor)]
    if strange:
        raise InputError(
            f"{what} holds a {strange[0]}, expected a module or parameters; pass several modules as nn.ModuleList([...])"
        )
    return found


def listed(parameters: Parameters, what: str) -> list[Tensor]:
    """The parameters that can be trained, each once.

    Raises:
        InputError: there are none, or one of them is no tensor, no leaf, or complex.
    """
    found = list({id(parameter): parameter for parameter in all_of(parameters, what) if parameter.requires_grad}.values())
    if not found:
        raise InputError(
            f"{what} holds no parameter that requires a gradient; pass the module, or the parameters, that all tasks share"
        )
    if any(not parameter.is_leaf for parameter in found):
        raise InputError(f"{what} holds a tensor that is computed from others; pass parameters themselves")
    if any(parameter.is_complex() for parameter in found):
        raise InputError(f"{what} holds a complex parameter, expected real ones; keep torch.view_as_real of it in the model")
    return list(found)


class Columns:
    """Where each shared parameter's entries stand among the D columns, and which columns form a group.

    Args:
        shared: all shared parameters, in the order of the columns.
        batch: leading dimensions that every parameter carries (stacked members).
        groups: a partition of ``shared``, or ``None``.
        gramian_of: the part of ``shared`` that the rule looks at, or ``None`` for all of it.

    Raises:
        InputError: a parameter does not carry the dimensions ``batch``.
    """

    def __init__(
        self,
        shared: Sequence[Tensor],
        batch: torch.Size,
        groups: Sequence[Sequence[Tensor]] | None,
        gramian_of: Sequence[Tensor] | None,
    ) -> None:
        for parameter in shared:
            if parameter.shape[: len(batch)] != batch:
                shape = ", ".join(map(str, batch))
                raise InputError(
                    f"Balancer: losses of shape [{shape}, K] train a stack of [{shape}] networks, but a shared parameter has "
                    f"shape {list(parameter.shape)}; reduce each task's loss to one number (.mean()), or stack the parameters "
                    f"alike"
                )
        members = max(batch.numel(), 1)
        widths = [parameter.numel() // members for parameter in shared]
        ends = {id(parameter): end for parameter, end in zip(shared, accumulate(widths), strict=True)}
        device = shared[0].device

        def joined(part: Sequence[Tensor]) -> Tensor:
            width = {id(parameter): parameter.numel() // members for parameter in part}
            return torch.cat([torch.arange(ends[p] - width[p], ends[p], device=device) for p in width])

        self.shared, self.batch, self.widths = shared, batch, widths
        self.looked_at = None if gramian_of is None else joined(gramian_of)
        self.groups = None if groups is None else [joined(group) for group in groups]

    @property
    def places(self) -> set[int]:
        """The shared parameters by ``id``; asked anew, because a copy of a Balancer has parameters of its own."""
        return {id(parameter) for parameter in self.shared}

    def per_group(self, tensor: Tensor) -> Tensor:
        """``[..., K]``, repeated for each group, ``[..., P, K]``, where there are groups."""
        if self.groups is None:
            return tensor
        return tensor.unsqueeze(-2).expand(*tensor.shape[:-1], len(self.groups), tensor.shape[-1])

    def view(self, rows: Tensor) -> Tensor:
        """What the rule is shown of the rows: ``[..., K, D]``, or with groups ``[..., P, K, D']`` padded with zeros."""
        if self.looked_at is not None:
            return rows[..., self.looked_at]
        if self.groups is None:
            return rows
        widest = max(len(group) for group in self.groups)
        parts = [torch.nn.functional.pad(rows[..., group], (0, widest - len(group))) for group in self.groups]
        return torch.stack(parts, dim=-3)

    def join(self, direction: Tensor) -> Tensor:
        """A direction per group, ``[..., P, D']``, as one, ``[..., D]``; without groups it is one already."""
        if self.groups is None:
            return direction
        joined = direction.new_zeros(*direction.shape[:-2], sum(self.widths))
        for part, group in zip(direction.unbind(dim=-2), self.groups, strict=True):
            joined[..., group] = part[..., : len(group)]
        return joined

    def split(self, direction: Tensor) -> list[Tensor]:
        """The direction's part for each shared parameter, in its shape and dtype."""
        parts = zip(direction.split(self.widths, dim=-1), self.shared, strict=True)
        return [part.reshape_as(parameter).type_as(parameter) for part, parameter in parts]


def own_parameters(behind: Sequence[Tensor], columns: Columns, across: Processes | None) -> list[Tensor]:
    """The parameters that are not shared: those ``behind`` the losses; in several processes the model's, in its order.

    Raises:
        InputError: the processes were not told of one of them.
    """
    places = columns.places
    own = [leaf for leaf in behind if id(leaf) not in places]
    if across is None:
        return own
    known = {id(parameter): parameter for parameter in across.parameters}
    if any(id(leaf) not in known for leaf in own):
        raise InputError(
            "Balancer: a parameter behind the losses is unknown to across=, so that other processes could not tell which "
            "it is; pass the whole model to Processes(model)"
        )
    return [parameter for parameter in known.values() if id(parameter) not in places]


def require_as_before(shared: Sequence[Tensor], frozen: Sequence[Tensor]) -> None:
    """Refuse a trunk whose parameters are frozen, or trained, otherwise than when the Balancer was made.

    A gradient of zeros would not keep a frozen parameter in its place (momentum and weight decay move it), and one that is
    trained again would pass for some task's own.

    Raises:
        InputError: one of ``shared`` no longer requires a gradient, or one of ``frozen`` now does.
    """
    changed = next((p for p in shared if not p.requires_grad), None), next((p for p in frozen if p.requires_grad), None)
    for parameter, what in zip(changed, ("frozen", "unfrozen"), strict=True):
        if parameter is not None:
            raise InputError(
                f"Balancer: a shared parameter of shape {tuple(parameter.shape)} has been {what} since the Balancer was made; "
                f"make a new Balancer for the parameters that are trained now"
            )


def require_reached(behind: Behind, columns: Columns) -> None:
    """Refuse shared parameters of another model than the one that computed the losses.

    Raises:
        InputError: none of them is behind any loss.
    """
    places = columns.places
    if not behind.hidden and not any(id(leaf) in places for leaf in behind.leaves):
        raise InputError(
            "Balancer: no loss depends on any of the shared parameters; pass as shared the part of the very model that "
            "computed the losses"
        )


def part_of(part: list[Tensor], whole: Sequence[Tensor], name: str) -> list[Tensor]:
    """``part``, all of which stands in ``whole``.

    Raises:
        InputError: it does not.
    """
    known = {id(parameter) for parameter in whole}
    if any(id(parameter) not in known for parameter in part):
        raise InputError(f"Balancer: {name} holds a parameter that is not in shared; add it there too")
    return part


def partition(groups: Iterable[Parameters], whole: Sequence[Tensor]) -> list[list[Tensor]]:
    """The parameters of each group, which together hold every parameter of ``whole`` exactly once.

    Raises:
        InputError: they do not, or are no groups.
    """
    if not isinstance(groups, Iterable) or isinstance(groups, Tensor):
        raise InputError(f"Balancer: groups is a {type(groups).__name__}, expected a list of modules or of lists of parameters")
    parts = [part_of(listed(group, "a group"), whole, "a group") for group in groups]
    if sorted(id(p) for part in parts for p in part) != sorted(id(p) for p in whole):
        raise InputError("Balancer: groups must hold every shared parameter exactly once; add a group for the rest")
    return parts
