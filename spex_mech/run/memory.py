"""How much memory a run will take: its search, as a probe has measured it, and its export."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from spex_mech.core.units import bytes_text
from spex_mech.run.setup import Setup

_OF_FLOAT32 = 4


@dataclass(frozen=True)
class MemoryForecast:
    """Bytes on the device of the model, those of its weights included.

    Attributes:
        weights: the model's weights.
        search: the most that was taken until now; after a probe (`plan`) what the search takes, about.
        export: what writing a compact checkpoint takes at most: the model, the model that was cut, and the
            checkpoint that is read back. None where the run exports nothing.
        free: bytes that this process could still take besides what it has; None where that is not known.
    """

    weights: int
    search: int
    export: int | None
    free: int | None

    @property
    def most(self) -> int:
        """The larger of search and export."""
        return max(self.search, self.export or 0)

    @property
    def message(self) -> str:
        """One line, with a warning where it will not fit."""
        text = f"memory: about {bytes_text(self.search)} to search"
        if self.export is not None:
            text += f", {bytes_text(self.export)} at most to export"
        text += f" (weights {bytes_text(self.weights)})"
        if self.free is None:
            return text
        text += f"; {bytes_text(self.free)} could be taken"
        return f"{text}: too little, give this run more memory" if self.most > self.free else text


def forecast_memory(setup: Setup) -> MemoryForecast:
    """The memory that a run takes; call it after `plan`, whose probe evaluates a few masks.

    Args:
        setup: the prepared run.
    """
    parameters = list(setup.model.hf.parameters())
    weights = sum(p.numel() * p.element_size() for p in parameters)
    device = setup.model.device
    if device.type == "cuda":
        most = torch.cuda.max_memory_reserved(device)
        now, free = torch.cuda.memory_reserved(device), torch.cuda.mem_get_info(device)[0]
    else:
        most = max(_most_resident(), now := _resident())
        free = _available()
    export = None
    if setup.spec.prune.export is not None:
        again = weights
        if setup.form == "gguf":  # which is read back in float32
            again = sum(p.numel() for p in parameters) * _OF_FLOAT32
        export = now + weights + again
    return MemoryForecast(weights, most, export, None if free is None else now + free)


def _resident() -> int:
    """Bytes of memory that this process has now; 0 where that is not known."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _most_resident() -> int:
    """The most that this process has had; 0 where that is not known."""
    try:
        import resource
    except ImportError:  # not on this platform
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _available() -> int | None:
    """Bytes of memory that are available on this machine; None where that is not known."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None
