"""What the figures were measured on, as a sentence."""

import datetime
import importlib.metadata
import os
import platform
import re
from pathlib import Path

PACKAGES = ("torch", "mmengine", "mmpretrain", "mmcv-lite", "torchinfo", "lldtool")


def described():
    """Date, cores, processor, memory, and the versions of what took part."""
    versions = [f"{name} {version}" for name in PACKAGES if (version := _version(name))]
    return (
        f"Measured on {datetime.date.today()}, on {_cores()} cores of {_processor()} with "
        f"{_memory()} GB, {platform.system()}, Python {platform.python_version()}, "
        f"{', '.join(versions)}."
    )


def _version(distribution):
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cores():
    return len(os.sched_getaffinity(0))


def _processor():
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else platform.machine()


def _memory():
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)
