"""Which files of the user's own a dry run reads: configs, bases, modules, whatever they open."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from lldtool.dryrun.importers import LIBRARIES
from lldtool.errors import LldtoolError
from lldtool.request import Request
from lldtool.source import CONFIG_SUFFIXES

Result = TypeVar("Result")
#: Where no file of the user's own is.
_ELSEWHERE = (
    *LIBRARIES, str(Path(__file__).parent.parent), "/proc/", "/dev/", "/sys/",
    os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser()),
)  # fmt: skip
#: What is being noted; the hook can't be taken away again.
_noting: list[set[str]] = []


def noting_files(
    task: Callable[[Request], Result], request: Request
) -> tuple[Result, frozenset[Path]]:
    """The task's result, and the files that were read for it.

    Files of libraries are left out.

    Raises:
        LldtoolError: the task raised it; it has the files then.
    """
    with _noted() as read:
        try:
            return task(request), _own(read)
        except LldtoolError as error:
            error.files = _own(read)
            raise


def loaded_modules() -> frozenset[Path]:
    """The files of all modules of this process that are no installed library's."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return _own({file for file in files if isinstance(file, str) and Path(file).is_absolute()})


@contextlib.contextmanager
def _noted() -> Iterator[set[str]]:
    _add_hook()
    read: set[str] = set()
    _noting.append(read)
    try:
        yield read
    finally:
        _noting.remove(read)


@functools.cache
def _add_hook() -> None:
    sys.addaudithook(_note)


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _noting and event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        with contextlib.suppress(TypeError, ValueError, OSError):  # bytes; no working directory
            _noting[-1].add(str(Path(arguments[0]).absolute()))


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
