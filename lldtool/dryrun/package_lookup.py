"""A stub for `pkg_resources`, of which mmengine asks where a package is installed.

mmengine reloads the real one for every `mmpretrain::` base of a config, and setuptools 81
removed it. Built on `importlib.metadata`; what is not defined here comes from the real one.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.metadata
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

DistributionNotFound = importlib.metadata.PackageNotFoundError


@contextlib.contextmanager
def installed(*, for_speed: bool) -> Iterator[None]:
    """Answer imports of `pkg_resources` where the real one is missing, or to save time."""
    if "pkg_resources" in sys.modules or not (for_speed or is_missing()):
        yield
        return
    sys.modules["pkg_resources"] = sys.modules[__name__]
    try:
        yield
    finally:
        if sys.modules.get("pkg_resources") is sys.modules[__name__]:
            del sys.modules["pkg_resources"]


def is_missing() -> bool:
    """Whether there is no real `pkg_resources`."""
    return importlib.machinery.PathFinder.find_spec("pkg_resources") is None


def note() -> str | None:
    """What a user should know where there is none."""
    if is_missing():
        return "pkg_resources is missing, training may need it: pip install 'setuptools<81'"
    return None


@dataclass(frozen=True)
class Distribution:
    """The part of `pkg_resources.Distribution` that mmengine uses."""

    project_name: str

    @property
    def _found(self) -> importlib.metadata.Distribution:
        return importlib.metadata.distribution(self.project_name)

    @property
    def location(self) -> str:
        """The folder that the package is installed in: site-packages."""
        return str(self._found.locate_file(""))

    @property
    def version(self) -> str:
        """The installed version."""
        return self._found.version

    def has_metadata(self, name: str) -> bool:
        """Whether the package ships this metadata file."""
        return self._found.read_text(name) is not None

    def get_metadata(self, name: str) -> str:
        """The text of a metadata file."""
        return self._found.read_text(name) or ""


def get_distribution(name: str) -> Distribution:
    """The installed package of this name.

    Raises:
        DistributionNotFound: it is not installed.
    """
    importlib.metadata.distribution(name)
    return Distribution(name)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if sys.modules.get("pkg_resources") is sys.modules[__name__]:
        del sys.modules["pkg_resources"]
    return getattr(importlib.import_module("pkg_resources"), name)
