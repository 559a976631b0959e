"""What a dry run shields the user's session from while a config's code runs.

A config is a Python program: it may print, exit, fork or reach for the network. This is good
manners, not a sandbox: code that means harm is not held back.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.machinery
import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from lldtool.request import Checkout

#: The hosts that the last dry run's code tried to reach.
reached_for: list[str] = []


class NetworkBlockedError(ConnectionError):
    """What code sees that reaches for the network during a dry run."""


class ProcessExit(BaseException):
    """Stands for `os._exit`, which would end lldtool without a word."""


@contextlib.contextmanager
def shielded(folders: tuple[Path, ...], *, allow_network: bool) -> Iterator[None]:
    """Run a config's code with its output on stderr, no network and no bytecode files.

    Args:
        folders: where nothing may be written, the config's and the working directory.
        allow_network: leave the network alone.
    """
    reached_for.clear()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_stdout_on_stderr())
        stack.enter_context(_quiet())
        stack.enter_context(_one_process())
        stack.enter_context(_no_bytecode_in(folders))
        stack.enter_context(_same_directory())
        if not allow_network:
            stack.enter_context(_no_network())
        yield


@contextlib.contextmanager
def _stdout_on_stderr() -> Iterator[None]:
    """Stdout is for the result: what a config prints, and what its children do, goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            sys.stderr.flush()
            saved = os.dup(1)
            os.dup2(sys.stderr.fileno(), 1)
        except (OSError, ValueError):  # a notebook's or a test's streams have no descriptor
            yield
            return
        try:
            yield
        finally:
            os.dup2(saved, 1)
            os.close(saved)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No log lines and warnings of libraries; and no garbage collection, a fifth of the time."""
    disabled, collecting = logging.root.manager.disable, gc.isenabled()
    logging.disable(logging.CRITICAL)
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        if collecting:
            gc.enable()


@contextlib.contextmanager
def _one_process() -> Iterator[None]:
    """A child that a config forks does not go on as a second lldtool; `os._exit` is an exit."""
    parent, really_exit = os.getpid(), os._exit

    def exit_here(status: int) -> None:
        if os.getpid() != parent:
            really_exit(status)
        raise ProcessExit(status)

    try:
        with mock.patch.object(os, "_exit", exit_here):
            yield
    finally:
        if os.getpid() != parent:
            really_exit(0)


@contextlib.contextmanager
def _same_directory() -> Iterator[None]:
    """Back to the working directory, should a config leave it."""
    here = Path.cwd()
    try:
        yield
    finally:
        os.chdir(here)


@contextlib.contextmanager
def in_tree(checkout: Checkout | None) -> Iterator[None]:
    """Stand in the tree of a revision, and import the repository's modules from there."""
    if checkout is None:
        yield
        return

    def there(folder: Path) -> Path:
        real, installed = folder.resolve(), folder.absolute().is_relative_to(sys.prefix)
        if installed or not real.is_relative_to(checkout.top):
            return folder
        return checkout.tree / real.relative_to(checkout.top)

    here, path = Path.cwd(), sys.path[:]
    sys.path[:] = [str(there(Path(p))) if p else p for p in path]
    os.chdir(next(folder for folder in (there(here), checkout.tree) if folder.is_dir()))
    try:
        yield
    finally:
        os.chdir(here)
        sys.path[:] = path


@contextlib.contextmanager
def _no_bytecode_in(folders: tuple[Path, ...]) -> Iterator[None]:
    """Modules beside the config are imported without leaving a `__pycache__` there."""
    loader = importlib.machinery.SourceFileLoader
    write, installed = loader.set_data, Path(sys.prefix)

    def set_data(self: Any, path: str, data: Any, **kwargs: Any) -> None:
        inside = any(Path(path).is_relative_to(folder) for folder in folders)
        if not inside or Path(path).is_relative_to(installed):
            write(self, path, data, **kwargs)

    with mock.patch.object(loader, "set_data", set_data):
        yield


@contextlib.contextmanager
def _no_network() -> Iterator[None]:
    connect = socket.socket.connect

    def refuse(host: object) -> None:
        reached_for.append(str(host))
        raise NetworkBlockedError(f"a dry run does not use the network (tried {host})")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            refuse(address[0])
        connect(self, address)

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        refuse(host)

    with (
        mock.patch.object(socket.socket, "connect", guarded_connect),
        mock.patch.object(socket.socket, "connect_ex", guarded_connect),
        mock.patch.object(socket, "getaddrinfo", guarded_lookup),
    ):
        yield
