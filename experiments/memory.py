"""The most memory that training takes: of a GPU what tensors hold, else what the process does."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch

# What Linux tells a process of itself; in clear_refs a 5 forgets the most that it has held.
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Watches a device from now on; calling it returns the largest number of bytes since then.

    On the CPU this is all that the process holds, python, libraries and data included. What earlier
    runs in it have freed is given back first. None where the system does not say.

    Examples
    --------
    >>> peak = PeakMemory("cpu")
    >>> before = peak()
    >>> held = torch.ones(2**24)  # 64 MiB
    >>> before is None or peak() - before > 2**25
    True

    """

    def __init__(self, device: str) -> None:
        self.device, self.known = device, True
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        else:
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
            if trim is not None:
                trim(0)
            try:
                _CLEAR.write_text("5")
            except OSError:
                self.known = False

    def __call__(self) -> int | None:
        """Return the most bytes that were held at a time."""
        if self.device == "cuda":
            return int(torch.cuda.max_memory_allocated())
        if not self.known:
            return None
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        return 1024 * int(lines["VmHWM"].split()[0])
