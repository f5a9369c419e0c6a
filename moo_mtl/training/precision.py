"""Mixed precision: the network computes in half the digits, and the losses, the rules and the parameters keep theirs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

Name = Literal["full", "bf16", "fp16"]
PRECISIONS: dict[str, torch.dtype | None] = {"full": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """How a forward pass is computed, and whether its backward passes are scaled.

    Args:
        name: ``"full"``, as the parameters are; ``"bf16"`` and ``"fp16"`` by autocast. Gradients of ``"fp16"`` would underflow,
            so losses go through backward multiplied by the factor of a gradient scaler; rules are shown neither.
        device: where the network is.

    Attributes:
        scaler: for ``"fp16"``, otherwise ``None``.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self.device, self.dtype = device.type, PRECISIONS[name]
        self.scaler = torch.amp.GradScaler(self.device) if self.dtype == torch.float16 else None

    def forward(self) -> AbstractContextManager[object]:
        """Within it a network computes in this precision."""
        return nullcontext() if self.dtype is None else torch.autocast(self.device, self.dtype)

    def outputs(self, outputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What the losses see: their logarithms and sums are float32's."""
        if self.dtype is None:
            return outputs
        return {name: output.float() if output.dtype == self.dtype else output for name, output in outputs.items()}


FULL = Precision("full", torch.device("cpu"))
