"""Which versions of lldtool and its field are installed, found without importing them."""

from __future__ import annotations

import contextlib
import functools

#: Package -> the distributions that provide it.
_DISTRIBUTIONS = {
    "torch": ("torch",),
    "mmengine": ("mmengine", "mmengine-lite"),
    "mmpretrain": ("mmpretrain",),
    "mmcv": ("mmcv", "mmcv-lite", "mmcv-full"),
}


@functools.cache
def installed_version(package: str) -> str | None:
    """The version of an installed package, or None."""
    import importlib.metadata  # 15 ms that --help can do without

    for distribution in _DISTRIBUTIONS.get(package, (package,)):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(distribution)
    return None


def package_versions() -> dict[str, str | None]:
    """Package -> version of torch, mmengine, mmpretrain and mmcv; None for a missing one."""
    return {package: installed_version(package) for package in _DISTRIBUTIONS}


def lldtool_version() -> str:
    """The version of this lldtool."""
    return installed_version("lldtool") or "0+unknown"
