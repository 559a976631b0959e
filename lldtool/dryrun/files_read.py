"""Which files of the user's own a dry run reads: configs, bases, modules, whatever they open."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lldtool.config import CONFIG_SUFFIXES
from lldtool.dryrun.import_frames import LIBRARIES

#: Where no file of the user's own is.
_ELSEWHERE = (
    *LIBRARIES, str(Path(__file__).parent.parent), "/proc/", "/dev/", "/sys/",
    os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser()),
)  # fmt: skip
#: What is being noted; the hook can't be taken away again.
_noting: list[_Noted] = []
#: The files that were noted, for each `collected_files` context, the innermost last.
_collected: list[set[Path]] = []


@dataclass(frozen=True, eq=False)
class _Noted:
    """Files that were opened, by how."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)

    @property
    def own(self) -> frozenset[Path]:
        """What was read; what the task writes as well is a log of its own or a cache."""
        return _own(self.read - self.written)


@contextlib.contextmanager
def collected_files() -> Iterator[set[Path]]:
    """Return a set of the files that are noted in this context, also where it ends in an error."""
    _collected.append(set())
    try:
        yield _collected[-1]
    finally:
        _collected.pop()


def collect(files: Iterable[Path]) -> None:
    """Add files that were noted, here or in a process that this one started."""
    if _collected:
        _collected[-1].update(files)


def loaded_modules() -> frozenset[Path]:
    """The files of all modules of this process that are no installed library's."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return _own({file for file in files if isinstance(file, str) and Path(file).is_absolute()})


@contextlib.contextmanager
def noting_files() -> Iterator[None]:
    """Note the user's own files that are read in this context, and collect them at its end."""
    _add_hook()
    noted = _Noted()
    _noting.append(noted)
    try:
        yield
    finally:
        _noting.remove(noted)
        collect(noted.own)


@functools.cache
def _add_hook() -> None:
    sys.addaudithook(_note)


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _noting and event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        path, _, flags = arguments
        is_written = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
        files = _noting[-1].written if is_written else _noting[-1].read
        with contextlib.suppress(TypeError, ValueError, OSError):  # bytes; no working directory
            files.add(str(Path(path).absolute()))


def _own(files: set[str]) -> frozenset[Path]:
    """Those that are no library's: they are there, or could be configs that are missing."""
    sources = (Path(_source(file)) for file in files if not file.startswith(_ELSEWHERE))
    return frozenset(
        file
        for file in sources
        if file.is_file() or (file.suffix in CONFIG_SUFFIXES and file.parent.is_dir())
    )


def _source(file: str) -> str:
    """The source of a module that was read from its bytecode."""
    if file.endswith(".pyc"):
        with contextlib.suppress(ValueError):
            return importlib.util.source_from_cache(file)
    return file
