"""How much memory a computation took."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import torch


class Peak:
    """The largest resident memory since this was made, or on an accelerator the largest allocation, in MB of 10^6 bytes.

    On Linux the kernel's mark of the process is set back; elsewhere it can only be read, and covers the whole process so far.
    """

    def __init__(self, device: str) -> None:
        self.device = device if device.startswith("cuda") and torch.cuda.is_available() else None
        if self.device is not None:
            torch.cuda.reset_peak_memory_stats(self.device)
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    @property
    def megabytes(self) -> float:
        if self.device is not None:
            return torch.cuda.max_memory_allocated(self.device) / 1e6
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
                if line.startswith("VmHWM:"):
                    return float(line.split()[1]) * 1024 / 1e6
        import resource

        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest / 1e6 if sys.platform == "darwin" else largest * 1024 / 1e6
