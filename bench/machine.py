"""Describe the machine that the benchmarks run on."""

import datetime
import importlib.metadata
import os
import platform
import re
from pathlib import Path

PACKAGES = ("torch", "mmengine", "mmpretrain", "mmcv-lite", "torchinfo", "lldtool")


def describe_machine():
    """Return the date, the processor, the memory and the package versions as a sentence."""
    installed = {d.name.lower(): d.version for d in importlib.metadata.distributions()}
    versions = [f"{name} {installed[name]}" for name in PACKAGES if name in installed]
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    processor = model[1].strip() if model else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"Measured on {datetime.date.today()}, on {len(os.sched_getaffinity(0))} cores of "
        f"{processor} with {memory:.0f} GB, {platform.system()}, Python "
        f"{platform.python_version()}, {', '.join(versions)}."
    )
