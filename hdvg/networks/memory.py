"""The most memory that work took and what is free, bytes: of the GPU, or of this process."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Memory(Protocol):
    """Memory that is watched; the peak counts all that is held, not only what the work adds."""

    def reset(self) -> None:
        """Begin to watch anew."""

    def peak(self) -> int:
        """The most that was held since."""

    def free(self) -> int:
        """What more could be held now."""


class GpuMemory:
    """Of torch's current GPU, this process's share; exact."""

    def reset(self) -> None:
        import torch

        torch.cuda.reset_peak_memory_stats()

    def peak(self) -> int:
        import torch

        return int(torch.cuda.max_memory_allocated())

    def free(self) -> int:
        import torch

        unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()  # torch keeps it for us
        return int(torch.cuda.mem_get_info()[0] + unused)


class ProcessMemory:
    """Resident memory of this process, as Linux counts it; what other threads take meanwhile is in it."""

    def __init__(self, proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc, self._cgroup = proc, cgroup

    def reset(self) -> None:
        (self._proc / "self/clear_refs").write_text("5")  # proc(5): resets VmHWM

    def peak(self) -> int:
        return _kib(self._proc / "self/status", "VmHWM")

    def free(self) -> int:
        machine = _kib(self._proc / "meminfo", "MemAvailable")
        try:  # a container's own limit, if it has one
            most = int((self._cgroup / "memory.max").read_text())
            held = int((self._cgroup / "memory.current").read_text())
            stat = dict(line.split() for line in (self._cgroup / "memory.stat").read_text().splitlines())
            return min(machine, max(most - held + int(stat.get("inactive_file", 0)), 0))
        except (OSError, ValueError):
            return machine


def memory_of(device: str) -> Memory | None:
    """What to watch for work on `cuda` or `cpu`; None where it cannot be measured."""
    if device == "cuda":
        return GpuMemory()
    watched = ProcessMemory()
    try:
        watched.reset()
        watched.peak()
        watched.free()
    except (OSError, ValueError):
        return None
    return watched


def _kib(path: Path, name: str) -> int:
    """Bytes of a line `name:   123 kB`. Raises ValueError if there is none."""
    for line in path.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"{path} says nothing of {name}")
