"""What a training run leaves behind: numbers per epoch, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moo_mtl.errors import InputError


@dataclass(frozen=True, eq=False)
class History:
    """Numbers of E epochs and K tasks, float64 unless said otherwise.

    Attributes:
        tasks: names of the tasks, in the order of every K.
        losses: mean training losses of each epoch's batches, ``[E, K]``; NaN where a task had no label.
        weights: mean of the rule's weights over each epoch's steps, ``[E, K]``; NaN where every step was skipped.
        validation_losses: after each epoch, ``[E, K]``, or ``[0, K]`` without validation data.
        metrics: on the validation data after each epoch, by ``task/metric``, ``[E]``.
        seconds: per step, mean over each epoch, without validation, certificates and checkpoints, ``[E]``.
        estimates: rows ``(step, value)``: half-batch estimates of the weighted gradient's length, signed, ``[C, 2]``.
        certificates: for each part of the data, ``(lower, upper)`` for the mean losses at the parameters kept, ``[2]``.
        converged: first epoch in which each task's training loss fell below ``until``, ``[K]`` int64; 0 where it did not.
        best_epoch: the epoch whose parameters were kept, by the validation data; the last one without them.
        steps: number of steps taken.
        skipped: how many of them moved nothing, because scaled gradients overflowed.
    """

    tasks: tuple[str, ...]
    losses: Tensor
    weights: Tensor
    validation_losses: Tensor
    metrics: Mapping[str, Tensor]
    seconds: Tensor
    estimates: Tensor
    certificates: Mapping[str, Tensor]
    converged: Tensor
    best_epoch: int
    steps: int
    skipped: int = 0

    @property
    def epochs(self) -> int:
        """Number of epochs trained."""
        return len(self.losses)

    def save(self, path: str | Path) -> None:
        """Write everything to one ``.npz`` file, readable by NumPy."""
        arrays: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Mapping):
                arrays |= {f"{field.name}:{key}": tensor.numpy() for key, tensor in value.items()}
            else:
                arrays[field.name] = value.numpy() if isinstance(value, Tensor) else np.array(value)
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> History:
        """Read what ``save`` wrote.

        Raises:
            InputError: the file is not a saved history.
        """
        try:
            with open(path, "rb") as source, np.load(source, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
                parts: dict[str, Any] = {name: torch.from_numpy(arrays[name]) for name in _TENSORS}
                for group in ("metrics", "certificates"):
                    names = [name for name in arrays if name.startswith(f"{group}:")]
                    parts[group] = {name.partition(":")[2]: torch.from_numpy(arrays[name]) for name in names}
                parts["tasks"] = tuple(str(name) for name in arrays["tasks"])
                parts |= {name: int(arrays[name]) for name in ("best_epoch", "steps", "skipped")}
        except FileNotFoundError as error:
            raise InputError(f"there is no file {path}; save one with History.save") from error
        except Exception as error:  # a damaged archive raises whatever its decoder meets first
            raise InputError(
                f"{path} is not a saved history ({type(error).__name__}: {error}); delete it and train again"
            ) from error
        return cls(**parts)


_TENSORS = ("losses", "weights", "validation_losses", "seconds", "estimates", "converged")
