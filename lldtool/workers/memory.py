"""How much memory is available, and how much a process uses, in bytes."""

from __future__ import annotations

import contextlib
import math
import re
from pathlib import Path


def available_memory() -> float:
    """Return the memory that is available, at most the limit of a container."""
    found = [_in_kib("/proc/meminfo", "MemAvailable") or math.inf]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # the word `max` is no limit
            found.append(int(Path("/sys/fs/cgroup", name).read_text()))
    return min(found)


def memory_of(pid: int) -> int:
    """Return the memory that a process uses, swapped out or not; 0 where that is not known."""
    return _in_kib(f"/proc/{pid}/status", "VmRSS|VmSwap")


def own_memory_of(pid: int) -> int:
    """Return the same with what is shared with others counted in part, which takes longer."""
    return _in_kib(f"/proc/{pid}/smaps_rollup", "Pss|SwapPss")


def _in_kib(file: str, names: str) -> int:
    """Return the sum of these entries of a file of the kernel; 0 where there is none."""
    try:
        text = Path(file).read_text()
    except OSError:
        return 0
    found = re.findall(rf"^(?:{names}):\s+(\d+)", text, re.MULTILINE)
    return sum(1024 * int(kib) for kib in found)
