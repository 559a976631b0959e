"""How much memory there is, and how much a process takes, in bytes."""

from __future__ import annotations

import contextlib
import math
import re
from pathlib import Path


def available_memory() -> float:
    """The bytes of memory that are there to be had, in a container its limit."""
    found = [math.inf]
    with contextlib.suppress(OSError):
        text = Path("/proc/meminfo").read_text()
        found += [1024 * int(kib) for kib in re.findall(r"MemAvailable:\s+(\d+)", text)]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # the word `max` is no limit
            found.append(int(Path("/sys/fs/cgroup", name).read_text()))
    return min(found)


def memory_of(pid: int) -> int:
    """The bytes of memory that a process takes, swapped out or not; 0 where that can't be told."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(1024 * int(kib) for kib in re.findall(r"Vm(?:RSS|Swap):\s+(\d+)", text))


def own_memory_of(pid: int) -> int:
    """The same with what is shared with others counted in part; takes longer to tell."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(
        1024 * int(kib) for kib in re.findall(r"^(?:Pss|SwapPss):\s+(\d+)", text, re.MULTILINE)
    )
