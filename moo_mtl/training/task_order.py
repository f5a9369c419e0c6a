"""Which loss is which task's: names and order are those of the first step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from moo_mtl.errors import InputError, MooMtlError
from moo_mtl.solvers.normal_form import check_present, one_for_each
from moo_mtl.tensors import numbers

Losses = Tensor | Mapping[str, Tensor]


@dataclass
class TaskOrder:
    """Names of the tasks in the order of a tensor's last dimension; empty before the first step."""

    names: tuple[str, ...] = ()

    def aligned(self, losses: Losses, present: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Losses in the tasks' order, ``[..., K]``, and who is present, ``[..., K]`` bool or ``None`` for all.

        Raises:
            InputError: there is no loss, another number of them than before, or a name that the first step did not have; or
                ``present`` is not bool ``[..., K]``.
        """
        if not isinstance(losses, Tensor | Mapping):
            raise InputError(
                f"Balancer: losses are a {type(losses).__name__}, expected a mapping or a tensor [K]: torch.stack(list)"
            )
        if isinstance(losses, Tensor) and losses.dim() == 0:
            raise InputError(
                "Balancer: losses are one number, expected one for each task, as a mapping or a tensor [K]; "
                "do not add them up, the rule weighs them"
            )
        if (losses.shape[-1] if isinstance(losses, Tensor) else len(losses)) == 0:
            raise InputError("Balancer: there are no tasks; pass one loss per task, as a mapping or a tensor [K]")
        values, here = self._in_order(losses)
        if present is None:
            return values, here
        given = check_present(present, len(self.names))
        if one_for_each("present", given.shape[:-1], values.shape[:-1]) != values.shape[:-1]:
            raise InputError(f"Balancer: present has shape {list(given.shape)}, and the losses have {list(values.shape)}")
        return values, given if here is None else here & given

    def _in_order(self, losses: Losses) -> tuple[Tensor, Tensor | None]:
        """The losses, and which of them are given; ``None`` where all are."""
        if isinstance(losses, Tensor):
            self.names = self.names or tuple(str(k) for k in range(losses.shape[-1]))
            if losses.shape[-1] != len(self.names):
                raise InputError(f"Balancer: found {losses.shape[-1]} losses, expected {len(self.names)} as in the first step")
            return losses, None
        self.names = self.names or tuple(losses)
        strange = [name for name in losses if name not in self.names]
        if strange:
            raise InputError(
                f"Balancer: unknown task {strange[0]!r}; the first step had {', '.join(self.names)}, and must name every task"
            )
        wrong = next((name for name, loss in losses.items() if not isinstance(loss, Tensor)), None)
        if wrong is not None:
            found = type(losses[wrong]).__name__
            raise InputError(f"Balancer: the loss of task {wrong!r} is a {found}, expected a tensor: do not call .item() on it")
        shapes = {name: tuple(loss.shape) for name, loss in losses.items()}
        if len(set(shapes.values())) > 1:
            raise InputError(
                f"Balancer: losses have shapes {shapes}, expected one number for each task: take the mean over examples"
            )
        if len(losses) == len(self.names):
            return torch.stack([losses[name] for name in self.names], dim=-1), None
        absent = torch.ones_like(next(iter(losses.values())).detach())
        values = torch.stack([losses.get(name, absent) for name in self.names], dim=-1)
        here = torch.tensor([name in losses for name in self.names], device=values.device).expand(values.shape)
        return values, here

    def name_in(self, error: MooMtlError) -> None:
        """Call tasks by name in an error from a rule, which knows them by number alone."""
        if not all(name.isdecimal() for name in self.names):
            named = re.sub(r"\btask (\d+)\b", lambda found: f"task {self.names[int(found[1])]!r}", str(error))
            error.args = (named,)

    def counted(self, counts: Counts | None, present: Tensor | None, values: Tensor) -> Tensor:
        """Examples behind each loss, ``[..., K]`` float64: as counted, else 1; 0 for an absent task.

        Raises:
            InputError: a count for a task that is unknown, or a negative one.
        """
        if isinstance(counts, Mapping):
            strange = [name for name in counts if name not in self.names]
            if strange:
                raise InputError(f"Balancer: counts holds unknown task {strange[0]!r}; expected {', '.join(self.names)}")
            counts = torch.tensor([counts.get(name, 0) for name in self.names])
        given = numbers("Balancer: counts", 1.0 if counts is None else counts)
        if given.device.type == "cpu" and bool((given < 0).any()):
            raise InputError(f"Balancer: counts must not be negative, found {given.tolist()}")
        given = given.to(values.device).expand(values.shape)
        return given if present is None else given * present.to(given)


Counts = int | float | Tensor | Mapping[str, int]
